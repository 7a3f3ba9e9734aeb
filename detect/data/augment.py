"""Random changes of a training image: Darknet's jitter, zoom, flip, hue, saturation and exposure, by albumentations."""

import os
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from detect.data.sample import Sample
from detect.ops.boxes import area, clip
from detect.ops.letterbox import GREY

if TYPE_CHECKING:
    from detect.config.schema import AugmentSettings, ColourSettings

MIN_VISIBILITY = 0.2  # share of a box that must stay in the image for the box to stay
MIN_AREA = 4.0  # px^2


class Augment:
    """`Sample` -> `Sample`, the same for the same seed.

    Args:
        settings: `AugmentSettings`.
    """

    def __init__(self, settings: "AugmentSettings") -> None:
        albumentations = import_albumentations()
        jitter, zoom = settings.jitter, settings.zoom
        boxes = albumentations.BboxParams("pascal_voc", label_fields=["numbers"], clip=True, min_area=MIN_AREA)
        reaches = [(-jitter, jitter)] + [((1 / zoom - 1) / 2, (zoom - 1) / 2)] * (zoom > 1)  # shares of a side, cut < 0
        crops = [albumentations.CropAndPad(percent=reach, keep_size=False, fill=GREY) for reach in reaches]
        self._whole = albumentations.Compose([*crops, *flip_and_colour(settings)], bbox_params=boxes)
        # a mosaic is cut and scaled already
        self._mosaic = albumentations.Compose(flip_and_colour(settings), bbox_params=boxes)

    def __call__(self, sample: Sample, seed: int, is_mosaic: bool = False) -> Sample:
        transform = self._mosaic if is_mosaic else self._whole
        transform.set_random_seed(seed)
        changed = transform(image=sample.image, bboxes=sample.boxes, numbers=np.arange(len(sample.boxes)))
        boxes = np.asarray(changed["bboxes"], dtype=np.float32).reshape(-1, 4)
        left = np.asarray(changed["numbers"], dtype=np.int64).reshape(-1)  # they come back as floats
        labels, weights = sample.labels[left], sample.weights[left]
        # nothing is scaled; of ignore regions stays all that is seen
        keep = (area(boxes) >= area(sample.boxes[left]) * MIN_VISIBILITY) | (weights == 0)
        return Sample(changed["image"], boxes[keep], labels[keep], weights[keep], sample.image_id)


def cut_out(sample: Sample, boxes: np.ndarray, image: np.ndarray) -> Sample:
    """`image`, uint8 RGB [h, w, 3] that shows a part of a `Sample`, as one, with the boxes of which enough is seen.

    Args:
        boxes: [n, 4] xyxy, those of the sample in px of `image`, not cut yet.
    """
    cut = clip(boxes, image.shape[1], image.shape[0])
    least = np.where(sample.weights > 0, area(boxes) * MIN_VISIBILITY, 0)  # of ignore regions all that is seen
    keep = area(cut) >= np.maximum(least, MIN_AREA)
    return Sample(image, cut[keep], sample.labels[keep], sample.weights[keep], sample.image_id)


def random_tile(sample: Sample, size: int, rng: np.random.Generator) -> Sample:
    """A part of at most size x size px of a `Sample`, anywhere in it, at the image's own resolution."""
    height, width = sample.image.shape[:2]
    left, top = (int(rng.integers(max(side - size, 0) + 1)) for side in (width, height))
    moved = sample.boxes - np.array([left, top] * 2, dtype=np.float32)
    return cut_out(sample, moved, np.ascontiguousarray(sample.image[top : top + size, left : left + size]))


def flip_and_colour(settings: "ColourSettings") -> list[Any]:
    """The transforms of `ColourSettings`: left-right flip, hue, saturation and exposure."""
    albumentations = import_albumentations()
    flip = albumentations.HorizontalFlip(p=settings.flip)
    colour = albumentations.ColorJitter(
        brightness=(1 / settings.exposure, settings.exposure),
        contrast=(1, 1),
        saturation=(1 / settings.saturation, settings.saturation),
        hue=(-settings.hue, settings.hue),
        p=1.0,
    )
    return [flip, colour]


def import_albumentations() -> ModuleType:
    """The module, imported when it is needed: it takes a second."""
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it would ask the network for updates at import
    import albumentations

    return albumentations
