"""The command line as a user meets it: train, evaluate, export and run, and one sentence for every mistake."""

import csv
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import zipfile
from contextlib import redirect_stdout
from pathlib import Path
from pkgutil import resolve_name
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
import yaml
from pycocotools.coco import COCO

import detect as package
from detect.analysis.paper import published
from detect.cli.main import main
from detect.data.dataset import Dataset
from detect.data.formats import coco_json
from detect.evaluation.coco import METRICS
from detect.files import new_folder
from detect.inference.predictor import Predictor
from detect.ops.image import write_image
from detect.weights.files import read
from tests.cli.command_line import answer, detect

pytestmark = pytest.mark.usefixtures("one_thread", "small_backbone")

ROOT = Path(__file__).parents[2]
PAPER = ROOT / "configs" / "csppelee_efm.yaml"
CATEGORIES = {3: "red", 7: "green", 90: "blue"}
COLOURS = {3: (230, 20, 20), 7: (20, 220, 30), 90: (30, 30, 230)}
SUMMARY = re.compile(r" Average (Precision|Recall) +\(A[PR]\) @\[ IoU=.* \] = -?\d\.\d{3}")


def assert_one_error(ran, *words):
    """The mistake is the user's, and one line says so; what it counts may be listed below."""
    assert ran.status == 1, ran.err
    first, *listed = ran.err.splitlines()
    assert first.startswith("error: ") and all(line.startswith("  ") for line in listed), ran.err
    assert "Traceback" not in ran.err + ran.out
    for word in words:
        assert word in ran.err


def write_split(root, split, count):
    """Grey images of 60 to 96 px with one to three coloured squares."""
    rng = np.random.default_rng(count)
    (root / "images" / split).mkdir(parents=True)
    (root / "annotations").mkdir(exist_ok=True)
    images, annotations = [], []
    for number in range(count):
        height, width = (int(side) for side in rng.integers(60, 97, 2))
        image = np.full((height, width, 3), 90, np.uint8)
        for category_id in list(CATEGORIES)[: number % 3 + 1]:
            left, top, side = int(rng.integers(0, 30)), int(rng.integers(0, 30)), int(rng.integers(16, 30))
            image[top : top + side, left : left + side] = COLOURS[category_id]
            box = {"image_id": 500 + number, "category_id": category_id, "bbox": [left, top, side, side]}
            annotations.append({"id": len(annotations) + 1, **box, "area": side * side, "iscrowd": 0})
        write_image(root / "images" / split / f"{number}.png", image)
        images.append({"id": 500 + number, "file_name": f"{number}.png", "width": width, "height": height})
    categories = [{"id": number, "name": CATEGORIES[number]} for number in (90, 3, 7)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (root / "annotations" / f"{split}.json").write_text(json.dumps(content))


@pytest.fixture(scope="module")
def squares(tmp_path_factory):
    root = tmp_path_factory.mktemp("squares")
    write_split(root, "train", 4)
    write_split(root, "val", 5)
    return root


@pytest.fixture(scope="module")
def tiny(squares):
    """A small detector at 64 px for two epochs of two steps, too short ones to find anything."""
    path = squares / "tiny.yaml"
    model = {"backbone": {"name": "Small"}, "neck": {"name": "EFM", "widths": [8, 8, 8]}, "head": {"name": "YOLOv3"}}
    train = {"epochs": 2, "batch": 2, "workers": 0, "lr": 1e-6, "precision": "fp32"}
    path.write_text(yaml.safe_dump({"model": model, "input": {"size": 64}, "data": ".", "train": train}))
    return path


@pytest.fixture(scope="module")
def trained(tiny, tmp_path_factory):
    """What `train --json` said, and its run folder; nobody changes the folder."""
    out = tmp_path_factory.mktemp("runs")
    ran = detect("train", tiny, "--out", out, "--json")
    assert ran.status == 0, ran.err
    return SimpleNamespace(said=ran, folder=out / "tiny-1")


@pytest.fixture
def run(trained, tmp_path):
    """A copy of the run folder, to be written into."""
    return Path(shutil.copytree(trained.folder, tmp_path / "run"))


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory):
    """The run's detector in 16 bits."""
    path = tmp_path_factory.mktemp("exported") / "tiny.safetensors"
    content = answer("export", trained.folder, "--half", "--out", path)
    assert content == {"file": str(path), "bytes": path.stat().st_size}
    return path


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty current folder: what a command leaves behind is seen, and nothing lands in the checkout."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def write_clip(path, count, fps=10):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), fps, (64, 64))
    for _ in range(count):
        writer.write(np.full((64, 64, 3), 90, np.uint8))
    writer.release()


def frames_in(path):
    capture, count = cv2.VideoCapture(str(path)), 0
    while capture.read()[0]:
        count += 1
    return count


def detections_in(folder):
    return json.loads((Path(folder) / "detections.json").read_text())


# ---- the whole way -------------------------------------------------------------------------------------------------


def test_training_fills_the_run_folder(trained):
    names = {path.name for path in trained.folder.iterdir()}
    assert {"config.yaml", "log.txt", "results.csv", "last.pt", "best.pt", "train_batch0.jpg", "labels.png"} <= names
    assert not [name for name in names if name.startswith(".")]
    rows = list(csv.DictReader((trained.folder / "results.csv").open()))
    assert [row["epoch"] for row in rows] == ["1", "2"] and {"lr", "box", "obj", "cls", *METRICS} <= rows[0].keys()
    assert "epoch 2" in (trained.folder / "log.txt").read_text()
    written = yaml.safe_load((trained.folder / "config.yaml").read_text())
    assert written["input"]["size"] == 64 and written["train"]["epochs"] == 2


def test_the_written_config_trains_again(trained, here):
    ran = detect("train", trained.folder / "config.yaml", "--print-config")
    assert ran.status == 0 and yaml.safe_load(ran.out) == yaml.safe_load((trained.folder / "config.yaml").read_text())


def test_training_answers_with_one_json_object(trained):
    content = json.loads(trained.said.out)
    assert trained.said.out.count("\n") == 1
    assert content["run"] == str(trained.folder) and content["steps"] == 4 and "AP" in content["metrics"]
    assert "Small + EFM + YOLOv3" in trained.said.err and "4 images" in trained.said.err


def test_evaluation_prints_the_twelve_lines_and_the_classes(run):
    ran = detect("evaluate", run)
    assert ran.status == 0 and not ran.err
    lines = ran.out.splitlines()
    assert all(SUMMARY.fullmatch(line) for line in lines[:12]), lines[:12]
    table = lines[lines.index("") + 1 :]
    assert [line.split()[:2] for line in table[:4]] == [
        ["class", "instances"], ["red", "5"], ["green", "3"], ["blue", "1"],
    ]  # fmt: skip


def test_detections_that_cannot_be_written_do_not_take_the_report_away(run, small_disk):
    with small_disk(100):
        ran = detect("evaluate", run)
    assert_one_error(ran, "detections.json: cannot be written")
    assert all(SUMMARY.fullmatch(line) for line in ran.out.splitlines()[:12]) and "instances" in ran.out


def test_evaluation_answers_in_json(run):
    content = answer("evaluate", run)
    assert list(content)[:12] == list(METRICS)
    assert content["images"] == 5 and content["per_class"].keys() == {"red", "green", "blue"}
    assert content["detections"] == len(detections_in(run)) > 0
    assert content["file"] == str(run / "detections.json")


def test_fast_evaluation_gives_pycocotools_numbers_without_asking_it(run, monkeypatch):
    expected = answer("evaluate", run)
    assert "by pycocotools in " in detect("evaluate", run).out
    monkeypatch.setattr("detect.evaluation.coco.COCOeval.evaluate", None)
    assert "evaluated in NumPy in " in detect("evaluate", run, "--fast").out
    found = answer("evaluate", run, "--fast")
    assert (expected.pop("evaluator"), found.pop("evaluator")) == ("pycocotools", "NumPy")
    assert found == expected and found["AP"] > -1


def test_the_best_ap_of_a_training_is_what_pycocotools_says_of_its_weights(run):
    rows = list(csv.DictReader((run / "results.csv").open()))
    best, content = max(rows, key=lambda row: float(row["AP"])), answer("evaluate", run)
    expected = {name: content[name] for name in METRICS}
    assert {name: float(best[name]) for name in METRICS} == pytest.approx(expected, rel=1e-5)  # six digits


def test_evaluation_gives_intervals_by_a_bootstrap(run):
    intervals = answer("evaluate", run, "--bootstrap", "20")["intervals"]
    assert intervals.keys() == {"AP", "AP50"}
    assert all(-1 <= low <= high <= 1 for low, high in intervals.values())
    assert "by a bootstrap of 20 (95%): AP " in detect("evaluate", run, "--bootstrap", "20").out


def test_an_evaluation_as_a_page(run, tmp_path):
    said = answer("evaluate", run, "--report")
    assert said["report"] == str(run / "report.html")
    assert f"<b>{said['AR100']:.3f}</b>" in (run / "report.html").read_text()
    ran = detect("evaluate", run, "--report", tmp_path / "new" / "page.html", "--fast")
    assert ran.status == 0 and ran.out.endswith(f"report: {tmp_path / 'new' / 'page.html'}\n")
    assert answer("evaluate", run, "--report", tmp_path / "other")["report"] == str(tmp_path / "other" / "report.html")
    assert_one_error(detect("evaluate", run, "--split", "test-dev", "--report"), "test-dev has no labels here")


def test_thresholds_of_an_evaluation_are_kept_where_they_are_asked_for(run, exported, squares, tmp_path, here):
    before = (run / "best.pt").read_bytes()
    said = answer("evaluate", run)
    assert (run / "best.pt").read_bytes() == before
    ran = detect("evaluate", run, "--keep-thresholds")
    thresholds = said.get("thresholds")
    assert ("thresholds" in said) == (f"kept in {run / 'best.pt'}" in ran.out)
    if thresholds:  # such a short training may find nothing
        assert list(read(run).thresholds.scores) == list(thresholds.values())
    assert_one_error(detect("evaluate", "yolov4_tiny_coco", "--keep-thresholds"), "released weights stay as they are")


def test_auto_needs_thresholds(exported, squares):
    ran = detect("predict", "--weights", exported, "--source", squares / "images" / "val", "--min-score", "auto")
    assert_one_error(ran, "--min-score auto: these weights keep no thresholds")
    assert_one_error(detect("predict", "--source", "a.jpg", "--min-score", "aut"), "'aut' is no number from 0 to 1")


def test_evaluation_reads_the_annotations_once_before_it_detects(run, monkeypatch):
    calls = []

    def noted(owner, name):
        original = getattr(owner, name)

        def call(*arguments, **options):
            calls.append(name)
            return original(*arguments, **options)

        monkeypatch.setattr(owner, name, call)

    noted(coco_json, "read_json")
    noted(Dataset, "ground_truth")
    noted(Predictor, "detect_batch")
    assert detect("evaluate", run).status == 0
    assert calls[:3] == ["read_json", "ground_truth", "detect_batch"] and set(calls[3:]) <= {"detect_batch"}


def test_programs_get_what_the_verbs_print(run, tiny, tmp_path):
    said, got = answer("evaluate", run, "--out", tmp_path / "a"), package.evaluate(run, out=tmp_path / "b")
    assert got | {"file": ""} == said | {"file": ""} and detections_in(tmp_path / "a") == detections_in(tmp_path / "b")
    said = answer("export", run, "--out", tmp_path / "a.safetensors", "--half", "--set", "predict.min_score=0.5")
    got = package.export(run, tmp_path / "b.safetensors", half=True, predict={"min_score": 0.5})
    assert got["bytes"] == said["bytes"] and got.keys() == said.keys()
    first, second = (read(tmp_path / f"{name}.safetensors") for name in "ab")
    assert first.settings == second.settings and first.settings.predict.min_score == 0.5
    assert all(torch.equal(value, second.tensors[name]) for name, value in first.tensors.items())
    said = answer("train", tiny, "--out", tmp_path / "c", "--set", "train.epochs=1")
    got = package.train(tiny, out=tmp_path / "d", data=tiny.parent, train={"epochs": 1})
    speed = {"images_per_second": 0, "data_share": 0}
    assert got["steps"] == said["steps"] == 2 and got["metrics"] | speed == said["metrics"] | speed
    again = package.train(resume=got["run"], **{"train.epochs": 2})
    assert again["run"] == got["run"] and again["steps"] == 4


def test_detections_have_the_original_ids(run, squares):
    answer("evaluate", run)
    with redirect_stdout(io.StringIO()):
        truth = COCO(str(squares / "annotations" / "val.json"))
        results = truth.loadRes(str(run / "detections.json"))
    assert set(results.getImgIds()) == {500, 501, 502, 503, 504}
    assert {annotation["category_id"] for annotation in results.anns.values()} <= CATEGORIES.keys()


def test_evaluation_of_an_image_folder_equals_that_of_the_split(run, squares, tmp_path):
    named = answer("evaluate", run)
    images, annotations = squares / "images" / "val", squares / "annotations" / "val.json"
    given = answer("evaluate", run, "--images", images, "--annotations", annotations, "--out", tmp_path / "out")
    assert given | {"file": ""} == named | {"file": ""}
    assert detections_in(tmp_path / "out") == detections_in(run)


@pytest.mark.parametrize("data", ["folder", "file"])
def test_evaluation_takes_data_folders_and_data_files(run, squares, tmp_path, data):
    (tmp_path / "data.yaml").write_text(f"root: {squares}\n")
    assert answer("evaluate", run, "--data", squares if data == "folder" else tmp_path / "data.yaml")["images"] == 5


def test_batch_size_does_not_change_the_verdict(run, tmp_path):
    one = answer("evaluate", run, "--batch", "1", "--out", tmp_path / "1")
    many = answer("evaluate", run, "--batch", "16", "--out", tmp_path / "16")
    assert one | {"file": ""} == many | {"file": ""}
    assert detections_in(tmp_path / "1") == detections_in(tmp_path / "16")


def test_an_ap_near_zero_is_diagnosed(run):
    out = detect("evaluate", run).out
    assert "AP is below 0.01" in out and "Best IoU of each of 9 objects" in out


def test_test_dev_writes_the_two_files(run, squares, tmp_path):
    coco = tmp_path / "coco"
    shutil.copytree(squares / "images" / "val", coco / "test2017")
    (coco / "annotations").mkdir()
    content = json.loads((squares / "annotations" / "val.json").read_text())
    del content["annotations"]
    (coco / "annotations" / "image_info_test-dev2017.json").write_text(json.dumps(content))
    said = answer(
        "evaluate",
        run,
        "--data",
        coco,
        "--split",
        "test-dev",
        "--name",
        "mine",
        "--out",
        tmp_path / "out",
        "--size",
        64,
    )
    json_file, zip_file = said["files"]
    assert Path(json_file).name == "detections_test-dev2017_mine_results.json"
    assert zipfile.ZipFile(zip_file).namelist() == [Path(json_file).name]
    rows = json.loads(Path(json_file).read_text())
    assert len(rows) == said["detections"] > 0 and said["images"] == 5
    assert {row["category_id"] for row in rows} <= CATEGORIES.keys()


def test_an_exported_file_finds_what_the_run_finds(run, exported, squares, tmp_path):
    assert detect("export", run, "--out", tmp_path / "whole.safetensors").status == 0
    weights = {"run": run, "whole": tmp_path / "whole.safetensors", "half": exported}
    for name, path in weights.items():
        answer("evaluate", path, "--data", squares, "--out", tmp_path / name)
    found = {name: detections_in(tmp_path / name) for name in weights}
    assert found["whole"] == found["run"]
    scores = [np.sort([row["score"] for row in found[name]]) for name in ("run", "half")]
    np.testing.assert_allclose(scores[0], scores[1], rtol=0, atol=2e-3)


def test_a_16_bit_file_holds_the_rounded_weights(run, exported):
    assert exported.stat().st_size < (run / "best.pt").stat().st_size
    whole, half = read(run).network.state_dict(), read(exported).network.state_dict()
    for name, value in whole.items():
        rounded = value.half().float() if value.is_floating_point() else value
        torch.testing.assert_close(half[name], rounded, rtol=0, atol=0)


def test_an_export_mixes_weights_by_their_shares(run, exported, tmp_path):
    out = tmp_path / "mixed.safetensors"
    assert detect("export", run, "--mix", f"{exported}=0.25", "--out", out).status == 0
    whole, half, mixed = (read(path).tensors for path in (run, exported, out))
    for name, value in whole.items():
        expected = 0.75 * value + 0.25 * half[name].float() if value.is_floating_point() else value
        torch.testing.assert_close(mixed[name], expected)
    for wrong, words in (("0.5", "is no WEIGHTS=SHARE"), (f"{exported}=2", "'2'"), (f"{exported}=half", "'half'")):
        said = detect("export", run, "--mix", wrong, "--out", tmp_path / "no.safetensors")
        assert said.status == 1 and said.err.startswith("error: detect export: argument --mix: ") and words in said.err
    twice = [f"--mix={exported}={share}" for share in (0.2, 0.3)]
    for mix, words in ((twice, "given twice"), ([f"--mix={exported}=0"], "give numbers above 0")):
        said = detect("export", run, *mix, "--out", tmp_path / "no.safetensors")
        assert said.status == 1 and words in said.err and "mix" in said.err and len(said.err.splitlines()) == 1


def test_an_exported_file_says_nothing_about_the_machine_it_comes_from(exported, squares):
    assert str(squares).encode() not in exported.read_bytes()


def test_prediction_of_an_image_a_folder_a_pattern_and_a_video(exported, squares, tmp_path):
    images = squares / "images" / "val"
    video = tmp_path / "clip.avi"
    write_clip(video, 4)
    sources = {"image": images / "0.png", "folder": images, "pattern": f"{images}/[01].png", "video": video}
    frames = {"image": 1, "folder": 5, "pattern": 2, "video": 4}
    for name, source in sources.items():
        out = tmp_path / name
        said = answer("predict", "--weights", exported, "--source", source, "--min-score", "0.001", "--out", out)
        assert said["frames"] == frames[name] and said["detections"] > 0 and not said["errors"]
        assert len(said["files"]) == (1 if name == "video" else frames[name])
        assert all(Path(file).is_file() for file in said["files"]) and (out / "detections.json").is_file()
        assert sum(said["counts"].values()) == said["detections"]


def test_an_unquoted_pattern_and_repeated_sources_are_taken(exported, squares, tmp_path):
    images = [squares / "images" / "val" / f"{number}.png" for number in range(3)]
    arguments = ("predict", "--weights", exported, "--out", tmp_path, "--source")
    assert answer(*arguments, *images)["frames"] == 3
    assert answer(*arguments, images[0], "--source", images[1])["frames"] == 2


def test_the_limit_of_detections_is_an_option_and_said(exported, squares, tmp_path):
    arguments = ("predict", "--weights", exported, "--source", squares / "images" / "val", "--min-score", "0.001")
    ran = detect(*arguments, "--out", tmp_path, "--max-detections", "1")
    found = [frame["detections"] for frame in detections_in(tmp_path)["frames"]]
    assert ran.status == 0 and [len(one) for one in found] == [1] * 5
    assert ran.err == (
        "note: 5 of 5 images have as many detections as are allowed, and may have more; --max-detections raises it\n"
    )
    many = answer(*arguments, "--out", tmp_path, "--max-detections", "1000")
    assert many["detections"] > 500 and many["limited"] == 0


def test_a_video_has_a_line_a_frame_on_request_only(exported, tmp_path):
    write_clip(tmp_path / "clip.avi", 4)
    arguments = ("predict", "--weights", exported, "--source", tmp_path / "clip.avi", "--out", tmp_path / "out")
    assert " frame " not in detect(*arguments).out
    assert detect(*arguments, "--verbose").out.count("clip.avi frame ") == 4
    assert detect(*arguments, "--quiet").out.splitlines()[0].startswith("4 frames, ")


def test_prediction_in_batches_finds_the_same(exported, squares, tmp_path):
    for batch in (1, 4):
        answer(
            "predict", "--weights", exported, "--source", squares / "images" / "val", "--min-score", "0.001",
            "--out", tmp_path / str(batch), "--batch", batch,
        )  # fmt: skip
    found = []
    for name in "14":
        frames = detections_in(tmp_path / name)["frames"]
        assert [Path(frame["source"]).name for frame in frames] == [f"{number}.png" for number in range(5)]
        found.append([frame["detections"] for frame in frames])
    assert [len(one) for one in found[0]] == [len(one) for one in found[1]]


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_corrupt_file_among_others_costs_only_itself(exported, squares, tmp_path, options):
    folder = tmp_path / "mixed"
    folder.mkdir()
    for name, number in (("a", 0), ("c", 1)):
        shutil.copy(squares / "images" / "val" / f"{number}.png", folder / f"{name}.png")
    (folder / "b.png").write_bytes(b"no image")
    ran = detect("predict", "--weights", exported, "--source", folder, "--out", tmp_path / "out", *options)
    assert ran.status == 1 and "b.png" in ran.err
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a.png", "c.png", "detections.json"}


def test_a_corrupt_file_is_reported_once(exported, tmp_path):
    (tmp_path / "b.png").write_bytes(b"no image")
    ran = detect("predict", "--weights", exported, "--source", tmp_path / "b.png", "--out", tmp_path / "out")
    assert (ran.out + ran.err).count("not a readable image") == 1


@pytest.mark.parametrize("arguments", [(), (PAPER, "--paper"), ("--paper", "--plot", "x")])
def test_profile_takes_a_config_or_one_of_its_figures(arguments):
    assert_one_error(detect("profile", *arguments), "give one of a configuration file, --paper and --plot FOLDER")


def test_profile_counts_classifiers_with_a_thousand_classes(here):
    counted = answer("profile", PAPER.parent / "imagenet" / "peleenet.yaml")
    assert (counted["size"], round(counted["conv_weights"] / 1e6, 2)) == (224, 2.79)


def test_profile_lays_published_numbers_beside_the_count(here, monkeypatch):
    table_2 = [row for row in published() if row.table == "Table 2"]
    monkeypatch.setattr("detect.analysis.paper.published", lambda: table_2)
    found = answer("profile", "--paper")
    assert len(found["rows"]) == 10 and "ThunderNet" in found["not_counted"]
    keys = {"name", "table", "size", "published", "counted", "difference", "status", "quantity", "note"}
    assert all(row.keys() == keys and abs(row["difference"]) < 0.015 for row in found["rows"])


def test_profile_counts_the_paper(here):
    counted = answer("profile", PAPER, "--size", 416)
    totals = {"conv_weights", "floats", "parameters", "bflops", "cio", "conv_cio", "memory"}
    assert counted.keys() == {"size", "layers", *totals}
    assert (round(counted["floats"] / 1e6, 3), round(counted["bflops"], 3)) == (4.308, 5.066)
    without = answer("profile", PAPER, "--set", "model.neck.sam=false")
    assert round(without["floats"] / 1e6, 3) == 4.158 and abs(without["bflops"] - 4.867) < 1e-3
    of_a_layer = {"name", "type", "input", "output", "share", *totals} - {"conv_cio"}
    assert without["layers"][0].keys() == of_a_layer
    assert not list(here.iterdir())


def test_profile_needs_no_data(tmp_path):
    for name in ("csppelee_efm.yaml", "bccd.yaml"):
        shutil.copy(ROOT / "configs" / name, tmp_path / name)
    shutil.copytree(ROOT / "configs" / "recipes", tmp_path / "recipes")
    assert detect("profile", tmp_path / "bccd.yaml").status == 0


# ---- going on ------------------------------------------------------------------------------------------------------


def test_a_finished_run_is_not_trained_again(run):
    assert_one_error(detect("train", "--resume", run), "finished after 4 steps", "train.epochs")


def test_a_finished_run_goes_on_with_more_epochs(run):
    said = answer("train", "--resume", run, "--set", "train.epochs=3")
    assert said["steps"] == 6 and said["run"] == str(run)
    assert len(list(csv.DictReader((run / "results.csv").open()))) == 3


def test_a_run_killed_before_its_first_checkpoint_is_started_again(run, tmp_path):
    (tmp_path / "killed-1").mkdir()
    shutil.copy(run / "config.yaml", tmp_path / "killed-1")
    hint = f"start it again with {tmp_path / 'killed-1' / 'config.yaml'}"
    assert_one_error(detect("train", "--resume", tmp_path / "killed-1"), "before its first checkpoint", hint)
    assert_one_error(detect("train", "--resume", tmp_path), "last.pt: no such file")


def test_a_config_edited_in_the_runs_folder_is_not_passed_over(run):
    config = run / "config.yaml"
    text = config.read_text()
    config.write_text(text.replace("lr: 1.0e-06", "lr: 0.002"))
    told = "config.yaml: train.lr is 0.002 there and 1e-06 in the run"
    assert_one_error(detect("train", "--resume", run, "--set", "train.epochs=3"), told)
    assert_one_error(detect("train", "--resume", run, "--set", "train.lr=0.002"), "is finished after 4 steps")
    config.write_text("# a remark\n" + text)
    assert_one_error(detect("train", "--resume", run), "is finished after 4 steps")


def test_two_processes_do_not_resume_one_run(run):
    code = f"""
        from pathlib import Path
        from detect.engine.lock import only_here
        with only_here(Path({str(run)!r})):
            print("locked", flush=True)
            input()
    """
    options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "cwd": ROOT, "text": True}
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], **options) as other:
        assert other.stdout.readline() == "locked\n"
        ran = detect("train", "--resume", run, "--set", "train.epochs=3")
        assert_one_error(ran, "another process is training there; wait until it ends")
        other.communicate("\n")
    assert answer("train", "--resume", run, "--set", "train.epochs=3")["steps"] == 6
    assert not (run / ".lock").exists()


def test_a_refused_resume_leaves_the_run_as_it_was(run):
    before = (run / "config.yaml").read_text()
    assert detect("train", "--resume", run, "--set", "train.lr=3").status == 1
    assert (run / "config.yaml").read_text() == before


def test_the_end_of_a_training_names_only_files_that_are_there(tiny, squares, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(squares / "images" / "train", data / "images" / "train")
    (data / "annotations").mkdir()
    shutil.copy(squares / "annotations" / "train.json", data / "annotations")
    ran = detect("train", tiny, "--set", f"data={data}", "--set", "train.epochs=0.5", "--out", tmp_path / "runs")
    assert ran.status == 0
    last = ran.out.splitlines()[-1]
    missing = [name for name in ("best.pt", "last.pt", "results.csv") if not (tmp_path / "runs/tiny-1" / name).exists()]
    assert not [name for name in missing if name in last]
    hint = f"tools/evaluate.py {tmp_path / 'runs/tiny-1'} --data FOLDER (the run's own data has no split val)"
    assert last.endswith(hint)


def test_of_equal_epochs_the_last_is_best(trained):
    rows = list(csv.DictReader((trained.folder / "results.csv").open()))
    assert rows[0]["AP"] == rows[1]["AP"] == "0"
    best = torch.load(trained.folder / "best.pt", weights_only=True)["model"]
    last = torch.load(trained.folder / "last.pt", weights_only=True)["ema"]["model"]
    assert all(torch.equal(best[name], last[name]) for name in best)


# ---- mistakes ------------------------------------------------------------------------------------------------------

MISTAKES = {
    "no verb": ("", "VERB"),
    "unknown verb": ("trian x.yaml", "no verb trian; did you mean 'train'?"),
    "unknown option": ("train {tiny} --epoch 3", "unknown --epoch; see"),
    "misspelt option": ("train {tiny} --ouut x", "unknown --ouut; did you mean '--out'?"),
    "misspelt option with a value": ("evaluate {run} --bach=3", "did you mean '--batch'?"),
    "misspelt option that is required": ("predict --sorce x", "did you mean '--source'?"),
    "misspelt option of an inner verb": ("classify train x.yaml --resum x", "did you mean '--resume'?"),
    "one argument too many": ("train {tiny} {tiny}", "unknown", "tiny.yaml"),
    "nothing to train": ("train", "--resume"),
    "both config and resume": ("train {tiny} --resume {run}", "--resume"),
    "missing config": ("train {tmp}/none.yaml", "none.yaml"),
    "misspelt config": (f"train {ROOT}/configs/csppelee_emf.yaml", "did you mean 'csppelee_efm.yaml'"),
    "folder as config": ("train {tmp}", "cannot be read"),
    "broken YAML": ("train {tmp}/broken.yaml", "broken.yaml:3"),
    "misspelt key": ("train {tiny} --set train.epoch=3", "did you mean 'epochs'"),
    "override without value": ("train {tiny} --set train.epochs", "--set train.epochs"),
    "unknown part": ("train {tiny} --set model.neck.name=EMF", "did you mean 'EFM'"),
    "size between": ("train {tiny} --set input.size=65", "32"),
    "missing data": ("train {tiny} --set data={tmp}/none", "none"),
    "data without split": ("train {tiny} --set data={empty}", "holds no annotations that are known"),
    "broken annotations": ("train {tiny} --set data={badjson}", "train.json:1:"),
    "missing init": ("train {tiny} --out {tmp}/r --set train.init=none.pt", "none.pt"),
    "unknown device": ("train {tiny} --out {tmp}/r --device gpu", "--device gpu"),
    "file as out": ("train {tiny} --out {tiny}", "--out"),
    "resume of nothing": ("train --resume {tmp}/none", "last.pt"),
    "resume of an empty folder": ("train --resume {empty}", "last.pt"),
    "missing weights": ("evaluate {tmp}/none.pt", "none.pt"),
    "folder without weights": ("evaluate {empty}", "neither best.pt nor last.pt"),
    "wrong .pt": ("evaluate {tmp}/junk.pt", "junk.pt"),
    "wrong .safetensors": ("evaluate {tmp}/junk.safetensors", "junk.safetensors"),
    "a configuration as weights": ("evaluate {tiny}", "tiny.yaml"),
    "images alone": ("evaluate {run} --images {empty}", "--annotations"),
    "images and data": ("evaluate {run} --images {empty} --annotations x --data {empty}", "--data"),
    "missing images": ("evaluate {run} --images {empty} --annotations {val}", "0.png"),
    "missing image folder": ("evaluate {run} --images {tmp}/none --annotations {val}", "none"),
    "broken annotation JSON": ("evaluate {run} --images {empty} --annotations {badjson}/annotations/train.json", ":1:"),
    "annotations that are none": ("evaluate {run} --images {empty} --annotations {tmp}/list.json", "COCO"),
    "other classes": ("evaluate {run} --images {images} --annotations {tmp}/other.json", "car", "red"),
    "no such split": ("evaluate {run} --split test", "no split 'test'"),
    "no test-dev": ("evaluate {run} --split test-dev", "image_info_test-dev2017.json"),
    "bad name": ("evaluate {run} --split test-dev --name a/b", "a/b"),
    "no data known": ("evaluate {exported}", "--data"),
    "odd size": ("evaluate {run} --size 33", "multiple of 32"),
    "negative size": ("evaluate {run} --size=-64", "whole number"),
    "worded size": ("evaluate {run} --size big", "big"),
    "batch of none": ("evaluate {run} --batch 0", "batch"),
    "unknown nms": ("evaluate {run} --nms soft", "soft"),
    "missing image": ("predict --weights {exported} --source {tmp}/none.jpg --out {tmp}/o", "none.jpg"),
    "empty folder": ("predict --weights {exported} --source {empty} --out {tmp}/o", "no images"),
    "empty pattern": ("predict --weights {exported} --source {empty}/*.jpg --out {tmp}/o", "*.jpg"),
    "unknown address": ("predict --weights {exported} --source gopher://x --out {tmp}/o", "gopher"),
    "score too high": ("predict --weights {exported} --source {images} --min-score 2", "from 0 to 1"),
    "score below 0": ("predict --weights {exported} --source {images} --conf=-1", "from 0 to 1"),
    "score no number": ("predict --weights {exported} --source {images} --min-score nan", "from 0 to 1"),
    "file as predict's out": ("predict --weights {exported} --source {images} --out {tiny}", "tiny.yaml"),
    "no source": ("predict --weights {exported}", "--source"),
    "a list as source": ("predict --weights {exported} --source {tmp}/broken.yaml --out {tmp}/o", "is a text"),
    "export nowhere": ("export {run} --out {tiny}/none/x.safetensors", "--out", "cannot be made"),
    "export onto a folder": ("export {run} --out {empty}", "must end in the suffix of a format"),
    "unknown format": ("export {run} --out x --format onnx", "onnx"),
    "odd profile": (f"profile {PAPER} --size 100", "multiple of the model's stride"),
    "no classes": (f"profile {PAPER} --classes 0", "--classes"),
    "missing benchmark weights": ("benchmark {tmp}/none", "none"),
}


@pytest.fixture(scope="module")
def places(tiny, trained, exported, squares, tmp_path_factory):
    """What the mistakes are made with; nothing in it changes."""
    tmp = tmp_path_factory.mktemp("mistakes")
    (tmp / "empty").mkdir()
    (tmp / "broken.yaml").write_text("model: {\n  a: [1\nb")
    (tmp / "junk.pt").write_bytes(b"junk" * 100)
    (tmp / "junk.safetensors").write_bytes(b"junk" * 100)
    (tmp / "list.json").write_text("[]")
    badjson = Path(shutil.copytree(squares, tmp / "badjson"))
    (badjson / "annotations" / "train.json").write_text('{"images": [{"id"')
    val = squares / "annotations" / "val.json"
    (tmp / "other.json").write_text(
        val.read_text().replace('"red"', '"car"').replace("green", "cat").replace("blue", "c")
    )
    return {
        "tiny": tiny, "run": trained.folder, "exported": exported, "tmp": tmp, "empty": tmp / "empty",
        "badjson": badjson, "val": val, "images": squares / "images" / "val",
    }  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_sentence(mistake, places, here):
    command, *words = MISTAKES[mistake]
    ran = detect(*command.format_map(places).split())
    assert_one_error(ran, *words)
    assert not ran.out


def test_a_missing_training_image_is_named(tiny, squares, tmp_path):
    data = Path(shutil.copytree(squares, tmp_path / "data"))
    (data / "images" / "train" / "2.png").unlink()
    assert_one_error(detect("train", tiny, "--set", f"data={data}", "--out", tmp_path / "runs"), "2.png")


def test_a_loss_that_is_not_finite_stops_the_training(tiny, tmp_path):
    ran = detect("train", tiny, "--set", "train.lr=1e30", "--set", "train.epochs=4", "--out", tmp_path)
    assert_one_error(ran, "not finite", "train.lr", "image ids")


OUT_OF_RANGE = {
    "size 0": "evaluate {run} --size 0 --out {tmp}/o",
    "nms threshold 7": "evaluate {run} --nms-threshold 7 --out {tmp}/o",
    "nms threshold nan": "evaluate {run} --nms-threshold nan --out {tmp}/o",
    "an export without suffix": "export {run} --out {tmp}/x.bin",
    "benchmark size": f"benchmark {PAPER} --size 65 --rounds 1",
    "benchmark rounds": f"benchmark {PAPER} --size 64 --rounds 0",
    "device meta": "train {tiny} --device meta --out {tmp}/r",
}


@pytest.mark.parametrize("command", OUT_OF_RANGE.values(), ids=OUT_OF_RANGE)
def test_a_value_out_of_range_is_refused(command, places, here):
    assert_one_error(detect(*command.format_map(places).split()))


@pytest.mark.parametrize("split", ["val", "test-dev"])
def test_an_unwritable_out_is_noticed_before_the_work(split, run, squares, tiny, tmp_path, monkeypatch):
    data = Path(shutil.copytree(squares, tmp_path / "data"))
    (data / "test2017").mkdir()
    shutil.copy(data / "annotations" / "val.json", data / "annotations" / "image_info_test-dev2017.json")
    looked = []
    monkeypatch.setattr("detect.evaluation.splits.detect_images", lambda *_: looked.append(True) or [])
    assert_one_error(detect("evaluate", run, "--data", data, "--split", split, "--out", tiny), "--out")
    assert not looked


def test_a_mistake_leaves_no_empty_folder(exported, here):
    assert detect("predict", "--weights", exported, "--source", "none.jpg").status == 1
    assert not (here / "runs").exists()


@pytest.mark.parametrize("out", [(), ("--out", "deep/er")])
def test_a_dead_camera_leaves_no_folder(exported, here, monkeypatch, out):
    monkeypatch.setattr("detect.inference.reading.open_capture", lambda _: cv2.VideoCapture())
    assert_one_error(detect("predict", "--weights", exported, "--source", "7", *out), "webcam7: cannot be opened")
    assert not list(here.iterdir())


def test_a_window_is_tried_before_the_network_is_loaded(monkeypatch, here):
    monkeypatch.setattr("detect.inference.window.TRY", "import os; os.abort()")
    assert_one_error(detect("predict", "--weights", "none.pt", "--source", "0", "--show"), "--show", "no window")


def test_hints_name_options_of_the_verb(trained, here):
    assert "--set" not in detect("evaluate", trained.folder, "--data", "none").err


def test_an_unknown_option_names_the_help_of_its_verb():
    assert "see detect train --help" in detect("train", "x.yaml", "--with-everything").err


def test_print_config_keeps_the_promise_of_json(tiny):
    assert json.loads(detect("train", tiny, "--print-config", "--json").out)


def test_debug_shows_where(tmp_path):
    with pytest.raises(Exception, match=r"none\.yaml"):
        main(["train", str(tmp_path / "none.yaml"), "--debug"])


def test_a_bug_is_not_the_users_fault(monkeypatch):
    def broken(_):
        raise KeyError("oops")

    monkeypatch.setattr("detect.cli.profile.run", broken)
    ran = detect("profile", PAPER)
    assert ran.status == 2 and ran.err.startswith("bug: KeyError") and ran.err.count("\n") == 1
    with pytest.raises(KeyError):
        detect("profile", PAPER, "--debug")


@pytest.mark.parametrize(("sent", "status"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_signal_ends_quietly_and_the_run_goes_on(tiny, tmp_path, monkeypatch, sent, status):
    from detect.engine.log import TrainingLog

    step = TrainingLog.step

    def press(self, number, *rest):
        step(self, number, *rest)
        if number == 1:
            signal.raise_signal(getattr(signal, sent))

    with monkeypatch.context() as patch:
        patch.setattr(TrainingLog, "step", press)
        ran = detect("train", tiny, "--out", tmp_path)
    assert ran.status == status and "--resume" in ran.out
    assert answer("train", "--resume", tmp_path / "tiny-1")["steps"] == 4


@pytest.mark.parametrize(("sent", "status"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
@pytest.mark.parametrize("within", ["inference.sinks.video_writer.VideoWriter.write", "ops.letterbox.Letterbox.apply"])
def test_a_signal_in_a_video_finishes_the_files(exported, tmp_path, monkeypatch, sent, status, within):
    owner, _, name = f"detect.{within}".rpartition(".")
    owner, calls = resolve_name(owner), []
    original = getattr(owner, name)

    def call(*arguments):
        calls.append(1)
        if len(calls) == 20:
            os.kill(os.getpid(), getattr(signal, sent))
        return original(*arguments)

    write_clip(tmp_path / "clip.avi", 60)
    monkeypatch.setattr(owner, name, call)
    ran = detect("predict", "--weights", exported, "--source", tmp_path / "clip.avi", "--out", tmp_path / "out")
    assert ran.status == status and ran.err.endswith("interrupted\n") and "are kept in" in ran.err
    kept = len(detections_in(tmp_path / "out")["frames"])
    assert kept == frames_in(tmp_path / "out" / "clip.mp4")  # a frame is written wholly or not at all
    assert kept == 20 if name == "write" else 1 <= kept <= 20  # the network is some frames ahead
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"clip.mp4", "detections.json"}


def test_two_runs_do_not_share_a_folder(tmp_path):
    with new_folder(tmp_path, "x") as first, new_folder(tmp_path, "x") as second:
        assert (first.name, second.name) == ("x-1", "x-2")


def test_a_folder_into_which_nothing_came_goes_and_what_was_there_stays(tmp_path):
    for parent, is_there in ((tmp_path / "new", False), (tmp_path / "old", True)):
        parent.mkdir() if is_there else None
        with pytest.raises(KeyError), new_folder(parent, "x"):
            raise KeyError
        assert parent.exists() == is_there and not list(parent.glob("x-1"))
        with pytest.raises(KeyError), new_folder(parent, "x") as folder:
            (folder / "log.txt").touch()
            raise KeyError
        assert (parent / "x-1" / "log.txt").is_file()


@pytest.mark.parametrize("change", ["input.size=100", "model.neck.widths=[1, 2, 3]", "train.freeze=[none]"])
def test_a_model_that_cannot_be_built_leaves_no_folder(tiny, here, change):
    assert_one_error(
        detect("train", tiny, "--out", "new", "--set", change), change.partition("=")[0].rpartition(".")[2]
    )
    assert not list(here.iterdir())


def test_version_and_help(capsys):
    for arguments in (["--version"], ["--help"], ["evaluate", "--help"]):
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        assert stopped.value.code == 0
    out = capsys.readouterr().out
    assert out.startswith("detect 0.") and "test-dev" in out
