"""Loader processes that would find no room for their batches are refused before the start, not met half way."""

import os
import time
from types import SimpleNamespace

import pytest
import torch

from detect.config.schema import InputSettings, Settings, TrainSettings
from detect.data.loading import loader, shared_memory
from detect.data.loading.loader import TrainingImages, training_batches
from detect.data.loading.shared_memory import check_shared_memory, free_bytes
from detect.data.sample import ClassifiedBatch
from detect.errors import UserError


def settings_of(size=640, train_sizes=None, batch=8, workers=2, accumulate=1):
    train = TrainSettings(batch=batch, workers=workers, accumulate=accumulate)
    return Settings(model=None, input=InputSettings(size, train_sizes), train=train)


@pytest.fixture(autouse=True)
def four_cores(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 4)


@pytest.fixture
def free(monkeypatch):
    """A function that sets how many MB are free."""
    return lambda megabytes: monkeypatch.setattr(shared_memory, "free_bytes", lambda: int(megabytes * 1e6))


def test_room_for_all_batches_at_once_is_asked_for(free):
    needed = 6 * 8 * (640 * 640 * 3 + 3 * 4096) / 1e6  # two of each of two processes, and two in use
    free(needed + 0.01)
    check_shared_memory(settings_of())
    free(needed - 0.01)
    with pytest.raises(UserError) as caught:
        check_shared_memory(settings_of())
    assert str(caught.value) == (
        "train.workers: 2 loader processes need 60 MB of shared memory for batches of 8 images of 640 px, and /dev/shm "
        "has 60 MB free; give more (docker run --shm-size=1g) or set train.workers=0"
    )


@pytest.mark.parametrize(
    ("fits", "too_large"),
    [
        ({"train_sizes": [320, 640]}, {"train_sizes": [320, 672]}),
        ({"batch": 16, "accumulate": 2}, {"batch": 16}),
        ({"workers": 0, "batch": 1000}, {"workers": 3}),
        ({}, {"workers": 99}),
    ],
)
def test_the_largest_batches_count(free, fits, too_large):
    free(60)
    check_shared_memory(settings_of(**fits))
    with pytest.raises(UserError, match="shared memory"):
        check_shared_memory(settings_of(**too_large))


def test_a_machine_without_a_limit_is_not_asked(monkeypatch):
    monkeypatch.setattr(shared_memory, "SHARED", "/nowhere")
    assert free_bytes() is None
    check_shared_memory(settings_of(batch=10**9))
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_blocks=0, f_bavail=0, f_frsize=4096))
    assert free_bytes() is None
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_blocks=9, f_bavail=7, f_frsize=4096))
    assert free_bytes() == 7 * 4096


class Grey(TrainingImages):
    """Grey images of no set."""

    def batch(self, plan):
        images = torch.full((len(plan.images), 3, 8, 8), 99, dtype=torch.uint8)
        return ClassifiedBatch(images, torch.zeros(len(plan.images), dtype=torch.int64), ["x"])


class Slow(Grey):
    def batch(self, plan):
        time.sleep(60)


class Dying(Grey):
    def batch(self, plan):
        time.sleep(1)  # PyTorch does not hear of those that die before it knows all of them
        os._exit(9)


def batches(images):
    return training_batches(range(9), settings_of(size=32, batch=1, workers=1), 3, 32, images=images)


def test_batches_of_loader_processes_lie_in_shared_memory():
    assert [(batch.images.is_shared(), int(batch.images.max())) for batch in batches(Grey)] == [(True, 99)] * 3


def test_a_batch_without_room_is_a_sentence(monkeypatch):
    def fail(tensor):
        raise RuntimeError("unable to allocate shared memory(shm): No space left on device (28)")

    monkeypatch.setattr(torch.Tensor, "share_memory_", fail)
    with pytest.raises(UserError, match=r"found no shared memory for a batch \(.*device \(28\)\); give more \(docker"):
        next(batches(Grey))


def test_a_batch_that_never_comes_is_not_waited_for_without_end(monkeypatch):
    monkeypatch.setattr(loader, "PATIENCE", 1)
    monkeypatch.setattr(loader, "LOOK", 0.5)
    with pytest.raises(UserError, match=r"the loader processes have handed over nothing for 1 s; give more"):
        next(batches(Slow))


def test_loader_processes_that_die_are_a_sentence():
    with pytest.raises(UserError, match=r"the loader processes failed \(DataLoader worker .*; is memory short\?"):
        next(batches(Dying))
