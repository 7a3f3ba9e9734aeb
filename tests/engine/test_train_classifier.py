"""A classifier trains in the detector's loop: it learns, goes on exactly, and hands its backbone on."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from detect import config
from detect.config.schema import ClassifierSettings
from detect.engine.classification import ClassificationTask
from detect.engine.train import Trainer
from detect.errors import UserError
from detect.models.classifier import Classifier
from detect.models.detector import build_detector
from detect.ops.image import read_image, write_image
from detect.report.mosaics import GAP, TILE
from detect.weights.checkpoint import read_checkpoint
from detect.weights.files import read, write_safetensors
from detect.weights.start import load_matching

pytestmark = pytest.mark.usefixtures("one_thread")

COLOURS = {"blue": (40, 40, 230), "green": (30, 200, 40), "red": (230, 30, 30)}
PARTS = {"neck": {"name": "EFM", "widths": [8, 8, 8]}, "head": {"name": "YOLOv3"}}


def write_set(root, train=3, val=2):
    """Images of noise in three colours, so many a class and split."""
    rng = np.random.default_rng(0)
    for split, count in (("train", train), ("val", val)):
        for name, colour in COLOURS.items():
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                noise = rng.integers(-30, 31, (40, 48, 3))
                image = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
                write_image(root / split / name / f"{number}.png", image)
    return root


@pytest.fixture(scope="module")
def colours(tmp_path_factory):
    return write_set(tmp_path_factory.mktemp("colours"))


@pytest.fixture
def settings_of(small_backbone):
    def settings(data, backbone=None, augment=None, **train):
        small = {"steps": 4, "batch": 3, "lr": 0.05, "ema": 0.9, "workers": 0, "norm_momentum": 0.1}
        return config.from_dict(
            {
                "model": {"backbone": backbone or {"name": small_backbone}},
                "input": {"size": 32},
                "data": {"root": str(data)},
                "augment": {"short_side": [32, 40]} | (augment or {}),
                "train": small | {"schedule": "poly", "burn_in": 1} | train,
            },
            settings_type=ClassifierSettings,
        )

    return settings


def trained(settings, folder, until=None, resume=False):
    folder.mkdir(exist_ok=True)
    state = read_checkpoint(folder / "last.pt") if resume else None
    trainer = Trainer(ClassificationTask(settings), folder, state=state)
    trainer.run(until)
    return trainer


def assert_same(a, b):
    assert a.keys() == b.keys()
    for name, value in a.items():
        assert_close(value, b[name], rtol=0, atol=0, msg=name)


def test_two_steps_and_two_more_equal_four(colours, tmp_path, settings_of):
    settings = settings_of(colours, batch=6, accumulate=3, evaluate_every=0.5)
    whole = trained(settings, tmp_path / "whole")
    trained(settings, tmp_path / "parts", until=2)
    parts = trained(settings, tmp_path / "parts", resume=True)
    assert whole.step == parts.step == 4
    for kept in ("last.pt", "best.pt"):
        states = [read_checkpoint(tmp_path / run / kept) for run in ("whole", "parts")]
        assert_same(*(state["model"] for state in states))
    assert_same(*(read_checkpoint(tmp_path / run / "last.pt")["ema"]["model"] for run in ("whole", "parts")))
    timeless = [[{k: v for k, v in row.items() if k not in ("images_per_second", "data_share")} for row in run.history]
                for run in (whole, parts)]  # fmt: skip
    assert timeless[0] == timeless[1] and len(timeless[0]) >= 2
    assert timeless[0][-1].keys() == {"epoch", "step", "lr", "gradient_norm", "clipped", "cls", "top1", "top5"}


def test_a_small_set_can_be_overfitted(tmp_path, settings_of):
    """Six images of noise whose labels say nothing about them: known by heart after some steps."""
    rng = np.random.default_rng(0)
    for number in range(6):
        image = rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)
        for split in ("train", "val"):
            path = tmp_path / "data" / split / "abc"[number % 3] / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_image(path, image)
    still = {"short_side": [32, 32], "angle": 0, "aspect": 1, "flip": 0, "hue": 0, "saturation": 1, "exposure": 1}
    settings = settings_of(tmp_path / "data", augment=still, steps=60, batch=6, ema=0, power=1, evaluate_every=60)
    trainer = trained(settings, tmp_path / "run")
    assert trainer.history[-1]["top1"] == 1.0


def test_it_learns_what_it_was_not_shown(colours, tmp_path, settings_of):
    row = trained(settings_of(colours, steps=40, ema=0, evaluate_every=100), tmp_path).history[-1]
    assert row["top1"] == 1.0 and row["top5"] == 1.0


def test_the_run_folder_and_the_first_lines(colours, tmp_path, settings_of):
    trainer = trained(settings_of(colours), tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    batches = {f"train_batch{number}.jpg" for number in range(3)} & names
    assert names == {"best.pt", "last.pt", "log.txt", "results.csv", "results.png"} | batches
    assert "train_batch0.jpg" in batches
    height, width, _ = read_image(tmp_path / "train_batch0.jpg").shape
    assert (height, width) == (TILE, 3 * TILE + 2 * GAP)  # three images a batch
    lines = list(trainer.summary())
    assert lines[0].startswith("Small: 0.00") and lines[0].endswith("32 px")
    assert lines[1] == f"train: 9 images of 3 classes, 33.3% of them of the largest: {colours / 'train'}"
    assert "top1" in (tmp_path / "log.txt").read_text()


def test_a_set_that_cannot_be_used_is_named(colours, tmp_path, settings_of):
    root = write_set(tmp_path / "set", 1, 1)
    (root / "val" / "red").rename(root / "val" / "rod")
    with pytest.raises(UserError, match="the class 'rod' is none of the 3 known ones; did you mean 'red'"):
        ClassificationTask(settings_of(root))
    (tmp_path / "one" / "train").mkdir(parents=True)
    (root / "train" / "red").rename(tmp_path / "one" / "train" / "red")
    with pytest.raises(UserError, match="holds one class only"):
        ClassificationTask(settings_of(tmp_path / "one"))
    values = config.to_dict(settings_of(colours))
    for section, words in ({"data": None}, "data is missing"), ({"train": {}}, "say how long to train"):
        with pytest.raises(UserError, match=words):
            ClassificationTask(config.from_dict(values | section, settings_type=ClassifierSettings))


def test_a_corrupt_image_stops_with_its_name_and_costs_no_step(tmp_path, settings_of):
    root = write_set(tmp_path / "set", 2, 1)
    settings = settings_of(root, steps=2, batch=6)
    trained(settings, tmp_path / "run", until=1)
    (root / "train" / "red" / "1.png").write_bytes(b"no image")
    trainer = Trainer(ClassificationTask(settings), tmp_path / "run", state=read_checkpoint(tmp_path / "run/last.pt"))
    with pytest.raises(UserError, match=r"red/1\.png: not a readable image"):
        trainer.run()
    assert read_checkpoint(tmp_path / "run" / "last.pt")["step"] == 1


def test_weights_that_are_not_finite_stop_and_name_the_images(colours, tmp_path, settings_of):
    trainer = Trainer(ClassificationTask(settings_of(colours)), tmp_path)
    with torch.no_grad():
        trainer.network.classify.bias[0] = float("nan")
    with pytest.raises(UserError, match=r"step 1: the cls loss is not finite.* image ids (blue|green|red)/\d\.png"):
        trainer.run()


def test_resuming_on_other_classes_is_refused(colours, tmp_path, settings_of):
    trained(settings_of(colours, steps=2), tmp_path / "run")
    root = write_set(tmp_path / "set", 1, 1)
    for split in ("train", "val"):
        (root / split / "red").rename(root / split / "rod")
    with pytest.raises(UserError, match="has other classes than the run"):
        trained(settings_of(root), tmp_path / "run", resume=True)


# ---- what lies in its files ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(colours, small_backbone, tmp_path_factory):
    """The folder of a finished run of two steps."""
    folder = tmp_path_factory.mktemp("run")
    values = {
        "model": {"backbone": {"name": small_backbone}}, "input": {"size": 32}, "data": {"root": str(colours)},
        "train": {"steps": 2, "batch": 3, "workers": 0, "norm_momentum": 0.5},
    }  # fmt: skip
    Trainer(ClassificationTask(config.from_dict(values, settings_type=ClassifierSettings)), folder).run()
    return folder


@pytest.mark.parametrize("half", [False, True])
def test_a_classifier_round_trips_through_both_kinds_of_file(run, tmp_path, half, colours):
    loaded = read(run, settings_type=ClassifierSettings)
    assert isinstance(loaded.network, Classifier) and not loaded.network.training
    assert loaded.names == ("blue", "green", "red") and loaded.settings.data.root == str(colours)
    write_safetensors(tmp_path / "w.safetensors", loaded, half)
    again = read(tmp_path / "w.safetensors", settings_type=None)
    assert again.categories == loaded.categories and again.settings.data is None
    assert str(colours).encode() not in (tmp_path / "w.safetensors").read_bytes()
    expected = loaded.network.half().float() if half else loaded.network
    assert_same(dict(again.network.state_dict()), dict(expected.state_dict()))


def test_one_kind_of_file_is_not_taken_for_the_other(run, tmp_path):
    with pytest.raises(UserError, match=r"best\.pt: is a classifier, no detector; use tools/classify\.py"):
        read(run)


def detector(small_backbone, num_classes=2):
    torch.manual_seed(3)
    return build_detector({"backbone": {"name": small_backbone}} | PARTS, num_classes)


def test_a_backbone_goes_into_a_detector(run, small_backbone):
    model, untouched = detector(small_backbone), detector(small_backbone)
    report = load_matching(model, [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}], run)
    count = len(model.backbone.state_dict())
    assert report == (
        f"{count} of {count} backbone tensors from {run / 'best.pt'}; classifier dropped, neck and head start anew"
    )
    source = read(run, settings_type=None).network
    assert_same(dict(model.backbone.state_dict()), dict(source.backbone.state_dict()))
    for part in ("neck", "head"):
        assert_same(dict(getattr(model, part).state_dict()), dict(getattr(untouched, part).state_dict()))


def test_a_backbone_comes_out_of_a_detector(run, small_backbone, tmp_path):
    source = detector(small_backbone)
    settings = {"model": {"backbone": {"name": small_backbone}} | PARTS, "input": {"size": 64}}
    state = {"model": source.state_dict(), "config": settings, "categories": [{"id": 0, "name": "a"}] * 2}
    torch.save(state, tmp_path / "best.pt")
    model = read(run, settings_type=None).network
    head = model.classify.weight.clone()
    report = load_matching(model, [{"id": i, "name": n} for i, n in enumerate("abc")], tmp_path)
    assert report.endswith("best.pt; neck and head dropped, classifier starts anew")
    assert_same(dict(model.backbone.state_dict()), dict(source.backbone.state_dict()))
    assert_close(model.classify.weight, head, rtol=0, atol=0)


def test_a_classifier_starts_from_a_classifier(run):
    source = read(run, settings_type=None)
    for names, same in ((source.names, True), (("a", "b", "c"), False), (("a", "b"), False)):
        torch.manual_seed(5)
        model = config.build_model(source.settings, len(names))
        before = model.classify.weight.clone()
        report = load_matching(model, [{"id": i, "name": name} for i, name in enumerate(names)], run)
        assert_same(dict(model.backbone.state_dict()), dict(source.network.backbone.state_dict()))
        assert ("classifier starts anew" in report) != same
        assert_close(model.classify.weight, source.network.classify.weight if same else before, rtol=0, atol=0)
    assert report.endswith("; classifier starts anew, 3 -> 2 classes")
