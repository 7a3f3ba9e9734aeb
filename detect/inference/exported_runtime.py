"""What the engines of exported files have in common."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from os import PathLike
from pathlib import Path

import numpy as np

from detect.inference.exported import Exported
from detect.ops.nms import Candidates


class ExportedRuntime(ABC):
    """A `detect.inference.runtime.Runtime` of an exported file, which is computed in `precision`: f32, bf16 or f16.

    Args:
        path: the file.
        exported: what it says of itself.
    """

    precision: str

    def __init__(self, path: str | PathLike[str], exported: Exported) -> None:
        self.path = Path(path)
        self.exported = exported
        self.decoder = exported.decoder

    @property
    def names(self) -> tuple[str, ...]:
        """Of the K classes."""
        return self.exported.names

    @property
    def size(self) -> int:
        """Side in px of the square images that it takes."""
        return self.exported.size

    def __call__(self, squares: np.ndarray, min_score: float) -> list[Candidates]:
        """uint8 RGB [B, size, size, 3] -> of each image the candidates above `min_score`, boxes in network px."""
        found = []
        for count, maps in self._run(squares):
            found += self.decoder([_channels_first(level[:count]) for level in maps], min_score)
        return found

    def raw(self, squares: np.ndarray) -> list[np.ndarray]:
        """uint8 RGB [B, size, size, 3] -> the head's raw maps, float32 [B, A*(5+K), H_i, W_i]."""
        parts = [[level[:count].copy() for level in maps] for count, maps in self._run(squares)]
        return [_channels_first(np.concatenate(levels)) for levels in zip(*parts, strict=True)]

    def _run(self, squares: np.ndarray) -> Iterator[tuple[int, list[np.ndarray]]]:
        """(images, their maps) of as many images at once as the file takes; the last ones are filled up."""
        at_once = self.exported.batch or 1  # a CPU gains nothing from more
        parts = [squares[start : start + at_once] for start in range(0, len(squares), at_once)]
        for part, maps in zip(parts, self.infer(_filled(part, at_once) for part in parts), strict=True):
            yield len(part), maps

    @abstractmethod
    def infer(self, batches: Iterable[np.ndarray]) -> Iterator[list[np.ndarray]]:
        """uint8 RGB [batch, size, size, 3] each -> in order, raw maps float32 [batch, H_i, W_i, A*(5+K)] each.

        The maps of a batch may be overwritten once the next ones are asked for.
        """


def _filled(part: np.ndarray, length: int) -> np.ndarray:
    """`part` with so many images, the last ones of them black."""
    missing = length - len(part)
    return np.pad(part, ((0, missing), (0, 0), (0, 0), (0, 0))) if missing else part


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _channels_first(level: np.ndarray) -> np.ndarray:
    """[B, H, W, C] seen as [B, C, H, W]."""
    return level.transpose(0, 3, 1, 2)
