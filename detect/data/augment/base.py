"""What every augmentation is: a class with its options, which makes one `Sample` of one or several."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import cv2
import numpy as np

from detect.config.schema import setting
from detect.data.sample import Sample
from detect.ops.boxes import area

MIN_VISIBILITY = 0.2  # share of a box that must stay in the image for the box to stay
MIN_AREA = 4.0  # px^2


@dataclass
class Context:
    """What an augmentation knows of the training image that is being made.

    rng: of this image alone, the only source of randomness;  size: side of the network's input, px;  progress: of the
    training, 0 to below 1.
    """

    rng: np.random.Generator
    size: int
    progress: float

    def seed(self) -> int:
        """What the random numbers of a library's transform begin with: another each time, as with one for all those
        that are flipped would be the darker ones."""
        return int(self.rng.integers(2**31))


@dataclass
class Augmentation:
    """Options that all augmentations have, and what they are asked.

    Attributes:
        others: further images that it takes, each a `Sample` as the one that it changes.
    """

    p: float = setting("probability", 1.0, low=0, high=1)
    off: float = setting("last share of the training that goes without", 0.0, low=0, high=1)

    others: ClassVar[int] = 0

    @property
    def together(self) -> int:
        """Images whose objects can be in the result, at the most."""
        return 1 + self.others

    def happens(self, context: Context) -> bool:
        """Whether it changes the image this time."""
        return context.progress < 1 - self.off and context.rng.random() < self.p

    def prepare(self) -> None:
        """Do what takes time, once, before loader processes are forked."""

    def __call__(self, samples: Sequence[Sample], context: Context) -> Sample:
        """The changed one of `samples`, of which the others are what it takes beside it; they stay as they are."""
        raise NotImplementedError


def cut_out(
    sample: Sample, boxes: np.ndarray, image: np.ndarray, window: tuple[int, int, int, int] | None = None
) -> Sample:
    """`image`, uint8 RGB [h, w, 3] that shows a part of a `Sample`, as one, with the boxes of which enough is seen.

    Args:
        boxes: [n, 4] xyxy, those of the sample in px of `image`, not cut yet.
        window: xyxy in px of `image`, where it shows the sample; all of it by default.
    """
    left, top, right, bottom = window or (0, 0, image.shape[1], image.shape[0])
    cut = np.clip(boxes, *np.array([[left, top] * 2, [right, bottom] * 2], dtype=boxes.dtype))
    least = np.where(sample.weights > 0, area(boxes) * MIN_VISIBILITY, 0)  # of ignore regions all that is seen
    keep = area(cut) >= np.maximum(least, MIN_AREA)
    return replace(sample, image=image, boxes=cut[keep], labels=sample.labels[keep], weights=sample.weights[keep])


def resized(sample: Sample, width: int, height: int) -> Sample:
    """A `Sample` in `width` x `height` px; all boxes stay, however small."""
    factors = np.array([width / sample.image.shape[1], height / sample.image.shape[0]] * 2, dtype=np.float32)
    shrinks = width < sample.image.shape[1]
    image = cv2.resize(sample.image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return replace(sample, image=image, boxes=sample.boxes * factors)


def fitted(sample: Sample, width: int, height: int) -> Sample:
    """A `Sample` scaled by one factor, so that it fits into `width` x `height` px."""
    own_height, own_width = sample.image.shape[:2]
    ratio = min(width / own_width, height / own_height)
    new_width, new_height = (max(round(side * ratio), 1) for side in (own_width, own_height))
    return resized(sample, min(new_width, width), min(new_height, height))


def joined(parts: Sequence[Sample], image: np.ndarray) -> Sample:
    """`image` with the objects of all `parts`, whose boxes are in px of it; the rest is the first one's."""
    boxes, labels, weights = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("boxes", "labels", "weights")
    )
    return replace(parts[0], image=image, boxes=boxes, labels=labels, weights=weights)


def pasted(onto: Sample, piece: Sample, left: int, top: int) -> Sample:
    """A `Sample` with another laid on it, its corner at (left, top) and no px of it outside.

    Boxes below it are cut where it hides them from side to side, and go where less is seen than `cut_out` leaves.
    """
    height, width = piece.image.shape[:2]
    image = onto.image.copy()
    image[top : top + height, left : left + width] = piece.image
    moved = replace(piece, boxes=piece.boxes + np.array([left, top] * 2, dtype=np.float32))
    return joined([_beside(onto, (left, top, left + width, top + height)), moved], image)


def _beside(sample: Sample, window: tuple[int, int, int, int]) -> Sample:
    """A `Sample` without what `window`, xyxy in px, hides of its boxes."""
    low, high = np.array(window[:2], dtype=np.float32), np.array(window[2:], dtype=np.float32)
    start, end = sample.boxes[:, :2].copy(), sample.boxes[:, 2:].copy()
    overlap = np.clip(np.minimum(end, high) - np.maximum(start, low), 0, None).prod(1)
    whole = area(sample.boxes)
    seen = whole - overlap
    least = np.where(sample.weights > 0, whole * MIN_VISIBILITY, 0)
    keep = seen >= np.maximum(least, MIN_AREA)
    spans = (low <= start) & (end <= high)  # from side to side, in x and in y
    for axis, across in ((0, spans[:, 1]), (1, spans[:, 0])):
        hides_start = across & (low[axis] <= start[:, axis]) & (start[:, axis] < high[axis])
        hides_end = across & (low[axis] < end[:, axis]) & (end[:, axis] <= high[axis])
        start[hides_start, axis], end[hides_end, axis] = high[axis], low[axis]
    boxes = np.concatenate([start, end], axis=1)[keep]
    return replace(sample, boxes=boxes, labels=sample.labels[keep], weights=sample.weights[keep])
