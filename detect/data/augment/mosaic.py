"""Several images in one: Mosaic's four (arXiv 2004.10934), or nine."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import cv2
import numpy as np

from detect.data.augment.base import Augmentation, Context, cut_out, joined
from detect.data.sample import Sample
from detect.ops.letterbox import GREY

SCALES = (0.4, 1.0)  # long side of an image as share of the mosaic's side
CENTRES = (0.3, 0.7)  # where the four images meet, as share of the mosaic's side
SCALES_OF_NINE = (0.3, 0.7)
LINES_OF_NINE = ((0.25, 0.42), (0.58, 0.75))  # between the columns, and the rows, of nine


@dataclass
class Mosaic(Augmentation):
    """Four images in one: each touches the corner in which they meet and is cut at the border. The result is as large
    as the network's input."""

    others: ClassVar[int] = 3

    def __call__(self, samples: Sequence[Sample], context: Context) -> Sample:
        size, rng = context.size, context.rng
        canvas = _canvas(size)
        centre_x, centre_y = (int(size * rng.uniform(*CENTRES)) for _ in range(2))
        parts = []
        for corner, sample in enumerate(samples):
            width, height = _scaled(sample, size * rng.uniform(*SCALES))
            left = centre_x - width if corner % 2 == 0 else centre_x
            top = centre_y - height if corner < 2 else centre_y
            parts.append(_placed(canvas, sample, (width, height), (left, top), (0, 0, size, size)))
        return replace(joined(parts, canvas), is_mosaic=True)


@dataclass
class Mosaic9(Augmentation):
    """Nine images in one, three by three: each lies at random in its field, or is cut at the borders of it."""

    others: ClassVar[int] = 8

    def __call__(self, samples: Sequence[Sample], context: Context) -> Sample:
        size, rng = context.size, context.rng
        canvas = _canvas(size)
        columns, rows = ([0, *(int(size * rng.uniform(*line)) for line in LINES_OF_NINE), size] for _ in range(2))
        parts = []
        for number, sample in enumerate(samples):
            row, column = divmod(number, 3)
            field = (columns[column], rows[row], columns[column + 1], rows[row + 1])
            shape = _scaled(sample, size * rng.uniform(*SCALES_OF_NINE))
            place = tuple(
                field[axis] + int((field[axis + 2] - field[axis] - shape[axis]) * rng.random()) for axis in range(2)
            )
            parts.append(_placed(canvas, sample, shape, place, field))
        return replace(joined(parts, canvas), is_mosaic=True)


def _canvas(size: int) -> np.ndarray:
    return np.full((size, size, 3), GREY, dtype=np.uint8)


def _scaled(sample: Sample, longest: float) -> tuple[int, int]:
    """(width, height) of an image scaled to a long side of `longest` px."""
    height, width = sample.image.shape[:2]
    scale = longest / max(height, width)
    return max(round(width * scale), 1), max(round(height * scale), 1)


def _placed(
    canvas: np.ndarray,
    sample: Sample,
    shape: tuple[int, int],
    place: tuple[int, ...],
    field: tuple[int, int, int, int],
) -> Sample:
    """Draw an image, scaled to `shape` (width, height), on `canvas` with its corner at `place` (left, top).

    What lies outside of `field`, xyxy, is left out. Returns the canvas with the boxes of this image alone.
    """
    height, width = sample.image.shape[:2]
    (new_width, new_height), (left, top) = shape, place
    image = cv2.resize(sample.image, (new_width, new_height), interpolation=cv2.INTER_LINEAR)
    cut_left, cut_top = max(field[0] - left, 0), max(field[1] - top, 0)
    part = image[cut_top : field[3] - top, cut_left : field[2] - left]
    y, x = top + cut_top, left + cut_left
    canvas[y : y + part.shape[0], x : x + part.shape[1]] = part
    factors = np.array([new_width / width, new_height / height] * 2, dtype=np.float32)
    moved = sample.boxes * factors + np.array([left, top] * 2, dtype=np.float32)
    return cut_out(sample, moved, canvas, field)
