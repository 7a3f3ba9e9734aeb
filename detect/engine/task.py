"""What the training loop has to know of the task it trains: detection and classification each fill in a `Task`."""

from collections.abc import Iterator, Sized
from pathlib import Path
from typing import Any

import torch
from torch import nn

from detect.config.schema import ClassifierSettings, Settings
from detect.data.sample import Batch, ClassifiedBatch
from detect.errors import UserError


class Task:
    """The data of a training, the model made for it, its loss and its evaluation.

    Attributes:
        leading: name of the metric by which the best weights are kept; the greater, the better.
        shown: names of the metrics in the log.
        settings: the run's settings.
        train_set, val_set: what is learned from and evaluated on, with a length each; `val_set` is None without split
            val.
        source: the train split's file or folder, for messages.
        categories: `{"id", "name"}` by label.

    Raises:
        UserError: the settings do not say what to train on and how long, or the data cannot be used.
    """

    leading: str
    shown: tuple[str, ...]
    train_set: Sized
    val_set: Sized | None = None
    source: Path
    categories: list[dict[str, Any]]

    def __init__(self, settings: Settings | ClassifierSettings) -> None:
        if settings.data is None:
            raise UserError("data is missing", argument="data")
        if settings.train.epochs is None and settings.train.steps is None:
            raise UserError("train.epochs or train.steps is missing; say how long to train")
        self.settings = settings

    def build(self) -> nn.Module:
        """The untrained model."""
        raise NotImplementedError

    def batches(self, total_steps: int, stride: int, start: int) -> Iterator[Batch | ClassifiedBatch]:
        """Iterate over batches from step `start` on, of sizes that are multiples of `stride`."""
        raise NotImplementedError

    def loss(self, outputs: Any, batch: Batch | ClassifiedBatch) -> dict[str, torch.Tensor]:
        """Named terms whose sum is the loss, from the model's outputs for the batch."""
        raise NotImplementedError

    def evaluate(self, network: nn.Module, device: torch.device) -> dict[str, float]:
        """Metrics by name of `network` on split val."""
        raise NotImplementedError

    def describe(self) -> Iterator[str]:
        """Lines on the data, for the start of the log."""
        raise NotImplementedError

    def save_image(self, batch: Batch | ClassifiedBatch, path: Path) -> None:
        """Write the first images of `batch` as the network sees them."""
        raise NotImplementedError
