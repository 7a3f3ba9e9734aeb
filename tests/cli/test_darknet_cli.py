"""Darknet's files on the command line: predict, evaluate, train, convert."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open

from detect import darknet
from detect.cli.main import main
from detect.darknet import weights
from detect.darknet.cfg import parse
from detect.darknet.network import DarknetNetwork

CFG = """[net]
width=64
height=64
channels=3
batch=2
subdivisions=1
learning_rate=0.001
momentum=0.9
decay=0.0005
max_batches=4
policy=constant

[convolutional]
batch_normalize=1
filters=8
size=3
stride=4
pad=1
activation=leaky

[convolutional]
batch_normalize=1
filters=8
size=3
stride=2
pad=1
activation=leaky

[convolutional]
filters=14
size=1
stride=1
pad=1
activation=linear

[yolo]
mask=0,1
anchors=12,12, 30,30
classes=2
num=2
iou_loss=ciou
iou_normalizer=0.5
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder with net.cfg, net.weights, net.names, an image, and the data set `data` of coloured squares."""
    folder = tmp_path_factory.mktemp("darknet")
    (folder / "net.cfg").write_text(CFG)
    torch.manual_seed(0)
    weights.write(folder / "net.weights", DarknetNetwork(parse(CFG)), weights.Header(0, 2, 5, seen=12345))
    (folder / "net.names").write_text("red\nblue\n")
    for split, count in (("train", 4), ("val", 3)):
        _write_split(folder / "data", split, count)
    return folder


def _write_split(root, split, count):
    rng = np.random.default_rng(count)
    (root / "images" / split).mkdir(parents=True)
    (root / "annotations").mkdir(exist_ok=True)
    images, annotations = [], []
    for number in range(count):
        image = np.full((64, 80, 3), 90, np.uint8)
        for label, colour in enumerate(((200, 0, 0), (0, 0, 200))):
            left, top, side = 40 * label + int(rng.integers(0, 10)), int(rng.integers(0, 30)), int(rng.integers(14, 28))
            image[top : top + side, left : left + side] = colour
            box = {"image_id": number, "category_id": label, "bbox": [left, top, side, side]}
            annotations.append({"id": len(annotations) + 1, **box, "area": side * side, "iscrowd": 0})
        Image.fromarray(image).save(root / "images" / split / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "width": 80, "height": 64})
    categories = [{"id": 0, "name": "red"}, {"id": 1, "name": "blue"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (root / "annotations" / f"{split}.json").write_text(json.dumps(content))


def run(capsys, *arguments):
    """(status, what --json answered or the error)"""
    status = main([*map(str, arguments), *(["--json"] if arguments[0] != "export" else [])])
    out, err = capsys.readouterr()
    return status, (json.loads(out) if status == 0 and out.startswith("{") else err or out)


def darknet_files(files):
    return [files / "net.weights", "--cfg", files / "net.cfg", "--names", files / "net.names"]


def test_predict_and_evaluate_take_weights_with_their_cfg_and_names(files, tmp_path, capsys):
    image = files / "data" / "images" / "val" / "0.png"
    first, *rest = darknet_files(files)
    out = tmp_path / "out"
    status, found = run(capsys, "predict", "--weights", first, *rest, "--source", image, "--out", out, "--conf", 0.0)
    assert status == 0 and found["frames"] == 1
    status, metrics = run(capsys, "evaluate", *darknet_files(files), "--data", files / "data", "--out", tmp_path / "e")
    assert status == 0 and 0 <= metrics["AP"] <= 1 and metrics["images"] == 3


def test_classes_by_darknets_older_names_are_evaluated_and_that_is_said(files, tmp_path, capsys):
    (tmp_path / "old.names").write_text("motorbike\nblue\n")
    text = (files / "data" / "annotations" / "val.json").read_text().replace('"red"', '"motorcycle"')
    (tmp_path / "new.json").write_text(text)
    data = ["--images", files / "data" / "images" / "val", "--annotations", tmp_path / "new.json"]
    weights, cfg, given = darknet_files(files)[:3]
    names = ["--names", tmp_path / "old.names", "--out", tmp_path]
    assert main(["evaluate", *map(str, (weights, cfg, given, *names, *data))]) == 0
    out = capsys.readouterr().out
    assert "classes matched by Darknet's older names: motorbike is motorcycle\n" in out


def test_training_starts_from_weights_and_its_run_is_a_darknet_net_again(files, tmp_path, capsys):
    options = ["--set", f"data={files / 'data'}", "--set", f"train.init={files / 'net.weights'}", "--out", tmp_path]
    status, done = run(capsys, "train", files / "net.cfg", *options, "--set", "train.workers=0")
    assert status == 0 and done["steps"] == 4
    log = (tmp_path / "net-1" / "log.txt").read_text()
    assert "starts from 4 of 4 layers" in log and "Darknet's .cfg: 0.001 M parameters, 64 px" in log
    path = tmp_path / "trained.weights"
    status, _ = run(capsys, "export", done["run"], "--format", "darknet", "--out", path)
    assert status == 0
    assert (tmp_path / "trained.cfg").read_text() == CFG
    assert (tmp_path / "trained.names").read_text() == "red\nblue\n"
    before, after = (darknet.load(files / "net.cfg", p) for p in (files / "net.weights", path))
    assert not torch.equal(before.layers[0].conv.weight, after.layers[0].conv.weight)


def test_weights_go_through_safetensors_and_back_without_loss(files, tmp_path, capsys):
    middle, back = tmp_path / "net.safetensors", tmp_path / "back.weights"
    assert run(capsys, "export", *darknet_files(files), "--out", middle)[0] == 0
    with safe_open(middle, framework="pt") as file:
        assert json.loads(file.metadata()["categories"]) == [{"id": 1, "name": "red"}, {"id": 2, "name": "blue"}]
    assert run(capsys, "export", middle, "--format", "darknet", "--out", back)[0] == 0
    assert back.read_bytes() == (files / "net.weights").read_bytes()
    assert back.with_suffix(".cfg").read_text() == CFG


def test_another_net_of_the_same_layers_starts_from_safetensors_but_for_its_last(files, tmp_path, capsys):
    middle = tmp_path / "net.safetensors"
    assert run(capsys, "export", *darknet_files(files), "--out", middle)[0] == 0
    text = (files / "data" / "annotations" / "train.json").read_text().replace('"red"', '"green"')
    data = tmp_path / "data"
    (data / "annotations").mkdir(parents=True)
    (data / "annotations" / "train.json").write_text(text)
    (data / "images").symlink_to(files / "data" / "images")
    options = ["--set", f"data={data}", "--set", f"train.init={middle}", "--set", "train.workers=0", "--out", tmp_path]
    assert run(capsys, "train", files / "net.cfg", *options)[0] == 0
    log = (tmp_path / "net-1" / "log.txt").read_text()
    assert "starts from 12 of 14 tensors" in log and "head starts anew, 2 -> 2 classes" in log


def test_a_net_that_is_no_square_says_how_its_images_are_laid(files, tmp_path, capsys):
    (tmp_path / "wide.cfg").write_text(CFG.replace("width=64", "width=96"))
    arguments = [files / "net.weights", "--cfg", tmp_path / "wide.cfg", "--data", files / "data", "--out", tmp_path]
    names = ["--names", files / "net.names"]
    assert main([str(a) for a in ("evaluate", *arguments, *names)]) == 0
    assert "is 96x64 px; here images are letterboxed into 96 px squares" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluate", "net.weights", "--data", "data"], "need the .cfg that says what they are; give --cfg FILE"),
        (["evaluate", "net.weights", "--cfg", "none.cfg", "--data", "data"], "none.cfg: no such file"),
        (["evaluate", "net.weights", "--cfg", "net.cfg", "--names", "net.cfg", "--data", "data"], "but the .cfg has 2"),
        (["evaluate", "net.cfg", "--data", "data"], "net.cfg: not a checkpoint"),
        (["export", "net.weights", "--cfg", "net.cfg", "--out", "x.pt"], "must end in the suffix of a format"),
        (["export", "net.weights", "--cfg", "net.cfg", "--format", "darknet", "--out", "x.pt"], "must end in .weights"),
        (
            ["export", "net.weights", "--cfg", "net.cfg", "--set", "model.cfg=x", "--out", "x.safetensors"],
            "cannot be changed",
        ),
        (["profile", "net.cfg", "--classifier", "5"], "a .cfg has no backbone of its own"),
        (["train", "net.cfg", "--set", "train.lrr=1"], "unknown key 'train.lrr'; did you mean 'lr'"),
    ],
)
def test_mistakes_are_one_sentence(files, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(files)
    status, error = run(capsys, *arguments)
    assert status == 1 and message in error and error.count("\n") == 1


def test_data_of_other_classes_are_refused(files, tmp_path, capsys):
    text = CFG.replace("classes=2", "classes=3").replace("filters=14", "filters=16")
    (tmp_path / "three.cfg").write_text(text)
    status, error = run(capsys, "train", tmp_path / "three.cfg", "--set", f"data={files / 'data'}", "--out", tmp_path)
    assert status == 1 and "has 2 classes, the .cfg 3; set classes=" in error
