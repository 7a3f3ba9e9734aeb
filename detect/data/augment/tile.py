"""A part of a large image at its own resolution."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from detect.data.augment.base import Augmentation, Context, cut_out
from detect.data.sample import Sample


@dataclass
class Tile(Augmentation):
    """A part of the image, as large as the network's input and not scaled, instead of all of it."""

    def __call__(self, samples: Sequence[Sample], context: Context) -> Sample:
        (sample,) = samples
        height, width = sample.image.shape[:2]
        size, rng = context.size, context.rng
        left, top = (int(rng.integers(max(side - size, 0) + 1)) for side in (width, height))
        moved = sample.boxes - np.array([left, top] * 2, dtype=np.float32)
        return cut_out(sample, moved, np.ascontiguousarray(sample.image[top : top + size, left : left + size]))
