"""What stands between a network and everything that runs it."""

from typing import Protocol

import numpy as np

from detect.ops.nms import Candidates


class Runtime(Protocol):
    """A network that is ready to run, whatever computes it.

    One that can move also has `to(device)`; one that gains from being called by several threads at once says by how
    many: `calls`.
    """

    @property
    def names(self) -> tuple[str, ...]:
        """Of the K classes."""

    @property
    def size(self) -> int:
        """Side in px of the square images that it takes."""

    def __call__(self, squares: np.ndarray, min_score: float) -> list[Candidates]:
        """uint8 RGB [B, size, size, 3] -> of each image the candidates above a score, 0..1, boxes in network px."""
