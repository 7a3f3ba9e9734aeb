"""Images changed by albumentations, their boxes with them. Only this room imports it, and only when it is needed: it
takes a second."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from detect.data.augment.base import MIN_VISIBILITY, Augmentation, Context, cut_out
from detect.data.augment.transforms import first_line, make
from detect.data.sample import Sample
from detect.errors import UserError
from detect.files import printable

TINY = 16  # px; images with a smaller side stay as they are where a transform fails at them
OWN = ("off",)  # options that all augmentations have, and albumentations' have not


class Albumentation(Augmentation):
    """A transform of albumentations.

    It decides itself, by its own `p`, whether it happens.

    Args:
        name: with the prefix, "A.GaussNoise".
        options: arguments of its class, and `off`.

    Raises:
        OptionError: there is none of this name, an argument is unknown or of a wrong kind, or it makes something else
            than 8-bit RGB images with boxes.
    """

    def __init__(self, name: str, options: Mapping[str, Any]) -> None:
        own = {key: options[key] for key in options if key in OWN}
        super().__init__(1.0, **own)
        self.name = name
        self.transform = make(name, {key: options[key] for key in options if key not in OWN})

    def happens(self, context: Context) -> bool:
        return context.progress < 1 - self.off

    def __call__(self, samples: Sequence[Sample], context: Context) -> Sample:
        (sample,) = samples
        try:
            return applied(self.transform, sample, context.seed())
        except Exception as error:
            height, width = sample.image.shape[:2]
            if min(height, width) < TINY:
                return sample
            place = f"image {printable(sample.image_id)}, {width}x{height} px"
            raise UserError(f"augment: {self.name}: {first_line(error)} ({place})") from error


def applied(transform: Any, sample: Sample, seed: int) -> Sample:
    """A `Sample` as a transform makes it, boxes and all: the same for the same seed.

    A box of which less than MIN_VISIBILITY is seen goes, be it that it is outside or that the transform hides it.
    """
    height, width = sample.image.shape[:2]
    columns = [sample.boxes / np.array([width, height] * 2, dtype=np.float32), np.arange(len(sample.boxes))[:, None]]
    rows = np.concatenate(columns, axis=1, dtype=np.float32)
    transform.set_random_seed(seed)
    changed = transform(image=sample.image, bboxes=rows)
    image, moved = changed["image"], changed["bboxes"]
    if image is sample.image:  # it did not happen
        return sample
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise UserError(f"it makes no 8-bit RGB images but {image.dtype} {list(image.shape)}")
    if moved is rows and image.shape == sample.image.shape:  # as colours do
        kept = replace(sample, image=image)
    else:
        left = moved[:, 4].astype(np.int64)
        boxes = (moved[:, :4] * ([image.shape[1], image.shape[0]] * 2)).astype(np.float32)
        kept = replace(sample, labels=sample.labels[left], weights=sample.weights[left])
        kept = cut_out(kept, boxes, image)
    return _without_hidden(kept, transform.params.get("holes"))


def _without_hidden(sample: Sample, holes: np.ndarray | None) -> Sample:
    """A `Sample` without the objects that `holes`, xyxy in px, hide almost whole; None for no holes."""
    if holes is None or not len(holes) or not len(sample.boxes):
        return sample
    seen = np.ones(sample.image.shape[:2], dtype=np.float32)
    for left, top, right, bottom in np.maximum(holes, 0).astype(int).tolist():
        seen[top:bottom, left:right] = 0
    keep = sample.weights == 0
    for index in np.flatnonzero(~keep):
        (left, top), (right, bottom) = np.floor(sample.boxes[index, :2]), np.ceil(sample.boxes[index, 2:])
        keep[index] = seen[int(top) : int(bottom), int(left) : int(right)].mean() >= MIN_VISIBILITY
    return replace(sample, boxes=sample.boxes[keep], labels=sample.labels[keep], weights=sample.weights[keep])
