"""A training stops at any step, by whatever cause, and goes on exactly; and it learns."""

import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from torch.testing import assert_close

from detect import config
from detect.api.load import predictor_of
from detect.darknet.cfg import parse
from detect.darknet.network import DarknetNetwork
from detect.engine import loader_watch
from detect.engine.detection import DetectionTask
from detect.engine.log import Silence, TrainingLog
from detect.engine.optimizer import moments
from detect.engine.train import Trainer
from detect.errors import UserError
from detect.interrupt import Interrupted
from detect.ops.image import write_image
from detect.weights.checkpoint import read_checkpoint
from detect.weights.files import read
from tests.small_nets import conv, net, section

pytestmark = pytest.mark.usefixtures("one_thread", "small_backbone")

ROOT = Path(__file__).parents[2]
COLOURS = ((230, 30, 30), (30, 220, 40), (40, 40, 230))
TIMES = ("images_per_second", "data_share")  # the only numbers of a run that differ from run to run


def write_split(root, split, contents):
    """Write a split whose objects are coloured rectangles: per image (height, width, [(box xyxy, label), ...])."""
    rng = np.random.default_rng(0)
    (root / "images" / split).mkdir(parents=True, exist_ok=True)
    (root / "annotations").mkdir(exist_ok=True)
    images, annotations = [], []
    for i, (height, width, objects) in enumerate(contents):
        coarse = rng.integers(60, 180, (9, 9, 3), dtype=np.uint8)
        image = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        for (left, top, right, bottom), label in objects:
            image[top:bottom, left:right] = COLOURS[label]
            box = [left, top, right - left, bottom - top]
            annotations.append({"id": len(annotations) + 1, "image_id": 40 + i, "category_id": 2 + 3 * label})
            annotations[-1] |= {"bbox": box, "area": box[2] * box[3], "iscrowd": 0}
        images.append({"id": 40 + i, "file_name": f"{i}.png", "width": width, "height": height})
        write_image(root / "images" / split / f"{i}.png", image)
    categories = [{"id": 2 + 3 * label, "name": name} for label, name in enumerate(("red", "green", "blue"))]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (root / "annotations" / f"{split}.json").write_text(json.dumps(content))


@pytest.fixture(scope="module")
def squares(tmp_path_factory):
    """Eight images of 64-96 px with up to two coloured squares, two of them again as split val."""
    root, rng, contents = tmp_path_factory.mktemp("squares"), random.Random(0), []
    for i in range(8):
        height, width = rng.randint(64, 96), rng.randint(64, 96)
        objects = []
        for label in range(i % 3):
            left, top, side = rng.randint(0, 30), rng.randint(0, 30), rng.randint(16, 32)
            objects.append(((left, top, left + side, top + side), label))
        contents.append((height, width, objects))
    write_split(root, "train", contents)
    write_split(root, "val", contents[1:3])
    return root


def settings_of(data, backbone="Small", neck=None, input=None, augment=None, loss=None, **train):
    """A small run: small model, 64 px, batches of 3."""
    small = {"steps": 4, "batch": 3, "lr": 0.01, "ema": 0.99, "workers": 0, "norm_momentum": 0.1, "evaluate_every": 1}
    neck = neck or {"name": "EFM", "widths": [8, 8, 8]}
    return config.from_dict(
        {
            "model": {"backbone": {"name": backbone}, "neck": neck, "head": {"name": "YOLOv3"}},
            "input": input or {"size": 64},
            "data": {"root": str(data)},
            "augment": augment or {},
            "loss": loss or {},
            "train": small | train,
        }
    )


def trained(settings, folder, until=None, resume=False):
    """The `Trainer` after a run in `folder`."""
    folder.mkdir(exist_ok=True)
    trainer = Trainer(DetectionTask(settings), folder, state=read_checkpoint(folder / "last.pt") if resume else None)
    trainer.run(until)
    return trainer


def assert_same(a, b, name="last.pt"):
    """Nested mappings and lists of tensors and plain values are equal bit for bit, times apart."""
    assert type(a) is type(b), name
    if isinstance(a, dict):
        assert a.keys() == b.keys(), name
        for key in a.keys() - set(TIMES):
            assert_same(a[key], b[key], f"{name}.{key}")
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b), name
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_same(x, y, f"{name}[{i}]")
    elif isinstance(a, torch.Tensor):
        if not torch.equal(a, b):  # a thousand times faster than assert_close, which has the better message
            assert_close(a, b, rtol=0, atol=0, equal_nan=True, msg=lambda text: f"{name}: {text}")
    else:
        assert a == b or a != a, name


# ---- stop and go on --------------------------------------------------------------------------------------------------


def test_two_epochs_and_two_more_equal_four(squares, tmp_path):
    settings = settings_of(squares, "CSPPeleeNet", epochs=4, steps=None, batch=4)
    whole = trained(settings, tmp_path / "whole")
    assert whole.step == 8 and len(whole.history) == 4
    trained(settings, tmp_path / "parts", until=4)
    parts = trained(settings, tmp_path / "parts", resume=True)
    assert parts.step == 8
    for name in ("last.pt", "best.pt"):
        assert_same(*(torch.load(tmp_path / run / name, weights_only=True) for run in ("whole", "parts")), name)
    rows = [(tmp_path / run / "results.csv").read_text().splitlines() for run in ("whole", "parts")]
    assert len(rows[0]) == len(rows[1]) == 5 and rows[0][0] == rows[1][0]


@pytest.mark.parametrize("until", [1, 4])
def test_stopping_within_an_epoch_changes_nothing_whatever_is_on(squares, tmp_path, until):
    """Accumulation, multi-scale, mosaic, momentum, EMA and a cosine with burn-in; 8 images are 2 2/3 batches of 3."""
    settings = settings_of(
        squares, input={"size": 64, "train_sizes": [64, 96]}, augment={"mosaic": 0.5, "mosaic_off": 0.3},
        loss={"box": "ciou", "assign": {"name": "best_anchor", "iou_thresh": 0.4}},
        steps=6, accumulate=3, schedule="cosine", burn_in=2, clip_norm=5,
    )  # fmt: skip
    whole = trained(settings, tmp_path / "whole")
    stopped = trained(settings, tmp_path / "parts", until)
    assert stopped.step == until and stopped.sums["steps"] > 0
    parts = trained(settings, tmp_path / "parts", resume=True)
    assert_same(*(read_checkpoint(tmp_path / run / "last.pt") for run in ("whole", "parts")))
    assert_same(whole.history, parts.history, "history")
    assert len(whole.history) == 2 and whole.learner.average.updates == 6


@pytest.mark.parametrize("cache", ["ram", "disk"])
def test_with_a_cache_tiles_and_rare_classes_a_run_resumes_exactly_too(squares, tmp_path, cache, monkeypatch):
    monkeypatch.setenv("CSP_DETECT_CACHE", str(tmp_path / "cache"))
    settings = settings_of(squares, augment={"mosaic": 0.5, "tile": 0.5}, steps=6, input={"size": 64})
    settings.data.cache, settings.data.repeat_rare = cache, 0.9
    whole = trained(settings, tmp_path / "whole")
    trained(settings, tmp_path / "parts", until=4)
    parts = trained(settings, tmp_path / "parts", resume=True)
    assert_same(*(read_checkpoint(tmp_path / name / "last.pt") for name in ("whole", "parts")))
    lines = list(parts.summary())
    assert lines == [line.replace("whole", "parts").replace("step 0", "step 6") for line in whole.summary()]
    (rare,) = [line for line in lines if "hold classes" in line]
    assert rare == (
        "train: 5 of 8 images hold classes that fewer than 90.00% of the images have; they are taken up to 1.9 times "
        "as often, so that all have had a turn after 1.38 epochs"
    )
    settings.data.repeat_rare = 0.2
    nothing = "train: no class is in fewer than 20.00% of the images, so data.repeat_rare changes nothing"
    assert nothing in list(DetectionTask(settings).describe())
    assert any(line.startswith("cache: 8 images of their own size need 0.00 GB of ") for line in lines)
    assert "train: 8 images (3 without objects), 7 boxes: " in "\n".join(lines)


def test_with_a_list_of_augmentations_a_run_resumes_exactly_too(squares, tmp_path):
    augment = [
        {"name": "RandomPerspective"}, {"name": "Mosaic", "p": 0.5}, {"name": "MixUp", "p": 0.5}, {"name": "CopyPaste"},
        {"name": "A.CoarseDropout"}, {"name": "A.GaussNoise"}, {"name": "HSV", "p": 0.5, "off": 0.2},
    ]  # fmt: skip
    settings = settings_of(squares, augment=augment, steps=4)
    whole = trained(settings, tmp_path / "whole")
    trained(settings, tmp_path / "parts", until=2)
    trained(settings, tmp_path / "parts", resume=True)
    assert_same(*(read_checkpoint(tmp_path / name / "last.pt") for name in ("whole", "parts")))
    assert whole.step == 4


def test_what_layers_draw_hangs_on_the_seed_and_the_step_alone(squares, tmp_path):
    settings, drawn = settings_of(squares, steps=3, evaluate_every=100), []

    def draw(module, images, output):
        if module.training:
            drawn.append(torch.rand(1).item())

    for stops in ([None], [1, 2, None]):
        state = None
        for until in stops:
            trainer = Trainer(DetectionTask(settings), tmp_path, state=state)
            trainer.dry_run.run = lambda *_: None
            trainer.network.backbone.register_forward_hook(draw)
            trainer.run(until)
            state = read_checkpoint(tmp_path / "last.pt")
    assert drawn[:3] == drawn[3:] and len(set(drawn)) == 3


def test_the_same_settings_give_the_same_weights_and_another_seed_others(squares, tmp_path):
    runs = [
        trained(settings_of(squares, steps=2, seed=s, evaluate_every=100), tmp_path / n)
        for n, s in (("a", 0), ("b", 0), ("c", 1))
    ]
    weights = [run.network.head.state_dict()["predictions.0.weight"] for run in runs]
    assert_close(weights[0], weights[1], rtol=0, atol=0)
    assert (weights[0] != weights[2]).any()


def test_workers_change_nothing(squares, tmp_path):
    runs = [trained(settings_of(squares, steps=2, workers=n, evaluate_every=100), tmp_path / str(n)) for n in (0, 2)]
    assert_same(*(dict(run.network.state_dict()) for run in runs), "model")


def test_a_finished_run_has_nothing_left_to_do(squares, tmp_path):
    settings = settings_of(squares, steps=2)
    trained(settings, tmp_path / "run")
    before = read_checkpoint(tmp_path / "run" / "last.pt")
    again = trained(settings, tmp_path / "run", resume=True)
    assert again.step == 2
    assert_same(before, read_checkpoint(tmp_path / "run" / "last.pt"))


def test_a_checkpoint_of_another_model_or_without_its_state_is_refused(squares, tmp_path):
    trained(settings_of(squares, steps=1), tmp_path / "run")
    state = read_checkpoint(tmp_path / "run" / "last.pt")
    other = settings_of(squares, neck={"name": "EFM", "widths": [6, 6, 6]})
    for settings, spoilt, message in (
        (other, state, r"last\.pt: does not fit the model: '.*' has the shape"),
        (settings_of(squares), {k: v for k, v in state.items() if k != "moments"}, r"last\.pt: has no 'moments'"),
        (settings_of(squares), read_checkpoint(tmp_path / "run" / "best.pt"), r"has no 'step'; only a run's last\.pt"),
    ):
        with pytest.raises(UserError, match=message):
            Trainer(DetectionTask(settings), tmp_path, state=spoilt)


class Stops(TrainingLog):
    """A log whose run is stopped in the middle of the evaluation after step `at`, after best.pt was written."""

    def __init__(self, folder, at):
        super().__init__(folder, 99, start=0)
        self.at, self.steps = at, 0

    def step(self, step, *rest):
        super().step(step, *rest)
        self.steps = step

    def say(self, text):
        if self.steps == self.at:
            raise KeyboardInterrupt
        super().say(text)


@pytest.mark.parametrize("at", [3, 6])
def test_an_evaluation_that_a_stop_cut_off_is_made_up_first(squares, tmp_path, at):
    """8 images in batches of 3 are evaluated after steps 3 and 6, the last."""
    settings = settings_of(squares, steps=6)
    whole = trained(settings, tmp_path / "whole")
    (tmp_path / "parts").mkdir()
    with pytest.raises(KeyboardInterrupt):
        Trainer(DetectionTask(settings), tmp_path / "parts").run(log=Stops(tmp_path / "parts", at))
    state = read_checkpoint(tmp_path / "parts" / "last.pt")
    assert state["step"] == at and state["is_due"] and state["sums"]["steps"] == 3
    parts = trained(settings, tmp_path / "parts", resume=True)
    assert_same(whole.history, parts.history, "history")
    assert [row["step"] for row in parts.history] == [3, 6]
    for name in ("last.pt", "best.pt"):
        assert_same(*(read_checkpoint(tmp_path / run / name) for run in ("whole", "parts")), name)


def test_ctrl_c_in_the_last_evaluation_ends_the_training_as_it_would_have_ended(squares, tmp_path):
    trainer = Trainer(DetectionTask(settings_of(squares, steps=2)), tmp_path)
    trainer.run(log=Pressing(tmp_path, 2, signal.SIGTERM))
    assert len(trainer.history) == 1 and not trainer.is_due


def test_a_resumed_run_takes_changes_of_the_optimizer(squares, tmp_path):
    trained(settings_of(squares, steps=4), tmp_path, until=2)
    kept = read_checkpoint(tmp_path / "last.pt")
    resumed = trained(
        settings_of(squares, steps=4, momentum=0.5, weight_decay=0.25, nesterov=True), tmp_path, until=2, resume=True
    )
    decayed, others = resumed.learner.optimizer.param_groups
    assert (decayed["momentum"], decayed["weight_decay"], decayed["nesterov"]) == (0.5, 0.25, True)
    assert (others["momentum"], others["weight_decay"], others["nesterov"]) == (0.5, 0, True)
    assert_same(kept["moments"], moments(resumed.learner.optimizer, resumed.network), "moments")


def without_an_image(content):
    last = content["images"].pop()["id"]
    content["annotations"] = [one for one in content["annotations"] if one["image_id"] != last]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without_an_image, "7 images with 6 boxes, where the run had 8 images with 7 boxes"),
        (
            lambda content: content["annotations"].pop(),
            "8 images with 6 boxes, where the run had 8 images with 7 boxes",
        ),
        (
            lambda content: content["annotations"][0].update(bbox=[1, 2, 9, 9]),
            "8 images with 7 boxes as the run had, but",
        ),
    ],
)
def test_a_run_knows_its_data(squares, tmp_path, change, message):
    def spoil(split, content):
        if split == "train":
            change(content)

    trained(settings_of(squares, steps=2), tmp_path / "run", until=1)
    state = read_checkpoint(tmp_path / "run" / "last.pt")
    moved = changed(squares, tmp_path / "moved", lambda *_: None)
    Trainer(DetectionTask(settings_of(moved, steps=2)), tmp_path / "run", state=state)
    other = changed(squares, tmp_path / "other", spoil)
    with pytest.raises(UserError, match=rf"train\.json: other data than .*: split train has {message}"):
        Trainer(DetectionTask(settings_of(other, steps=2)), tmp_path / "run", state=state)


def test_a_run_knows_whether_it_has_a_val_split(squares, tmp_path):
    trained(settings_of(squares, steps=2), tmp_path / "run", until=1)
    other = changed(squares, tmp_path / "other", lambda *_: None)
    (other / "annotations" / "val.json").unlink()
    with pytest.raises(
        UserError, match=r"split val has no images, where the run had 2 images with \d boxes; resume it"
    ):
        trained(settings_of(other, steps=2), tmp_path / "run", resume=True)


class Pressing(TrainingLog):
    """A log that sends a signal after one step."""

    def __init__(self, folder, at, number):
        super().__init__(folder, 99, start=0)
        self.at, self.number = at, number

    def step(self, step, *rest):
        super().step(step, *rest)
        if step == self.at:
            os.kill(os.getpid(), self.number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_finishes_the_step_and_saves(squares, tmp_path, number):
    settings = settings_of(squares, steps=4)
    whole = trained(settings, tmp_path / "whole")
    stopped = Trainer(DetectionTask(settings), tmp_path)
    with pytest.raises(Interrupted) as caught:
        stopped.run(log=Pressing(tmp_path, 2, number))
    assert (caught.value.step, caught.value.number) == (2, number)
    state = read_checkpoint(tmp_path / "last.pt")
    assert state["step"] == stopped.step == 2
    resumed = Trainer(DetectionTask(settings), tmp_path, state=state)
    resumed.run()
    assert_same(dict(whole.network.state_dict()), dict(resumed.network.state_dict()), "model")


class Freezing(TrainingLog):
    """A log that stops the loader processes after a step, as SIGSTOP does, and sends a signal a second later."""

    def __init__(self, folder, number):
        super().__init__(folder, 99, start=0)
        self.number = number

    def step(self, step, *rest):
        super().step(step, *rest)
        if step == 2:
            for child in multiprocessing.active_children():
                os.kill(child.pid, signal.SIGSTOP)
            threading.Timer(1, os.kill, (os.getpid(), self.number)).start()


@pytest.mark.parametrize(("number", "accumulate"), [(signal.SIGINT, 1), (signal.SIGTERM, 1)])
def test_a_signal_is_heard_while_stopped_loader_processes_are_waited_for(squares, tmp_path, number, accumulate):
    settings = settings_of(squares, steps=99, workers=2, batch=2, accumulate=accumulate, evaluate_every=99)
    trainer = Trainer(DetectionTask(settings), tmp_path)
    with pytest.raises(Interrupted) as caught:
        trainer.run(log=Freezing(tmp_path, number))
    state = read_checkpoint(tmp_path / "last.pt")
    assert (caught.value.step, caught.value.number) == (state["step"], number)
    assert 2 <= state["step"] < 99
    assert not multiprocessing.active_children()


def test_a_killed_loader_process_is_named_whatever_was_being_written(squares, tmp_path, monkeypatch):
    def save(*_):
        raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. ")

    monkeypatch.setattr(torch, "save", save)
    trainer = Trainer(DetectionTask(settings_of(squares, steps=1, workers=0)), tmp_path)
    with pytest.raises(UserError, match=r"^the loader processes failed \(DataLoader worker \(pid 7\) is killed"):
        trainer.run()


class Killing(TrainingLog):
    """A log that kills the loader processes after the first step."""

    def step(self, *arguments):
        super().step(*arguments)
        for child in multiprocessing.active_children():
            child.kill()
        time.sleep(5)  # until the system tells of it


def test_loader_processes_killed_at_any_moment_are_a_sentence(squares, tmp_path):
    trainer = Trainer(DetectionTask(settings_of(squares, steps=9, workers=1)), tmp_path)
    with pytest.raises(UserError, match=r"the loader processes failed \(DataLoader worker .* killed.*is memory short"):
        trainer.run(log=Killing(tmp_path, 9, 0))


def test_kill_leaves_a_checkpoint_that_loads(squares, tmp_path):
    """The process saves after every step, so most moments are in the middle of writing."""
    settings = config.to_dict(
        settings_of(squares, "CSPPeleeNet", steps=10_000, save_minutes=1e-9, evaluate_every=1000, batch=1)
    )
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    code = f"""
        import json, torch
        from pathlib import Path
        from detect import config
        from detect.engine.detection import DetectionTask
        from detect.engine.train import Trainer
        torch.set_num_threads(1)
        folder = Path({str(tmp_path)!r})
        settings = config.from_dict(json.loads((folder / "settings.json").read_text()))
        Trainer(DetectionTask(settings), folder).run()
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], cwd=ROOT, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    written = None  # the first checkpoint is from before the first step: wait for one more
    while process.poll() is None and time.monotonic() < deadline:
        now = (tmp_path / "last.pt").stat().st_mtime_ns if (tmp_path / "last.pt").exists() else None
        if written is not None and now != written:
            break
        written = now
        time.sleep(0.005)
    time.sleep(random.random())
    process.kill()
    errors = process.communicate()[1].decode()
    assert process.returncode == -signal.SIGKILL, errors
    state = read_checkpoint(tmp_path / "last.pt")
    assert state["step"] >= 1
    assert read(tmp_path).names == ("red", "green", "blue")
    Trainer(DetectionTask(config.from_dict(settings)), tmp_path, state=state).run(until=state["step"] + 1)
    assert read_checkpoint(tmp_path / "last.pt")["step"] == state["step"] + 1


# ---- what a step does ------------------------------------------------------------------------------------------------


def test_accumulation_equals_one_large_batch_when_norms_are_frozen(squares, tmp_path):
    runs = []
    for accumulate in (1, 4):
        settings = settings_of(squares, steps=3, batch=8, accumulate=accumulate, evaluate_every=100)
        trainer = Trainer(DetectionTask(settings), tmp_path)
        trainer.network.eval()  # batch statistics see the parts, which is no equality
        trainer.run()
        runs.append(trainer)
    assert_close(runs[0].network.state_dict(), runs[1].network.state_dict(), rtol=1e-4, atol=1e-6)
    rows = [run.history[-1] for run in runs]
    for name in ("box", "obj", "cls"):
        assert rows[0][name] == pytest.approx(rows[1][name], rel=1e-4)
    start = Trainer(DetectionTask(settings_of(squares, steps=3)), tmp_path).network.state_dict()
    moved = (start["head.predictions.0.bias"] - runs[0].network.state_dict()["head.predictions.0.bias"]).abs().max()
    assert moved > 1e-3  # far beyond the tolerance


def test_gradients_that_are_nearly_always_cut_are_told(squares, tmp_path):
    text = {}
    for clip_norm in (1e-3, 1e6, None):
        folder = tmp_path / f"{clip_norm}"
        run = trained(settings_of(squares, steps=4, clip_norm=clip_norm, evaluate_every=2), folder)
        text[clip_norm] = (folder / "log.txt").read_text()
        assert text[clip_norm].count(", 100% of the gradients cut to 0.001") == (clip_norm == 1e-3) * len(run.history)
        assert all(row["gradient_norm"] > 1e-3 for row in run.history)
        assert [row["clipped"] for row in run.history] == [clip_norm == 1e-3] * len(run.history)
    assert "cut to" not in text[1e6] + text[None]


def test_one_step_is_sgd_with_decay_on_convolutions_only(squares, tmp_path):
    settings = settings_of(squares, steps=1, weight_decay=0.1, momentum=0.9, clip_norm=None)
    trainer = Trainer(DetectionTask(settings), tmp_path)
    before = {name: value.detach().clone() for name, value in trainer.network.named_parameters()}
    gradients = {}
    for name, parameter in trainer.network.named_parameters():
        parameter.register_hook(lambda g, name=name: gradients.__setitem__(name, g.clone()))
    trainer.run()
    for name, value in trainer.network.named_parameters():
        decay = 0.1 if value.ndim == 4 else 0
        assert_close(value, before[name] - 0.01 * (gradients[name] + decay * before[name]), msg=name)


def test_frozen_parts_leave_a_training_as_they_came(squares, tmp_path):
    settings = settings_of(squares, freeze=["backbone", "*.norm"])
    before = Trainer(DetectionTask(settings), tmp_path).network.state_dict()
    trainer = trained(settings, tmp_path / "run", until=2)
    lines = list(trainer.summary())
    assert any(line.startswith("trains ") and line.endswith("frozen: backbone, *.norm") for line in lines)
    changed = {name for name, value in trainer.network.state_dict().items() if not torch.equal(value, before[name])}
    assert "head.predictions.0.weight" in changed
    assert not [name for name in changed if name.startswith("backbone.") or ".norm." in name]
    assert_same(trained(settings, tmp_path / "run", resume=True).network.state_dict(),
                trained(settings, tmp_path / "whole").network.state_dict())  # fmt: skip


@pytest.mark.parametrize("term", ["box", "cls"])
def test_a_loss_that_is_not_finite_stops_with_its_name_and_the_images(squares, tmp_path, term):
    settings = settings_of(squares, steps=6)
    trained(settings, tmp_path, until=2)
    good = read_checkpoint(tmp_path / "last.pt")
    trainer = Trainer(DetectionTask(settings), tmp_path, state=good)
    loss, seen = trainer.task.yolo_loss, []

    def spoilt(*arguments):
        terms = loss(*arguments)
        seen.append(terms)
        return terms | {term: terms[term] * float("nan")} if len(seen) == 2 else terms

    trainer.task.yolo_loss = spoilt
    with pytest.raises(UserError) as caught:
        trainer.run()
    message = str(caught.value)
    assert message.startswith(f"step 4: the {term} loss is not finite (") and "lr 0.01, image ids " in message
    ids = message.split("image ids ")[1].split(";")[0].split()
    assert len(ids) == 3 and {int(i) for i in ids} <= set(range(40, 48))
    assert f"the last checkpoint in {tmp_path} is good" in message
    kept = read_checkpoint(tmp_path / "last.pt")
    assert kept["step"] >= 2 and all(value.isfinite().all() for value in kept["model"].values())


def test_a_learning_rate_far_too_high_is_told_not_trained(squares, tmp_path):
    with pytest.raises(UserError, match=r"loss is not finite .* lowering train.lr or setting train.clip_norm"):
        trained(settings_of(squares, steps=20, lr=1e12, ema=0, evaluate_every=100), tmp_path)


def test_spoilt_weights_never_replace_a_good_checkpoint(squares, tmp_path):
    settings = settings_of(squares, steps=6, evaluate_every=100)
    trained(settings, tmp_path, until=2)
    trainer = Trainer(DetectionTask(settings), tmp_path, state=read_checkpoint(tmp_path / "last.pt"))
    trainer.network.head.predictions[0].weight.register_hook(lambda gradient: gradient * float("inf"))
    with pytest.raises(UserError, match="not finite"):
        trainer.run(until=3)  # the step whose gradient overflows is the one that saves
    kept = read_checkpoint(tmp_path / "last.pt")["model"]
    assert all(value.isfinite().all() for value in kept.values())


def test_the_warm_up_and_the_size_reach_the_optimizer_and_the_network(squares, tmp_path, monkeypatch):
    trainer = Trainer(DetectionTask(settings_of(squares, steps=5, burn_in=4, lr=0.1)), tmp_path)
    rates, optimizer = [], trainer.learner.optimizer
    step = optimizer.step
    monkeypatch.setattr(optimizer, "step", lambda: rates.append(optimizer.param_groups[0]["lr"]) or step())
    trainer.run()
    assert rates == pytest.approx([0.1 * (n / 4) ** 4 for n in (1, 2, 3, 4, 4)])
    assert trainer.history[-1]["lr"] == rates[-1]


# ---- what it needs ---------------------------------------------------------------------------------------------------


def test_a_run_without_data_or_length_is_refused(squares, tmp_path):
    values = config.to_dict(settings_of(squares))
    for part, change, word in (("data", None, "data is missing"), ("train", {"batch": 2}, "say how long to train")):
        with pytest.raises(UserError, match=word):
            DetectionTask(config.from_dict(values | {part: change}))


def changed(root, folder, change):
    """A copy of the annotations of the set `root`, changed by `change(split, content)`, beside the same images."""
    (folder / "annotations").mkdir(parents=True)
    (folder / "images").symlink_to(root / "images")
    for split in ("train", "val"):
        content = json.loads((root / "annotations" / f"{split}.json").read_text())
        change(split, content)
        (folder / "annotations" / f"{split}.json").write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_record_that_evaluation_cannot_take_stops_a_training_before_its_first_step(squares, tmp_path, split):
    def spoil(name, content):
        if name == split:
            content["annotations"][0]["iscrowd"] = "0"

    with pytest.raises(UserError, match=rf"{split}\.json: box 1 of image 4\d has iscrowd '0'; it must be 0 or 1"):
        DetectionTask(settings_of(changed(squares, tmp_path / "data", spoil)))


@pytest.mark.parametrize("field", [{"iscrowd": 1}, {"score": 0.1}, None])
def test_a_training_without_a_box_to_learn_from_stops(squares, tmp_path, field):
    def spoil(split, content):
        if field is None:
            content["annotations"] = []
        for annotation in content["annotations"]:
            annotation |= field

    with pytest.raises(UserError, match=r"train\.json: holds no box to learn from: 8 images with \d+ ignore regions"):
        DetectionTask(settings_of(changed(squares, tmp_path / "data", spoil)))


def test_classes_that_cannot_be_learned_or_evaluated_are_said(squares, tmp_path):
    def add(split, content):
        content["categories"].append({"id": 1, "name": "shapes" if split == "train" else "Shapes"})

    lines = "\n".join(DetectionTask(settings_of(changed(squares, tmp_path / "data", add))).describe())
    assert "2 classes without a box in train (class.no_boxes: 'shapes' has no box, 'blue' has no box)" in lines
    assert "val.json: the model has no class of these names, so their objects cannot be found: 'Shapes'" in lines
    assert "are left out: 'shapes' (there is 'Shapes')" in lines
    assert "class of these" not in "\n".join(DetectionTask(settings_of(squares)).describe())


def test_files_of_every_set_are_looked_at_before_the_first_step(squares, tmp_path):
    with pytest.raises(UserError, match=r"train\.json: 1 of its 8 images cannot be used; .*/0.png: is not there"):
        root = changed(squares, tmp_path / "data", lambda *_: None)
        (root / "images").unlink()
        shutil.copytree(squares / "images", root / "images")
        (root / "images" / "train" / "0.png").unlink()
        sets = {"root": str(squares), "beside": [{"root": str(root)}]}
        DetectionTask(config.from_dict(config.to_dict(settings_of(squares)) | {"data": sets}))


def test_waiting_for_images_is_told_once_with_what_helps(squares, tmp_path, monkeypatch):
    monkeypatch.setattr(loader_watch, "WINDOW", 0.001)
    monkeypatch.setattr(loader_watch, "BOUND", 0.001)
    trained(settings_of(squares, augment={"mosaic": 0.5}), tmp_path / "run")
    told = [line for line in (tmp_path / "run" / "log.txt").read_text().splitlines() if "loader-bound" in line]
    assert len(told) == 1 and "data.cache=ram" in told[0] and "augment.mosaic below 0.5" in told[0]


def test_class_balance_weighs_by_the_boxes_of_the_training_set(squares, tmp_path):
    settings = settings_of(squares, loss={"class_balance": 1})
    task = Trainer(DetectionTask(settings), tmp_path).task
    counts = [sum((image.labels == k).sum() for image in task.train_set.images) for k in range(3)]
    assert counts == [5, 2, 0]
    assert_close(task.yolo_loss.class_weights, torch.tensor([7 / 2 / 5, 7 / 2 / 2, 1.0]))
    assert Trainer(DetectionTask(settings_of(squares)), tmp_path).task.yolo_loss.class_weights is None


def test_fp16_needs_cuda(squares, tmp_path):
    settings = settings_of(squares, precision="fp16")
    settings.origins["train.precision"] = settings.origins[""]._replace(text="my.yaml:7")
    with pytest.raises(UserError, match=r"^my\.yaml:7: train\.precision: fp16 needs a CUDA device"):
        Trainer(DetectionTask(settings), tmp_path)


def test_without_a_val_split_it_trains_and_keeps_the_last_weights(squares, tmp_path):
    (tmp_path / "data" / "annotations").mkdir(parents=True)
    (tmp_path / "data" / "images").symlink_to(squares / "images")
    (tmp_path / "data" / "annotations" / "train.json").symlink_to(squares / "annotations" / "train.json")
    trainer = trained(settings_of(tmp_path / "data", steps=2), tmp_path / "run")
    assert any("no split 'val'" in line for line in trainer.summary())
    assert read(tmp_path / "run").path == tmp_path / "run" / "last.pt"
    assert "AP" not in trainer.history[-1]


def test_a_run_folder_holds_what_it_promises(squares, tmp_path):
    trained(settings_of(squares, steps=3), tmp_path)
    batches = {f"train_batch{number}.jpg" for number in range(3)}
    files = {"best.pt", "last.pt", "log.txt", "results.csv", "results.png", "labels.png"}
    shown = {"val_labels.jpg", "val_predictions.jpg"}
    assert {p.name for p in tmp_path.iterdir()} == files | batches | shown
    header, row = (tmp_path / "results.csv").read_text().splitlines()
    assert dict(zip(header.split(","), row.split(","), strict=True)).keys() >= {"epoch", "step", "box", "obj", "AP"}
    assert read(tmp_path).categories == [{"id": 2 + 3 * i, "name": n} for i, n in enumerate(("red", "green", "blue"))]


# ---- it learns -------------------------------------------------------------------------------------------------------


def test_one_image_can_be_overfitted(tmp_path):
    objects = [((12, 20, 52, 60), 0), ((100, 10, 180, 70), 1), ((30, 90, 70, 150), 0), ((110, 95, 170, 140), 2)]
    for split in ("train", "val"):
        write_split(tmp_path, split, [(160, 192, objects)])
    settings = settings_of(
        tmp_path, backbone="CSPPeleeNet", neck={"name": "EFM", "sam": True}, input={"size": 160},
        augment={"jitter": 0, "flip": 0, "hue": 0, "saturation": 1, "exposure": 1},
        loss={"box": "ciou", "box_weight": 2, "assign": {"name": "best_anchor", "iou_thresh": 0.4}},
        steps=150, batch=1, burn_in=10, schedule="cosine", clip_norm=10, ema=0, evaluate_every=150,
    )  # fmt: skip
    settings.data.accept = ["split.duplicates"]
    row = trained(settings, tmp_path / "run").history[-1]
    assert row["AP50"] == pytest.approx(1.0) and row["AP"] >= 0.9
    kept = read(tmp_path / "run").thresholds  # of four objects, so one for all classes
    assert kept.data == "1 images of val.json" and len(kept.scores) == 3 and len(set(kept.scores)) == 1
    predictor = predictor_of(read(tmp_path / "run"), min_score="auto", device="cpu")
    assert len(predictor(tmp_path / "images" / "val" / "0.png")) == len(objects)


@pytest.fixture(scope="module")
def taught(squares, tmp_path_factory):
    """Settings of a training on `squares` and, with two of three images, the same photos labelled by a detector."""
    root = tmp_path_factory.mktemp("taught")
    (root / "annotations").mkdir()
    (root / "images").symlink_to(squares / "images")
    content = json.loads((squares / "annotations" / "train.json").read_text())
    for number, annotation in enumerate(content["annotations"]):
        annotation["score"] = (0.9, 0.3)[number % 2]
    (root / "annotations" / "train.json").write_text(json.dumps(content))
    sets = {"root": str(squares), "share": 1, "beside": [{"root": str(root), "share": 2, "pseudo": {"weighted": True}}]}

    def settings(**train):
        return config.from_dict(config.to_dict(settings_of(squares, augment={"mosaic": 0.5}, **train)) | {"data": sets})

    return settings


def test_several_sets_are_learned_from_together_and_the_first_is_evaluated(taught, tmp_path):
    trainer = trained(taught(steps=2), tmp_path / "run")
    assert len(trainer.task.train_set) == 16 and len(trainer.task.val_set) == 2
    lines = " ".join(trainer.summary())
    assert "train, 33.3% of it: 8 images" in lines and "train, 66.7% of it: 8 images" in lines
    assert "are learned (from 0.5 on, by their score)" in lines and "val: 2 images" in lines
    batches = list(trainer.task.batches(16, 32, 0))
    weights = torch.cat([weights for batch in batches for weights in batch.weights])
    assert weights.unique().tolist() == pytest.approx([0.0, 0.9, 1.0])


def test_several_sets_resume_exactly(taught, tmp_path):
    whole = trained(taught(steps=7), tmp_path / "whole")
    trained(taught(steps=7), tmp_path / "stopped", until=4)
    resumed = trained(taught(steps=7), tmp_path / "stopped", resume=True)
    assert_same(resumed.network.state_dict(), whole.network.state_dict())


def test_a_student_comes_nearer_to_its_teacher_and_resumes_exactly(squares, tmp_path):
    trained(settings_of(squares, steps=20, lr=0.05), tmp_path / "teacher")
    settings = settings_of(
        squares,
        loss={"box_weight": 0, "obj_weight": 0, "cls_weight": 0},  # no labels
        teacher=str(tmp_path / "teacher"), teacher_weight=0.5, seed=1, steps=80, evaluate_every=8,
    )  # fmt: skip
    student = trained(settings, tmp_path / "student")
    costs = [row["teacher"] for row in student.history]
    assert len(costs) > 2 and costs[-1] < costs[0] / 2
    trained(settings, tmp_path / "stopped", until=13)
    resumed = trained(settings, tmp_path / "stopped", resume=True)
    assert_same(resumed.network.state_dict(), student.network.state_dict())
    assert_same(student.task.teacher.state_dict(), read(tmp_path / "teacher").network.state_dict())


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_a_teacher_computes_in_the_format_of_the_training(squares, tmp_path, precision, dtype):
    trained(settings_of(squares, steps=1), tmp_path / "teacher")
    settings = settings_of(squares, teacher=str(tmp_path / "teacher"), precision=precision, steps=1, seed=1)
    task = DetectionTask(settings)
    trainer = Trainer(task, tmp_path)
    computed = []
    task.teacher.backbone.register_forward_hook(lambda module, images, maps: computed.append(maps[-1]))
    trainer.run(log=Silence())
    assert computed[-1].dtype == dtype
    exactly = [maps for maps in computed if maps.dtype != dtype]  # the dry run's comparison with 32 bits
    assert [maps.dtype for maps in exactly] == [torch.float32] * (precision == "bf16")
    assert all(maps.is_contiguous(memory_format=torch.channels_last) for maps in computed)
    assert trainer.history[-1]["teacher"] > 0


def test_a_teacher_is_shown_the_images_enlarged_for_scales_finer_than_its_own(squares, tmp_path):
    values = config.to_dict(settings_of(squares, steps=1))
    fine, middle, coarse = [[8, 8], [10, 14]], [[20, 16], [24, 24]], [[40, 36], [60, 60]]
    values["model"]["head"]["anchors"] = [fine, middle, coarse]
    trained(config.from_dict(values), tmp_path / "teacher")
    halved = [[[w / 2, h / 2] for w, h in anchors] for anchors in (middle, coarse)]
    values["model"]["head"]["anchors"] = [*halved, [[90, 90], [95, 99]]]
    values["train"] |= {"teacher": str(tmp_path / "teacher"), "seed": 1}
    student = trained(config.from_dict(values), tmp_path / "student")
    assert student.history[-1]["teacher"] > 0
    images = torch.rand(1, 3, 64, 64)
    (maps,) = student.task.teacher_outputs(images)
    assert [level.shape[-1] for level in maps] == [128 // stride for stride in student.task.teacher.head.strides]
    assert any("stride 8 from 16 on images 2 times as large" in line for line in student.summary())


def test_a_teacher_that_cannot_teach_is_named(squares, tmp_path):
    values = config.to_dict(settings_of(squares, steps=1))
    values["model"]["head"]["anchors"] = [[7 * i, 9 * i] for i in range(1, 10)]
    trained(config.from_dict(values), tmp_path / "other")
    with pytest.raises(UserError, match=r"train.teacher: .* shares no scale with this model"):
        trained(settings_of(squares, teacher=str(tmp_path / "other")), tmp_path / "student")


def test_norm_momentum_reaches_the_norms_of_linear_layers(tmp_path):
    """A [connected] layer of Darknet has a BatchNorm1d."""
    text = net(32, 32) + conv(4, 3, stride=8) + section("connected", output=8, batch_normalize=1, activation="leaky")
    network = DarknetNetwork(parse(text))
    task = SimpleNamespace(settings=settings_of(tmp_path), train_set=range(6), build=lambda: network)
    Trainer(task, tmp_path)
    norms = [module for module in network.modules() if isinstance(module, torch.nn.modules.batchnorm._BatchNorm)]
    assert [type(norm).__name__ for norm in norms] == ["BatchNorm2d", "BatchNorm1d"]
    assert [norm.momentum for norm in norms] == [0.1, 0.1]
