"""How fast this machine trains a detector, on images made up for it."""

import copy
import json
import tempfile
import time
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from detect.analysis.machine import described
from detect.analysis.stages import CLASSES, IMAGE, WARM_UP, generated_image
from detect.analysis.table import aligned
from detect.config.build import check_model
from detect.config.schema import DataSettings, Settings
from detect.engine.detection import DetectionTask
from detect.engine.log import Silence
from detect.engine.train import Trainer
from detect.inference.torch_runtime import pick_device
from detect.ops.image import write_image


def benchmark_training(settings: Settings, size: int, batch: int, steps: int = 12) -> dict[str, float]:
    """Images per second of training with augmentation and loader, beside those of the bare step and of the loader.

    Trains the configured model for a few steps on generated images of 640x480 px with eight objects each. After each
    of them another network of the same kind takes a bare step.

    Returns:
        {"images_per_second": median of the steps, "step_over_bare": median of the ratios of its time to that of the
        `BareStep` after it, "loader_share": median of the shares of the steps that went by waiting,
        "loader_images_per_second": what the loader alone makes, all loader processes together}

    Raises:
        UserError: the model does not take images of this size.
    """
    settings = copy.deepcopy(settings)
    settings.input.size, settings.input.train_sizes = size, None
    train = settings.train
    train.batch, train.accumulate, train.init = batch, 1, None
    train.steps, train.epochs, train.evaluate_every = steps + WARM_UP, None, 1e9
    check_model(settings)
    with tempfile.TemporaryDirectory() as folder:
        settings.data = DataSettings(root=folder)
        make_data_set(Path(folder), count=64)
        task = DetectionTask(settings)
        trainer = Trainer(task, Path(folder), pick_device())
        recorder = Recorder(BareStep(trainer))
        trainer.run(log=recorder)
        loaded = _loader_rate(task, steps, trainer.network.stride)
    return {
        "images_per_second": median(recorder.rates[WARM_UP:]),
        "step_over_bare": median(recorder.over_bare[WARM_UP:]),
        "loader_share": median(recorder.shares[WARM_UP:]),
        "loader_images_per_second": loaded,
    }


def _loader_rate(task: DetectionTask, steps: int, stride: int) -> float:
    """Images per second of the loader where nobody waits for anything else; mosaics, if any, in all of them."""
    batches = task.batches(1000 * steps, stride, 0)
    for _ in range(WARM_UP):
        next(batches)
    started, images = time.monotonic(), 0
    for batch in islice(batches, steps):
        images += len(batch.images)
    batches.close()
    return images / (time.monotonic() - started)


class BareStep:
    """Forward, loss, backward and SGD of a copy of the network, with the same batch again and again: what every step of
    a training has to do, without loader, average of weights, learning rates by part, clipping, checks and log."""

    def __init__(self, trainer: Trainer) -> None:
        self._losses = trainer.learner.losses
        self._network = copy.deepcopy(trainer.network)
        self._optimizer = torch.optim.SGD(self._network.parameters(), lr=1e-9, momentum=0.9)
        batches = trainer.task.batches(1, trainer.network.stride, 0)
        self.batch = next(batches)
        batches.close()

    def seconds(self) -> float:
        """Take one, and tell its time."""
        started = time.monotonic()
        loss = sum(self._losses(self.batch, network=self._network).values())
        loss.backward()
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        loss.item()  # waits for a GPU
        return time.monotonic() - started


class Recorder(Silence):
    """Stands in for the training's log and keeps its numbers, beside those of a bare step after each."""

    def __init__(self, bare: BareStep) -> None:
        self.rates, self.shares, self.over_bare = [], [], []
        self._bare = bare

    def step(self, *about: Any) -> None:
        *_, images_per_second, data_share = about
        self.rates.append(images_per_second)
        self.shares.append(data_share)
        images = len(self._bare.batch.images)
        self.over_bare.append(images / images_per_second / self._bare.seconds())


def make_data_set(folder: Path, count: int) -> None:
    """Write a small data set in COCO's format: `images/` and `annotations/train.json`."""
    rng = np.random.default_rng(0)
    (folder / "images").mkdir()
    (folder / "annotations").mkdir()
    images, annotations = [], []
    for number in range(1, count + 1):
        image = generated_image(rng)
        for _ in range(8):
            left, top = int(rng.integers(0, 500)), int(rng.integers(0, 360))
            width, height = int(rng.integers(20, 140)), int(rng.integers(20, 120))
            image[top : top + height, left : left + width] = rng.integers(0, 255, 3)
            box = [left, top, width, height]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": int(rng.integers(1, CLASSES + 1)),
                    "bbox": box,
                }
            )
        write_image(folder / "images" / f"{number}.jpg", image)
        images.append({"id": number, "file_name": f"{number}.jpg", "width": IMAGE[1], "height": IMAGE[0]})
    categories = [{"id": number, "name": f"patch {number}"} for number in range(1, CLASSES + 1)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "annotations" / "train.json").write_text(json.dumps(content))


def table(result: dict[str, Any]) -> str:
    """What `benchmark_training` gave for each model, under "training", as text."""
    rows = [
        (
            of["model"],
            str(of["size"]),
            str(of["batch"]),
            f"{of['images_per_second']:.1f}",
            f"{of['step_over_bare']:.2f}x",
            f"{of['loader_share']:.1%}",
            f"{of['loader_images_per_second']:.1f}",
        )
        for of in result["training"]
    ]
    heads = ("model", "px", "batch", "images/s", "of a bare step", "waiting for the loader", "loader alone, images/s")
    lines = aligned([heads, *rows], left=(0,))
    told = "medians of steps, with augmentation and loader; a bare step is forward, loss, backward and SGD"
    return "\n".join([described(result["machine"]), *lines, told])
