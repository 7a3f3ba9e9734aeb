"""`detect label` says how many boxes of each class it wrote."""

import json

import numpy as np
import pytest
import torch

from detect import build, config
from detect.ops.image import write_image
from detect.weights.files import Weights, write_safetensors
from tests.cli.command_line import answer, detect

CATEGORIES = [{"id": 3, "name": "red"}, {"id": 7, "name": "green"}]


@pytest.fixture
def weights(tmp_path, small_backbone):
    """A detector of random numbers that finds things of low scores everywhere."""
    torch.manual_seed(0)
    model = {"backbone": {"name": small_backbone}, "neck": {"name": "PRN", "widths": [8, 8]},
             "head": {"name": "YOLOv3", "anchors": "coco6_tiny"}}  # fmt: skip
    network = build(model, num_classes=2).eval()
    for conv in network.head.predictions:
        torch.nn.init.normal_(conv.weight, std=0.5)
        torch.nn.init.zeros_(conv.bias)
    settings = config.from_dict({"model": model, "input": {"size": 64}})
    write_safetensors(tmp_path / "x.safetensors", Weights.of(network, settings, CATEGORIES, "x"))
    return tmp_path / "x.safetensors"


@pytest.fixture
def photos(tmp_path):
    for number in range(2):
        image = np.random.default_rng(number).integers(0, 255, (60, 80, 3), np.uint8)
        (tmp_path / "photos").mkdir(exist_ok=True)
        write_image(tmp_path / "photos" / f"{number}.png", image)
    return tmp_path / "photos"


def test_boxes_are_counted_by_class(weights, photos, tmp_path):
    out = tmp_path / "labels.json"
    ran = detect("label", "--weights", weights, "--source", photos, "--out", out)
    content = json.loads(out.read_text())
    assert ran.status == 0 and content["categories"] == CATEGORIES
    assert 0.05 < min(box["score"] for box in content["annotations"]) < 0.25  # lower than what predicting shows
    for category in CATEGORIES:
        count = sum(box["category_id"] == category["id"] for box in content["annotations"])
        assert f"{count:6d}  {category['name']}\n" in ran.out
    assert ran.out.endswith(f"{len(content['annotations'])} boxes in 2 images of {photos}: {out}\n")


def test_min_score_leaves_out_the_others_and_json_tells_the_numbers(weights, photos, tmp_path):
    out = tmp_path / "labels.json"
    told = answer("label", "--weights", weights, "--source", photos, "--out", out, "--min-score", "0.5")
    scores = [box["score"] for box in json.loads(out.read_text())["annotations"]]
    assert told["boxes"] == len(scores) > 0 and min(scores) > 0.5 and told["images"] == 2


def test_a_photo_that_cannot_be_read_is_said_and_counted(weights, photos, tmp_path):
    (photos / "2.png").write_bytes(b"none")
    ran = detect("label", "--weights", weights, "--source", photos, "--out", tmp_path / "labels.json")
    assert ran.status == 1 and "2.png: not a readable image" in ran.err
    assert ran.err.endswith("not labelled: 1\n")


def test_a_file_of_somebody_elses_needs_overwrite(weights, photos, tmp_path):
    out = tmp_path / "labels.json"
    out.write_text("{}")
    arguments = ("label", "--weights", weights, "--source", photos, "--out", out)
    ran = detect(*arguments)
    assert ran.status == 1 and ran.err.startswith(f"error: --out {out}: is there already") and out.read_text() == "{}"
    assert detect(*arguments, "--overwrite").status == 0
