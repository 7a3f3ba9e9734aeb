"""Samples whose objects are painted in colours that tell their labels, so that tests see where they are."""

import cv2
import numpy as np

from detect.data.augment.base import Context
from detect.data.augment.pipeline import Pipeline
from detect.data.sample import Sample
from detect.ops.letterbox import GREY

LABELS = 12  # as many hues, 15 of OpenCV's 180 apart


def colour(label):
    """Of the objects of a label, uint8 RGB [3]."""
    return cv2.cvtColor(np.uint8([[[15 * label, 255, 160]]]), cv2.COLOR_HSV2RGB)[0, 0]


def is_colour(image, label):
    """Where `image` has the colour of a label, also darker or blended with grey: bool [h, w]."""
    hue, saturation, value = cv2.split(cv2.cvtColor(image, cv2.COLOR_RGB2HSV).astype(int))
    near = np.abs((hue - 15 * label + 90) % 180 - 90) <= 3
    return near & (saturation > 130) & (value > 60)


def extent(image, label):
    """Box [4] xyxy around the px of the colour of a label, None where there are none."""
    rows, columns = np.nonzero(is_colour(image, label))
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]) if len(rows) else None


def painted(boxes, labels, height, width, weights=None, image_id=0):
    """A grey `Sample` with painted boxes."""
    image = np.full((height, width, 3), GREY, dtype=np.uint8)
    for (left, top, right, bottom), label in zip(boxes, labels, strict=True):
        image[top:bottom, left:right] = colour(label)
    weights = np.ones(len(labels)) if weights is None else weights
    boxes = np.array(boxes, dtype=np.float32).reshape(-1, 4)
    return Sample(image, boxes, np.array(labels, dtype=np.int64), np.array(weights, np.float32), image_id)


def samples():
    """Twelve samples of several sizes, each with an object of a label of its own: odd ones are ignore regions."""
    sizes = [(120, 160), (160, 120), (90, 90), (200, 80), (100, 170), (140, 140)] * 2
    made = []
    for label, (height, width) in enumerate(sizes):
        left, top = width // 8 + 3 * label, height // 6 + label
        box = (left, top, left + width // 2, top + height // 2 + 3)
        made.append(painted([box], [label], height, width, [1 - label % 2], label))
    return made


def empty(height, width):
    """A `Sample` without objects."""
    return painted([], [], height, width)


def changed(augment, images, seed, index=0, size=128, progress=0.0):
    """What a list of augmentations makes of one of `images`; the others are drawn from the rest."""

    def draw(rng, count):
        return (index + 1 + np.resize(rng.permutation(max(len(images) - 1, 1)), count)) % len(images)

    pipeline = Pipeline(augment, images.__getitem__, draw)
    return pipeline(index, Context(np.random.default_rng(seed), size, progress))


def assert_same(a, b):
    for field in ("image", "boxes", "labels", "weights"):
        np.testing.assert_array_equal(getattr(a, field), getattr(b, field), strict=True)
    assert a.image_id == b.image_id
