"""What the training loop has to know of the task it trains: detection and classification each fill in a `Task`."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import nn

from detect.config.schema import ClassifierSettings, Settings
from detect.data.loading.shard import WHOLE, Shard
from detect.data.loading.shared_memory import check_shared_memory
from detect.data.sample import Batch, ClassifiedBatch
from detect.errors import UserError
from detect.inference.thresholds import Thresholds

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def noise(images: int, size: int) -> torch.Tensor:
    """Images without meaning, uint8 [images, 3, size, size], the same ones always."""
    shape = (images, 3, size, size)
    return torch.randint(256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


class DataSet(Protocol):
    """Images to learn from or to evaluate on."""

    def __len__(self) -> int: ...

    def fingerprint(self) -> str:
        """What a run knows the set by: counts, a comma, and a hash of what is in it."""
        ...


@dataclass(frozen=True)
class Evaluated:
    """A network on split val: metrics by name, the score thresholds that suit it best, and images by file name."""

    metrics: dict[str, float]
    thresholds: Thresholds | None = None
    drawings: dict[str, Callable[[], np.ndarray]] = field(default_factory=dict)


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
        UserError: the settings do not say what to train on and how long, the data cannot be used, or the shared memory
            is too small for the loader processes.
    """

    leading: str
    shown: tuple[str, ...]
    train_set: DataSet
    val_set: DataSet | None = None
    source: Path | str
    categories: list[dict[str, Any]]

    def __init__(self, settings: Settings | ClassifierSettings) -> None:
        if settings.data is None:
            raise UserError("data is missing", argument="data")
        if settings.train.epochs is None and settings.train.steps is None:
            raise UserError("train.epochs or train.steps is missing; say how long to train")
        check_shared_memory(settings)
        self.settings = settings

    @cached_property
    def fingerprints(self) -> dict[str, str]:
        """What a run knows its data by, split by split."""
        sets = {"train": self.train_set, "val": self.val_set}
        return {split: images.fingerprint() for split, images in sets.items() if images is not None}

    def compare(self, fingerprints: Mapping[str, str]) -> None:
        """Raise UserError, which says what differs, unless a run's `fingerprints` are those of this data."""
        for split in sorted(self.fingerprints.keys() | fingerprints.keys()):
            now, then = self.fingerprints.get(split, "no images"), fingerprints.get(split, "no images")
            if now != then:
                now, then = (text.split(", SHA-256")[0] for text in (now, then))
                what = f"{now}, where the run had {then}" if now != then else f"{now} as the run had, but other ones"
                raise UserError(
                    f"{self.source}: other data than the run was started with: split {split} has {what}; resume it on "
                    "the same data, or start another from its weights with train.init"
                )

    def build(self) -> nn.Module:
        """The untrained model."""
        raise NotImplementedError

    def batches(
        self, total_steps: int, stride: int, start: int, shard: Shard = WHOLE
    ) -> Iterator[Batch | ClassifiedBatch]:
        """Iterate over shards of the batches from step `start` on, of sizes that are multiples of `stride`."""
        raise NotImplementedError

    def teacher_outputs(self, images: torch.Tensor) -> Any:
        """What a teacher says of a batch's images, as networks take them; None where there is no teacher."""
        return None

    def loss(self, outputs: Any, batch: Batch | ClassifiedBatch, teacher_outputs: Any) -> dict[str, torch.Tensor]:
        """Named terms whose sum is the loss, from the model's outputs for the batch and its `teacher_outputs`."""
        raise NotImplementedError

    def found(self, network: nn.Module, device: torch.device, shard: Shard) -> Any:
        """What `network` makes of a shard of split val."""
        raise NotImplementedError

    def evaluated(self, found: Sequence[Any]) -> Evaluated:
        """What that is worth which was found in all shards, in their order."""
        raise NotImplementedError

    def largest_batch(self, images: int, size: int) -> Batch | ClassifiedBatch:
        """A made-up batch of so many images of `size` px that takes as much memory as any of the training."""
        raise NotImplementedError

    def evaluate_batch(self, network: nn.Module, device: torch.device) -> None:
        """Do what `found` does for one batch, of made-up images."""
        raise NotImplementedError

    def describe(self) -> Iterator[str]:
        """Lines on the data, for the start of the log."""
        raise NotImplementedError

    def draw_batch(self, batch: Batch | ClassifiedBatch) -> np.ndarray:
        """The first images of `batch` as the network sees them, with their labels: uint8 RGB [H, W, 3]."""
        raise NotImplementedError

    def drawings(self) -> dict[str, Callable[[], "Figure"]]:
        """Figures of the data by file name."""
        return {}
