"""Two images in one: blended, cut into each other, or objects of one on the other."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import cv2
import numpy as np

from detect.config.schema import setting
from detect.data.augment.base import Augmentation, Context, cut_out, fitted, joined, pasted, resized
from detect.data.sample import Sample
from detect.ops.letterbox import GREY


@dataclass
class MixUp(Augmentation):
    """Two images blended, s of this one and 1 - s of another, s drawn from Beta(alpha, alpha); the boxes of both count
    by their image's share (arXiv 1902.04103). The other is scaled to fit into this one's frame and lies in it at
    random."""

    alpha: float = setting("how alike the shares are: from 0, one image alone, on", 1.5, above=0, high=1000)

    others: ClassVar[int] = 1

    def __call__(self, samples: Sequence[Sample], context: Context) -> Sample:
        sample, other = samples
        framed, _ = _framed(other, sample, context.rng)
        share = float(context.rng.beta(self.alpha, self.alpha))
        image = cv2.addWeighted(sample.image, share, framed.image, 1 - share, 0)
        parts = [
            replace(one, weights=(one.weights * by).astype(np.float32))
            for one, by in ((sample, share), (framed, 1 - share))
        ]
        return joined(parts, image)


@dataclass
class CutMix(Augmentation):
    """A rectangle of another image in this one, with what it shows of the other's objects (arXiv 1905.04899); its
    area is 1 - s of the frame, s drawn from Beta(alpha, alpha). The other is scaled as in MixUp."""

    alpha: float = setting("how alike the rectangles are in size", 1.0, above=0, high=1000)

    others: ClassVar[int] = 1

    def __call__(self, samples: Sequence[Sample], context: Context) -> Sample:
        sample, other = samples
        rng = context.rng
        framed, place = _framed(other, sample, rng)
        height, width = sample.image.shape[:2]
        sides = np.array([width, height]) * np.sqrt(1 - rng.beta(self.alpha, self.alpha))
        centre = rng.uniform(0, [width, height])
        low = np.maximum(np.round(centre - sides / 2).astype(int), place[:2])
        high = np.minimum(np.round(centre + sides / 2).astype(int), place[2:])
        if (high <= low).any():
            return sample
        (left, top), (right, bottom) = low.tolist(), high.tolist()
        return pasted(sample, _window(framed, (left, top, right, bottom)), left, top)


@dataclass
class CopyPaste(Augmentation):
    """Objects of another image, by their boxes, at random places of this one (after arXiv 2012.07177, which has masks).
    They are as large beside the image as in their own, and hide what they lie on."""

    objects: int = setting("how many at the most", 2, low=1, high=30)
    scale: float = setting("largest factor on their size, also its inverse", 1.5, low=1, high=10)

    others: ClassVar[int] = 1

    @property
    def together(self) -> int:
        return 1 + self.objects  # with an object comes what else its box shows

    def __call__(self, samples: Sequence[Sample], context: Context) -> Sample:
        sample, other = samples
        rng = context.rng
        known = np.flatnonzero(other.weights > 0)
        if not len(known):
            return sample
        count = min(int(rng.integers(1, self.objects, endpoint=True)), len(known))
        for index in rng.choice(known, size=count, replace=False):
            sample = self._with(sample, other, int(index), rng)
        return sample

    def _with(self, sample: Sample, other: Sample, index: int, rng: np.random.Generator) -> Sample:
        """`sample` with object `index` of `other` somewhere on it."""
        limits, frame = other.image.shape[1::-1], sample.image.shape[1::-1]
        box = other.boxes[index]
        left, top = np.minimum(np.floor(box[:2]).astype(int), np.array(limits) - 1).tolist()
        right, bottom = np.maximum(np.ceil(box[2:]).astype(int), [left + 1, top + 1]).tolist()
        piece = _window(other, (left, top, right, bottom))
        sides = np.array(piece.image.shape[1::-1])
        factor = max(frame) / max(limits) * self.scale ** rng.uniform(-1, 1)
        factor = min(factor, *(frame / sides))
        width, height = np.clip(np.round(sides * factor).astype(int), 1, frame).tolist()
        place = rng.integers(np.array(frame) - [width, height] + 1).tolist()
        return pasted(sample, resized(piece, width, height), *place)


def _window(sample: Sample, window: tuple[int, int, int, int]) -> Sample:
    """The part of a `Sample` within `window`, xyxy in whole px."""
    left, top, right, bottom = window
    moved = sample.boxes - np.array([left, top] * 2, dtype=np.float32)
    return cut_out(sample, moved, np.ascontiguousarray(sample.image[top:bottom, left:right]))


def _framed(other: Sample, sample: Sample, rng: np.random.Generator) -> tuple[Sample, tuple[int, int, int, int]]:
    """`other`, scaled to fit, at a random place of a grey image as large as `sample`'s, and where that is, xyxy."""
    height, width = sample.image.shape[:2]
    small = fitted(other, width, height)
    inner_height, inner_width = small.image.shape[:2]
    left, top = (int(rng.integers(room + 1)) for room in (width - inner_width, height - inner_height))
    place = (left, top, left + inner_width, top + inner_height)
    canvas = np.full_like(sample.image, GREY)
    canvas[place[1] : place[3], place[0] : place[2]] = small.image
    moved = small.boxes + np.array([left, top] * 2, dtype=np.float32)
    return cut_out(small, moved, canvas, place), place
