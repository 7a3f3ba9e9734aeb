"""Mosaic (arXiv 2004.10934): four images in one."""

from collections.abc import Sequence

import cv2
import numpy as np

from detect.data.augment import cut_out
from detect.data.sample import Sample
from detect.ops.letterbox import GREY

SCALES = (0.4, 1.0)  # long side of an image as share of the mosaic's side
CENTRES = (0.3, 0.7)  # where the four images meet, as share of the mosaic's side


def mosaic(samples: Sequence[Sample], size: int, rng: np.random.Generator) -> Sample:
    """Four `Sample`s -> one of size x size px. Each image touches the common corner and is cut at the border.

    Args:
        samples: four samples; the result carries the first one's image_id.
        size: side of the mosaic, px.
        rng: NumPy random generator.
    """
    canvas = np.full((size, size, 3), GREY, dtype=np.uint8)
    centre_x, centre_y = (int(size * rng.uniform(*CENTRES)) for _ in range(2))
    parts = []
    for corner, sample in enumerate(samples):
        height, width = sample.image.shape[:2]
        scale = size * rng.uniform(*SCALES) / max(height, width)
        new_width, new_height = max(round(width * scale), 1), max(round(height * scale), 1)
        left = centre_x - new_width if corner % 2 == 0 else centre_x
        top = centre_y - new_height if corner < 2 else centre_y

        image = cv2.resize(sample.image, (new_width, new_height), interpolation=cv2.INTER_LINEAR)
        cut_left, cut_top = max(-left, 0), max(-top, 0)
        part = image[cut_top : size - top, cut_left : size - left]
        y, x = top + cut_top, left + cut_left
        canvas[y : y + part.shape[0], x : x + part.shape[1]] = part

        factors = np.array([new_width / width, new_height / height] * 2, dtype=np.float32)
        moved = sample.boxes * factors + np.array([left, top] * 2, dtype=np.float32)
        parts.append(cut_out(sample, moved, canvas))
    boxes, labels, weights = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("boxes", "labels", "weights")
    )
    return Sample(canvas, boxes, labels, weights, samples[0].image_id)
