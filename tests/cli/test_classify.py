"""`detect classify` and `detect crop_boxes` as a user meets them."""

import csv
import json
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

from detect.config.schema import ClassifierSettings
from detect.ops.image import write_image
from detect.weights.files import read
from tests.cli.command_line import answer, detect

pytestmark = pytest.mark.usefixtures("one_thread")

COLOURS = {"blue": (40, 40, 230), "green": (30, 200, 40), "red": (230, 30, 30)}
PARTS = {"neck": {"name": "EFM", "widths": [8, 8, 8]}, "head": {"name": "YOLOv3"}}


@pytest.fixture(scope="module")
def places(small_backbone, tmp_path_factory):
    """A set of colours as class folders and as COCO data, a configuration of each kind, and a run of each."""
    root = tmp_path_factory.mktemp("classify")
    rng, images, boxes = np.random.default_rng(0), [], []
    (root / "coco" / "annotations").mkdir(parents=True)
    (root / "coco" / "images").mkdir()
    for label, (name, colour) in enumerate(COLOURS.items()):
        for split, count in (("train", 3), ("val", 2)):
            (root / "set" / split / name).mkdir(parents=True)
            for number in range(count):
                image = np.clip(np.array(colour) + rng.integers(-30, 31, (64, 72, 3)), 0, 255).astype(np.uint8)
                write_image(root / "set" / split / name / f"{number}.png", image)
        write_image(root / "coco" / "images" / f"{label}.png", image)
        images.append({"id": label, "file_name": f"{label}.png", "width": 72, "height": 64})
        boxes.append({"id": label + 1, "image_id": label, "category_id": label, "bbox": [8, 8, 40, 40]})
    categories = [{"id": label, "name": name} for label, name in enumerate(COLOURS)]
    content = {"images": images, "annotations": boxes, "categories": categories}
    (root / "coco" / "annotations" / "train.json").write_text(json.dumps(content))

    train = {"steps": 30, "batch": 3, "workers": 0, "lr": 0.05, "ema": 0, "norm_momentum": 0.1, "evaluate_every": 5}
    model = {"backbone": {"name": small_backbone}}
    values = {
        "model": model,
        "input": {"size": 32, "resize": 36},
        "data": "set",
        "augment": {"short_side": [32, 40]},
        "train": train,
    }
    (root / "tiny.yaml").write_text(yaml.safe_dump(values))
    values = {"model": model | PARTS, "input": {"size": 64}, "data": "coco", "train": train | {"steps": 1}}
    (root / "detector.yaml").write_text(yaml.safe_dump(values))
    (root / "empty").mkdir()
    said = answer("classify", "train", root / "tiny.yaml", "--out", root / "runs")
    found = answer("train", root / "detector.yaml", "--out", root / "runs")
    return SimpleNamespace(root=root, set=root / "set", tiny=root / "tiny.yaml", said=said, run=root / "runs/tiny-1",
                           detector=root / "detector.yaml", detector_run=found["run"])  # fmt: skip


def test_training_answers_and_fills_the_run_folder(places):
    assert places.said["run"] == str(places.run) and places.said["steps"] == 30
    rows = list(csv.DictReader((places.run / "results.csv").open()))
    assert max(float(row["top1"]) for row in rows) == 1.0  # the best; the last one hangs on the processor's rounding
    assert places.said["metrics"]["top1"] == pytest.approx(float(rows[-1]["top1"]), abs=1e-6)  # six digits
    names = {path.name for path in places.run.iterdir()}
    batches = {f"train_batch{number}.jpg" for number in range(3)}
    assert names == {"config.yaml", "log.txt", "results.csv", "last.pt", "best.pt", "results.png"} | batches


def test_evaluation_prints_classes_and_both_numbers(places):
    ran = detect("classify", "evaluate", places.run)
    assert ran.status == 0
    lines = ran.out.splitlines()
    assert [line.split() for line in lines[:4]] == [
        ["class", "images", "top-1"], ["blue", "2", "1.000"], ["green", "2", "1.000"], ["red", "2", "1.000"],
    ]  # fmt: skip
    assert lines[-1] == "top-1 1.0000  top-5 1.0000  (the largest class alone: 0.3333)"


def test_evaluation_answers_in_json_on_any_split_and_data(places):
    content = answer("classify", "evaluate", places.run)
    assert (content["top1"], content["top5"], content["images"]) == (1.0, 1.0, 6)
    assert content["majority"] == pytest.approx(1 / 3) and content["per_class"]["red"] == {"images": 2, "top1": 1.0}
    assert answer("classify", "evaluate", places.run, "--data", places.set, "--split", "train")["images"] == 9
    assert answer("classify", "evaluate", places.run, "--ten-crop")["top1"] == 1.0


def test_export_and_evaluation_of_the_exported(places, tmp_path):
    path = tmp_path / "w.safetensors"
    assert answer("export", places.run, "--half", "--out", path)["bytes"] == path.stat().st_size
    assert answer("classify", "evaluate", path, "--data", places.set)["top1"] == 1.0
    assert "give --data FOLDER" in detect("classify", "evaluate", path).err


def test_a_finished_run_goes_on_with_more_steps(places, tmp_path):
    answer("classify", "train", places.tiny, "--set", "train.steps=2", "--out", tmp_path)
    assert "finished after 2 steps" in detect("classify", "train", "--resume", tmp_path / "tiny-1").err
    assert answer("classify", "train", "--resume", tmp_path / "tiny-1", "--set", "train.steps=4")["steps"] == 4


def test_print_config_shows_a_classifiers_keys(places):
    ran = detect("classify", "train", places.tiny, "--print-config", "--set", "train.power=2")
    values = yaml.safe_load(ran.out)
    assert values.keys() == {"model", "input", "data", "augment", "train"} and values["train"]["power"] == 2
    assert json.loads(detect("classify", "train", places.tiny, "--print-config", "--json").out)["input"]["size"] == 32


def test_its_backbone_starts_a_detector(places, tmp_path):
    ran = detect("train", places.detector, "--set", f"train.init={places.run}", "--out", tmp_path)
    assert ran.status == 0
    count = len(read(places.run, settings_type=ClassifierSettings).network.backbone.state_dict())
    assert (
        f"starts from {count} of {count} backbone tensors from {places.run / 'best.pt'}; classifier dropped" in ran.out
    )


def test_boxes_become_a_set_that_can_be_judged(places, tmp_path):
    said = answer("crop_boxes", "--data", places.root / "coco", "--out", tmp_path / "crops", "--classes", "blue,red")
    assert said == {"folder": str(tmp_path / "crops" / "train"), "images": {"blue": 1, "red": 1}}
    judged = answer("classify", "evaluate", places.run, "--data", tmp_path / "crops", "--split", "train")
    assert judged["images"] == 2 and judged["per_class"].keys() == {"blue", "red"}


MISTAKES = {
    "no action": ("classify", "train|evaluate"),
    "unknown action": ("classify trian", "trian"),
    "unknown option": ("classify train {root}/tiny.yaml --epochs 3", "--epochs"),
    "nothing to train": ("classify train", "--resume"),
    "a detector's configuration": ("classify train {root}/detector.yaml", "is a detector", "tools/train.py"),
    "a classifier's configuration": ("train {root}/tiny.yaml", "is a classifier", "tools/classify.py"),
    "a detector's weights": ("classify evaluate {detector_run}", "is a detector", "tools/evaluate.py"),
    "a classifier's weights": ("evaluate {run}", "is a classifier", "tools/classify.py"),
    "a classifier that shall detect": ("predict --weights {run} --source 0 --out {root}/o", "is a classifier"),
    "a detector resumed": ("classify train --resume {detector_run}", "is a detector"),
    "misspelt key": ("classify train {root}/tiny.yaml --set augment.shortside=[3,4]", "did you mean 'short_side'"),
    "missing data": ("classify train {root}/tiny.yaml --set data={root}/none", "no such file or folder"),
    "data without classes": ("classify train {root}/tiny.yaml --set data={root}/coco", "no folder 'train'"),
    "no such split": ("classify evaluate {run} --split test", "no folder 'test'"),
    "missing weights": ("classify evaluate {root}/none.pt", "none.pt"),
    "folder without weights": ("classify evaluate {root}/empty", "neither best.pt nor last.pt"),
    "unknown device": ("classify evaluate {run} --device gpu", "--device gpu"),
    "crops of nothing": ("crop_boxes --data {root}/none --out {root}/o", "none"),
    "crops of no class": ("crop_boxes --data {root}/coco --out {root}/o --classes reed", "did you mean 'red'"),
    "crops over others": ("crop_boxes --data {root}/coco --out {root}/set", "is there already"),
    "no side": ("crop_boxes --data {root}/coco --out {root}/o --min-side 0", "--min-side"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_sentence(mistake, places, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command, *words = MISTAKES[mistake]
    ran = detect(*command.format_map(vars(places)).split())
    assert ran.status == 1 and ran.err.startswith("error: ") and ran.err.count("\n") == 1, ran.err
    for word in words:
        assert word in ran.err
    assert not list(tmp_path.iterdir())
