"""What `detect benchmark` measures; how fast it is, is nobody's claim here."""

import copy
import json
import math

import numpy as np
import pytest
import torch
import yaml

from detect import config
from detect.analysis import benchmark
from detect.analysis.benchmark import (
    benchmark_inference,
    benchmark_postprocess,
    benchmark_training,
    generated_image,
    make_data_set,
    table,
)
from detect.cli.main import main
from detect.data.coco import CocoDataset
from detect.errors import UserError
from detect.models.detector import build_detector
from detect.weights.files import Weights, write_safetensors

pytestmark = pytest.mark.usefixtures("one_thread")

STAGES = {"letterbox", "forward", "decode", "nms"}
MODEL = {"backbone": {"name": "CSPPeleeNet"}, "neck": {"name": "EFM"}, "head": {"name": "YOLOv3"}}
TRAIN = {"batch": 8, "accumulate": 4, "steps": 1000, "workers": 0, "precision": "fp32"}


@pytest.fixture(autouse=True)
def few_images(monkeypatch):
    monkeypatch.setattr(benchmark, "make_data_set", lambda folder, count: make_data_set(folder, 4))


def small_settings():
    return config.from_dict(copy.deepcopy({"model": MODEL, "input": {"size": 64}, "train": TRAIN}))


def assert_is_inference(measured):
    assert measured.keys() == STAGES | {"overhead", "fps", "detections"}
    assert measured["detections"] >= 0
    assert all(math.isfinite(value) and value > 0 for name, value in measured.items() if name != "detections")
    around = sum(measured[stage] for stage in STAGES - {"forward"})
    assert measured["overhead"] == pytest.approx(around / measured["forward"])
    assert measured["fps"] == pytest.approx(1000 / (around + measured["forward"]))


def assert_is_training(measured):
    assert measured.keys() == {"images_per_second", "loader_share"}
    assert measured["images_per_second"] > 0 and 0 <= measured["loader_share"] <= 1


def assert_is_postprocess(measured):
    assert measured.keys() == {"0.25", "0.001"}
    assert all(of.keys() == {"candidates", "ms"} and of["ms"] > 0 for of in measured.values())
    assert 50 < measured["0.25"]["candidates"] < 150
    assert 10_000 <= measured["0.001"]["candidates"] < 10_500


def test_decoding_and_nms_are_measured_alone():
    assert_is_postprocess(benchmark_postprocess(rounds=1))


def test_inference_is_measured_by_stage():
    assert_is_inference(benchmark_inference(small_settings(), 64, rounds=2))


def test_given_weights_are_measured(tmp_path):
    torch.manual_seed(0)
    settings = small_settings()
    model = Weights.of(
        build_detector(vars(settings.model), 2), settings, [{"id": 1, "name": "a"}, {"id": 5, "name": "b"}], tmp_path
    )
    write_safetensors(tmp_path / "two.safetensors", model)
    assert_is_inference(benchmark_inference(settings, 64, tmp_path / "two.safetensors", rounds=1))


def test_training_is_measured_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = small_settings()
    before = config.to_dict(settings)
    assert_is_training(benchmark_training(settings, 64, batch=2, steps=1))
    assert config.to_dict(settings) == before
    assert not list(tmp_path.iterdir())


def test_generated_images_are_data(tmp_path):
    make_data_set(tmp_path, count=2)
    dataset = CocoDataset(tmp_path / "annotations" / "train.json", tmp_path / "images")
    assert len(dataset) == 2 and not dataset.notes
    for index in range(2):
        sample = dataset.sample(index)
        assert sample.image.shape == (480, 640, 3) and len(sample.boxes) == 8


def test_the_measured_image_is_always_the_same():
    first, second = (generated_image(np.random.default_rng(0)) for _ in range(2))
    assert first.dtype == np.uint8 and first.shape == (480, 640, 3)
    np.testing.assert_array_equal(first, second)


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump({"model": MODEL, "input": {"size": 64}, "train": TRAIN}))
    return str(path)


def test_the_command_answers_in_json(recipe, capsys):
    assert main(["benchmark", recipe, "--size", "64", "--batch", "2", "--rounds", "1", "--steps", "1", "--json"]) == 0
    said = capsys.readouterr()
    (line,) = said.out.splitlines()
    result = json.loads(line)
    assert result.keys() == {"machine", "inference", "postprocess", "training"}
    assert_is_inference(result["inference"])
    assert_is_postprocess(result["postprocess"])
    assert_is_training(result["training"])
    assert table(result) in said.err


def test_missing_weights_are_the_users_mistake(tmp_path):
    with pytest.raises(UserError, match=r"none\.pt"):
        benchmark_inference(small_settings(), 64, tmp_path / "none.pt", rounds=1)


@pytest.mark.parametrize("option", ["--size=65", "--size=0", "--rounds=0", "--rounds=-9", "--batch=0", "--steps=0"])
def test_a_number_out_of_range_is_the_users_mistake(recipe, option, capsys, monkeypatch):
    def far(*_, **__):
        raise ValueError("got as far as training")

    monkeypatch.setattr(benchmark, "make_data_set", far)
    assert main(["benchmark", recipe, "--size=64", "--batch=2", "--rounds=1", "--steps=1", option]) == 1
    assert capsys.readouterr().err.startswith("error: ")
