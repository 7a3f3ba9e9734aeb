"""What is tried before the first step changes nothing, and says what to do when memory is too small."""

import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from detect import config
from detect.engine import dry_run, memory
from detect.engine.detection import DetectionTask
from detect.engine.memory import advice, available, is_out_of_memory, kept_for_backward
from detect.engine.train import Trainer
from detect.errors import UserError
from detect.weights.checkpoint import read_checkpoint
from tests.engine.test_train import assert_same, settings_of, squares, trained  # noqa: F401  squares is a fixture

pytestmark = pytest.mark.usefixtures("one_thread", "small_backbone")

CPU = torch.device("cpu")


def test_nothing_is_left_of_it(squares, tmp_path, monkeypatch):  # noqa: F811
    """A network with norms and dropout, trained with and without it: the same to the last bit."""
    settings = settings_of(squares, steps=2, augment={"mosaic": 0.5}, loss={"assign": {"name": "simota"}})

    def run(name):
        folder = tmp_path / name
        folder.mkdir()
        trainer = Trainer(DetectionTask(settings), folder)
        trainer.network.backbone.layers[1].register_forward_hook(lambda m, i, o: torch.dropout(o, 0.5, m.training))
        trainer.run()
        return read_checkpoint(folder / "last.pt")

    tried = run("tried")
    monkeypatch.setattr(dry_run.DryRun, "run", lambda *_: None)
    not_tried = run("not tried")
    assert_same(tried, not_tried)


def test_it_is_as_large_as_any_step_and_evaluation(squares, tmp_path):  # noqa: F811
    settings = settings_of(
        squares, input={"size": 64, "train_sizes": [64, 96]}, augment={"mosaic": 0.1}, batch=6, accumulate=2
    )
    trainer, seen = Trainer(DetectionTask(settings), tmp_path), []
    loss = trainer.task.loss
    trainer.task.loss = lambda outputs, batch, teacher_outputs: (
        seen.append(batch) or loss(outputs, batch, teacher_outputs)
    )
    trainer.task.evaluate_batch = lambda *_: seen.append("evaluated")
    trainer.dry_run.run(trainer.learner.scaler)
    *_, largest, evaluated = seen
    assert evaluated == "evaluated" and largest.images.shape == (3, 3, 96, 96)
    most = max(len(image.boxes) for image in trainer.task.train_set.images)
    assert most == 2 and [len(boxes) for boxes in largest.boxes] == [8, 8, 8]
    assert all((b[:, 2:] >= b[:, :2]).all() and b.min() >= 0 and b.max() <= 96 for b in largest.boxes)
    assert trainer.step == 0 and not trainer.learner.optimizer.state
    assert all(parameter.grad is None for parameter in trainer.network.parameters())


def test_it_has_as_many_boxes_as_a_list_of_augmentations_can_put_together(squares):  # noqa: F811
    augment = [{"name": "Mosaic9"}, {"name": "CopyPaste", "objects": 3}, {"name": "MixUp", "p": 0}, {"name": "A.D4"}]
    batch = DetectionTask(settings_of(squares, augment=augment)).largest_batch(2, 64)
    assert [len(boxes) for boxes in batch.boxes] == [9 * 4 * 2] * 2


def test_memory_that_ends_is_a_sentence_with_three_settings(squares, tmp_path):  # noqa: F811
    trainer = Trainer(DetectionTask(settings_of(squares, batch=4, steps=2)), tmp_path)

    def full(*_):
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    trainer.task.loss = full
    with pytest.raises(UserError) as caught:
        trainer.run()
    assert str(caught.value) == (
        "tried before the first step: out of memory with 4 images of up to 64 px at a time; "
        "try train.accumulate=2, train.batch=2 or input.size=32"
    )
    assert not (tmp_path / "last.pt").exists()


def test_memory_that_ends_later_says_at_which_step(squares, tmp_path):  # noqa: F811
    trainer = Trainer(DetectionTask(settings_of(squares, batch=4, steps=4)), tmp_path)
    trainer.run(until=2)

    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    trainer.task.loss = full
    with pytest.raises(UserError, match=r"^step 3: out of memory with 4 images of up to 64 px at a time; try"):
        trainer.run()


@pytest.mark.parametrize(
    ("input_settings", "train", "expected"),
    [
        ({"size": 416}, {"batch": 64, "accumulate": 4}, "train.accumulate=8, train.batch=32 or input.size=288"),
        (
            {"size": 416, "train_sizes": [320, 608]},
            {"batch": 9},
            "train.accumulate=3, train.batch=4 or input.train_sizes=[320,416]",
        ),
        ({"size": 64}, {"batch": 1}, "input.size=32 or train.precision=bf16"),
        ({"size": 64}, {"batch": 7, "precision": "bf16"}, "train.accumulate=7, train.batch=3 or input.size=32"),
        ({"size": 32}, {"batch": 1, "precision": "bf16"}, ""),
    ],
)
def test_each_advice_is_a_setting_that_can_be_used(input_settings, train, expected):
    settings = settings_of("data", input=input_settings, **train)
    assert advice(settings, 32) == (
        f"try {expected}" if expected else "use a smaller model, or a device with more memory"
    )
    for one in expected.replace(" or ", ", ").split(", ") if expected else ():
        config.from_dict(config.to_dict(settings), overrides=[one])


def test_a_step_that_the_cpu_has_no_memory_for_is_refused_before_it_is_killed(squares, tmp_path, monkeypatch):  # noqa: F811
    trainer = Trainer(DetectionTask(settings_of(squares, batch=4)), tmp_path)
    each = trainer.dry_run.bytes_per_image()
    monkeypatch.setattr(dry_run, "available", lambda _: int(each * 1.5))
    message = (
        r"^4 images of up to 64 px at a time take about 0\.00 GB of memory, and 0\.00 GB are there; "
        r"try train\.accumulate=4, train\.batch=1 or input\.size=32$"
    )
    with pytest.raises(UserError, match=message):
        trainer.run()


@pytest.mark.parametrize(("there", "batch"), [(1e12, 8), (6.1, 4), (3.9, 2)])
def test_batch_auto_takes_the_power_of_two_that_fits(squares, tmp_path, monkeypatch, there, batch):  # noqa: F811
    """`there`: memory, in images; 80% of it count, and there are 8 images."""
    each = Trainer(DetectionTask(settings_of(squares)), tmp_path).dry_run.bytes_per_image()
    monkeypatch.setattr(dry_run, "available", lambda _: int(there * each))
    settings = settings_of(squares, batch="auto", steps=1)
    trainer = trained(settings, tmp_path / "run")
    assert settings.train.batch == trainer.settings.train.batch == batch
    assert read_checkpoint(tmp_path / "run" / "last.pt")["config"]["train"]["batch"] == batch
    same = trained(settings_of(squares, batch=batch, steps=1), tmp_path / "same")
    assert_same(trainer.network.state_dict(), same.network.state_dict())


def test_batch_auto_of_a_single_image_is_one(squares, tmp_path, monkeypatch):  # noqa: F811
    trainer = Trainer(DetectionTask(settings_of(squares)), tmp_path)
    monkeypatch.setattr(type(trainer.task.train_set), "__len__", lambda _: 1)
    assert trainer.dry_run.fitting_batch() == 1


def test_batch_auto_without_room_is_a_sentence(squares, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setattr(dry_run, "available", lambda _: 1000)
    with pytest.raises(UserError, match=r"train.batch: auto finds no room for two images of 64 px: one takes about"):
        Trainer(DetectionTask(settings_of(squares, batch="auto")), tmp_path)


def test_what_is_kept_is_counted_once_for_each_tensor():
    x = torch.ones(10, requires_grad=True)
    assert kept_for_backward(lambda: x * 2) == 0  # a number is no tensor
    y = torch.ones(10, requires_grad=True)
    assert kept_for_backward(lambda: x * y + x * y) == 2 * 10 * 4
    assert kept_for_backward(lambda: (x * 2).exp().sin()) == 10 * 4  # exp keeps its result, which sin keeps too


def test_memory_of_the_cpu_is_what_the_system_and_the_container_leave(monkeypatch):
    assert available(CPU) > 1e7
    monkeypatch.setattr(memory, "free_memory", lambda: 5_000_000)
    assert available(CPU) == 5_000_000
    assert available(torch.device("meta")) is None


def test_what_says_that_memory_ended():
    assert is_out_of_memory(MemoryError()) and is_out_of_memory(torch.OutOfMemoryError("CUDA"))
    assert not is_out_of_memory(RuntimeError("shape mismatch"))


@pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
def test_an_allocation_that_fails_is_known_by_its_words():
    code = """
        import resource, torch
        from detect.engine.memory import is_out_of_memory
        resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
        try:
            torch.zeros(1 << 40)
        except RuntimeError as error:
            print(is_out_of_memory(error))
    """
    root = Path(__file__).parents[2]
    child = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], cwd=root, capture_output=True, text=True)
    assert child.stdout.strip() == "True", child.stderr


# ---- 16 bits ---------------------------------------------------------------------------------------------------------


def test_bf16_trains_near_to_fp32_and_says_so(squares, tmp_path):  # noqa: F811
    runs = [trained(settings_of(squares, precision=p, steps=3), tmp_path / p) for p in ("fp32", "bf16")]
    rows = [run.history[-1] for run in runs]
    assert rows[0]["obj"] == pytest.approx(rows[1]["obj"], rel=0.02) and rows[0]["obj"] != rows[1]["obj"]
    assert all(value.dtype == torch.float32 for value in runs[1].network.parameters())
    assert "bfloat16: the loss of a made-up batch is" in (tmp_path / "bf16" / "log.txt").read_text()
    assert "fp32" not in (tmp_path / "fp32" / "log.txt").read_text()


def test_bf16_resumes_exactly(squares, tmp_path):  # noqa: F811
    settings = settings_of(squares, precision="bf16")
    whole = trained(settings, tmp_path / "whole")
    trained(settings, tmp_path / "parts", until=2)
    assert_same(trained(settings, tmp_path / "parts", resume=True).network.state_dict(), whole.network.state_dict())


@pytest.mark.parametrize("factor", [1.3, float("nan")])
def test_a_loss_that_16_bits_make_another_is_refused(squares, tmp_path, factor):  # noqa: F811
    trainer = Trainer(DetectionTask(settings_of(squares, precision="bf16")), tmp_path)
    loss = trainer.task.loss

    def spoilt(outputs, batch, teacher_outputs):
        wrong = torch.is_autocast_enabled("cpu") or outputs[0].dtype == torch.bfloat16
        return {name: value * (factor if wrong else 1) for name, value in loss(outputs, batch, teacher_outputs).items()}

    trainer.task.loss = spoilt
    with pytest.raises(
        UserError, match=r"train.precision: the loss of the first step is .* in bfloat16 and .* in fp32; set"
    ):
        trainer.run()


def test_a_classifier_is_tried_too():
    from detect.engine.classification import ClassificationTask

    task = SimpleNamespace(categories=[{}, {}, {}])
    batch = ClassificationTask.largest_batch(task, 4, 32)
    assert batch.images.shape == (4, 3, 32, 32) and batch.labels.tolist() == [0, 1, 2, 0]
