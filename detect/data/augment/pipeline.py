"""A list of augmentations, or its short form, and what it makes of a training's images."""

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from detect.config.schema import AugmentSettings
from detect.data.augment.base import Augmentation, Context
from detect.data.augment.by_albumentations import Albumentation
from detect.data.augment.darknet import HSV, Jitter
from detect.data.augment.mix import CopyPaste, CutMix, MixUp
from detect.data.augment.mosaic import Mosaic, Mosaic9
from detect.data.augment.tile import Tile
from detect.data.augment.transforms import PREFIX
from detect.data.augment.warp import RandomAffine, RandomPerspective
from detect.data.sample import Sample
from detect.errors import OptionError, UserError

AUGMENTATIONS: dict[str, type[Augmentation]] = {
    cls.__name__: cls
    for cls in (Mosaic, Mosaic9, MixUp, CutMix, CopyPaste, Tile, Jitter, HSV, RandomAffine, RandomPerspective)
}
MOST_IMAGES = 36  # that one training image may be made of

Parts = Sequence[Mapping[str, Any]]  # {"name": ..., option: value, ...}


def parts_of(augment: AugmentSettings | Parts) -> Parts:
    """The list that settings are, or are the short form of."""
    if not isinstance(augment, AugmentSettings):
        return augment
    tile = [{"name": "Tile", "p": augment.tile}] if augment.tile else []
    return [
        *tile,
        {"name": "Mosaic", "p": augment.mosaic, "off": augment.mosaic_off},
        {"name": "Jitter", "share": augment.jitter, "zoom": augment.zoom},
        {"name": "A.HorizontalFlip", "p": augment.flip},
        {"name": "HSV", "hue": augment.hue, "saturation": augment.saturation, "exposure": augment.exposure},
    ]


def made(part: Mapping[str, Any]) -> Augmentation:
    """The augmentation that a checked part of the list describes.  Raises OptionError where albumentations has none."""
    options = {key: value for key, value in part.items() if key != "name"}
    if part["name"].startswith(PREFIX):
        return Albumentation(part["name"], options)
    return AUGMENTATIONS[part["name"]](**options)


def own(augment: AugmentSettings | Parts) -> list[Augmentation]:
    """The augmentations of the list that are ours, those that never happen left out."""
    steps = [made(part) for part in parts_of(augment) if not part["name"].startswith(PREFIX)]
    return [step for step in steps if step.p > 0 and step.off < 1]


def most_images(augment: AugmentSettings | Parts) -> int:
    """Images that one training image is made of, at the most."""
    return prod(1 + step.others for step in own(augment))


def most_together(augment: AugmentSettings | Parts) -> int:
    """Images whose objects can be in one training image, at the most."""
    return prod(step.together for step in own(augment))


def needs_whole_size(augment: AugmentSettings | Parts) -> bool:
    """Whether images are wanted at their own resolution, however large."""
    return any(isinstance(step, Tile) for step in own(augment))


class Pipeline:
    """Index of an image -> the `Sample` that a training learns from.

    The augmentations follow each other; whatever stands before one that takes further images is done to each of these
    too, which are drawn at random.

    Args:
        augment: the list, or its short form.
        read: index -> `Sample`.
        draw: random generator, count -> indices of so many images.

    Raises:
        UserError: albumentations is not installed, or has no such transform.
    """

    def __init__(
        self,
        augment: AugmentSettings | Parts,
        read: Callable[[int], Sample],
        draw: Callable[[np.random.Generator, int], np.ndarray],
    ) -> None:
        self.read, self.draw = read, draw
        self.steps = []
        for number, part in enumerate(parts_of(augment)):
            try:
                self.steps.append(made(part))
            except OptionError as error:
                raise UserError(f"augment[{number}]: {error}") from error
        for step in self.steps:
            step.prepare()

    def __call__(self, index: int, context: Context) -> Sample:
        """The image, the same for the same random numbers."""
        return self._made(index, len(self.steps), context)

    def _made(self, index: int, count: int, context: Context) -> Sample:
        """The image after the first `count` augmentations."""
        sample = self.read(index)
        for number, step in enumerate(self.steps[:count]):
            if step.happens(context):
                others = self.draw(context.rng, step.others) if step.others else ()
                sample = step([sample, *(self._made(int(other), number, context) for other in others)], context)
        return sample
