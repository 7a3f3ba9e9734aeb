"""Darknet's random changes of an image, made of albumentations' transforms."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from detect.config.schema import setting
from detect.data.augment.base import MIN_VISIBILITY, Augmentation, Context
from detect.data.augment.by_albumentations import applied
from detect.data.augment.transforms import import_albumentations
from detect.data.sample import Sample
from detect.ops.boxes import area
from detect.ops.letterbox import GREY

if TYPE_CHECKING:
    from detect.config.schema import ColourSettings


@dataclass
class Jitter(Augmentation):
    """Darknet's jitter and resize: each edge of the image is cut, or padded with grey, by its own random share. Mosaics
    are cut and scaled already and stay as they are."""

    share: float = setting("share of a side by which it is cut or padded at the most", 0.3, low=0, high=0.49)
    zoom: float = setting(
        "by how much it is cut or padded beside that: at the most by what would zoom in or out by this factor",
        1.0,
        low=1,
        high=4,
    )

    def prepare(self) -> None:
        _ = self._crops

    def __call__(self, samples: Sequence[Sample], context: Context) -> Sample:
        (sample,) = samples
        if sample.is_mosaic:
            return sample
        changed = replace(sample, labels=np.arange(len(sample.boxes)))
        for transform in self._crops:
            changed = applied(transform, changed, context.seed())
        left = changed.labels
        # nothing is scaled, so areas tell what is left after both; of ignore regions stays all that is seen
        enough = area(changed.boxes) >= area(sample.boxes[left]) * MIN_VISIBILITY
        left, boxes = left[keep := enough | (changed.weights == 0)], changed.boxes[keep]
        return replace(
            sample, image=changed.image, boxes=boxes, labels=sample.labels[left], weights=sample.weights[left]
        )

    @cached_property
    def _crops(self) -> list[Any]:
        reaches = [(-self.share, self.share)]  # shares of a side, cut < 0
        reaches += [((1 / self.zoom - 1) / 2, (self.zoom - 1) / 2)] * (self.zoom > 1)
        crop = import_albumentations().CropAndPad
        return [crop(percent=reach, keep_size=False, fill=GREY, p=1.0) for reach in reaches]


@dataclass
class HSV(Augmentation):
    """Darknet's colours: other hue, saturation and brightness."""

    hue: float = setting("largest shift of the hue, as share of the colour circle", 0.1, low=0, high=0.5)
    saturation: float = setting("largest factor on the saturation, also its inverse", 1.5, low=1)
    exposure: float = setting("largest factor on the brightness, also its inverse", 1.5, low=1)

    def prepare(self) -> None:
        _ = self._colours

    def __call__(self, samples: Sequence[Sample], context: Context) -> Sample:
        return applied(self._colours, samples[0], context.seed())

    @cached_property
    def _colours(self) -> Any:
        return _colours(self.hue, self.saturation, self.exposure)


def flip_and_colour(settings: "ColourSettings") -> list[Any]:
    """The transforms of `ColourSettings`: left-right flip, hue, saturation and exposure."""
    flip = import_albumentations().HorizontalFlip(p=settings.flip)
    return [flip, _colours(settings.hue, settings.saturation, settings.exposure)]


def _colours(hue: float, saturation: float, exposure: float) -> Any:
    return import_albumentations().ColorJitter(
        brightness=(1 / exposure, exposure),
        contrast=(1, 1),
        saturation=(1 / saturation, saturation),
        hue=(-hue, hue),
        p=1.0,
    )
