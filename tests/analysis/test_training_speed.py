"""What is measured of training; how fast it is, is nobody's claim here."""

import copy

import pytest

from detect import config
from detect.analysis import training_speed
from detect.analysis.training_speed import benchmark_training, make_data_set
from detect.data.dataset import Dataset
from tests.cli.command_line import answer, detect

pytestmark = pytest.mark.usefixtures("one_thread", "small_backbone")

MODEL = {"backbone": {"name": "Small"}, "neck": {"name": "EFM", "widths": [8, 8, 8]}, "head": {"name": "YOLOv3"}}
TRAIN = {"batch": 8, "accumulate": 4, "steps": 1000, "workers": 0, "precision": "fp32"}


@pytest.fixture(autouse=True)
def few_images(monkeypatch):
    monkeypatch.setattr(training_speed, "make_data_set", lambda folder, count: make_data_set(folder, 4))


def assert_is_training(measured):
    assert (
        measured["images_per_second"] > 0
        and measured["loader_images_per_second"] > 0
        and measured["step_over_bare"] > 0
        and 0 <= measured["loader_share"] <= 1
    )


def test_training_is_measured_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = config.from_dict(copy.deepcopy({"model": MODEL, "input": {"size": 64}, "train": TRAIN}))
    before = config.to_dict(settings)
    measured = benchmark_training(settings, 64, batch=2, steps=1)
    assert measured.keys() == {"images_per_second", "step_over_bare", "loader_share", "loader_images_per_second"}
    assert_is_training(measured)
    assert config.to_dict(settings) == before
    assert not list(tmp_path.iterdir())


def test_generated_images_are_data(tmp_path):
    make_data_set(tmp_path, count=2)
    dataset = Dataset.of_coco(tmp_path / "annotations" / "train.json", tmp_path / "images")
    assert len(dataset) == 2 and not dataset.notes
    for index in range(2):
        sample = dataset.sample(index)
        assert sample.image.shape == (480, 640, 3) and len(sample.boxes) == 8


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(config.dump(config.from_dict({"model": MODEL, "input": {"size": 64}, "train": TRAIN})))
    return path


def test_the_command_measures_every_configuration(recipe):
    arguments = ("benchmark", recipe, recipe, "--training", "--batch", 2, "--steps", 1)
    result = answer(*arguments)
    assert result.keys() == {"machine", "training"} and len(result["training"]) == 2
    for measured in result["training"]:
        assert (measured["model"], measured["size"], measured["batch"]) == ("small", 64, 2)
        assert_is_training(measured)
    out = detect(*arguments).out
    assert "waiting for the loader" in out and "loader alone, images/s" in out


def test_only_configurations_are_trained(foreign_xml):
    ran = detect("benchmark", foreign_xml(), "--training")
    assert ran.status == 1 and "is no configuration, which --training trains" in ran.err


@pytest.mark.parametrize("option", ["--size=65", "--size=0", "--rounds=0", "--rounds=-9", "--batch=0", "--steps=0"])
def test_a_number_out_of_range_is_the_users_mistake(recipe, option, monkeypatch):
    def far(*_, **__):
        raise ValueError("got as far as training")

    monkeypatch.setattr(training_speed, "make_data_set", far)
    ran = detect("benchmark", recipe, "--training", "--size=64", "--batch=2", "--steps=1", option)
    assert ran.status == 1 and ran.err.startswith("error: ")
