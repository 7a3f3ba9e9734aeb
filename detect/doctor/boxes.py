"""Checks of boxes that can be learned from, but hardly are what was meant. All look at columns, not at single boxes."""

from collections.abc import Iterator
from functools import partial

import numpy as np

from detect.doctor.checks import SHOWN, Found, box_example, boxes_found, check
from detect.doctor.description import DataSet, Split
from detect.ops.boxes import iou

BEYOND = 1.0  # px over the border that rounding explains
TWICE = 0.95  # IoU from which on two boxes of a class in one image are one
WHOLE = 0.99  # share of its image that a box covers
SMALLEST = 2.0  # px of the network's input
CROWD = 100  # boxes in a row that are compared: more that are nearly the same are told by their neighbours
OFTEN, FIT, LEAST = 0.2, 0.99, 3  # see `are_corners`


@check(
    "box.corners",
    "error",
    "boxes that look like [left, top, right, bottom]",
    "a bbox is [left, top, width, height]: export again as COCO, or write right - left and bottom - top; a cleaned "
    "copy has them so",
)
def corners(data: DataSet) -> Iterator[Found]:
    for split in data.splits:
        if are_corners(split):
            yield boxes_found(split, np.flatnonzero(split.is_object).tolist(), partial(_corners_text, split))


def are_corners(split: Split) -> bool:
    """Whether the boxes of a split are [left, top, right, bottom] in place of width and height.

    Then many of them reach beyond their image, and all fit into it once they are read as corners.
    """
    boxes = split.boxes[split.is_object | split.reader.bad]
    limits = split.limits[split.is_object | split.reader.bad]
    if not len(boxes):
        return False
    reaches = (boxes[:, :2] + boxes[:, 2:] > limits + BEYOND).any(axis=1)
    fits = (boxes[:, 2:] > boxes[:, :2]).all(axis=1) & (boxes[:, 2:] <= limits + BEYOND).all(axis=1)
    return bool(reaches.sum() >= LEAST and reaches.mean() >= OFTEN and fits.mean() >= FIT)


def _corners_text(split: Split, row: int) -> str:
    width, height = split.limits[row]
    box = [round(value, 2) for value in split.boxes[row].tolist()]
    return f"is {box} in an image of {width:g}x{height:g} px"


@check(
    "box.beyond",
    "warning",
    "boxes that reach beyond their image",
    "they are cut at the border in training; check that the images were not resized or turned",
)
def beyond(data: DataSet) -> Iterator[Found]:
    for split in data.splits:
        if not are_corners(split):
            yield boxes_found(split, beyond_rows(split).tolist(), partial(_beyond_text, split))


def beyond_rows(split: Split) -> np.ndarray:
    """The objects whose boxes reach more than `BEYOND` px over the border."""
    over = np.maximum(-split.corners[:, :2], split.corners[:, 2:] - split.limits).max(axis=1, initial=-1)
    return np.flatnonzero(split.is_object & (over > BEYOND))


def _beyond_text(split: Split, row: int) -> str:
    left, top, right, bottom = split.corners[row]
    width, height = split.limits[row]
    over = max(-left, -top, right - width, bottom - height)
    return f"reaches {over:.4g} px beyond its image of {width:g}x{height:g} px"


@check(
    "box.twice",
    "warning",
    f"boxes drawn twice: of one class with IoU {TWICE:g} or more",
    "remove one of each two; a cleaned copy is without the second",
)
def twice(data: DataSet) -> Iterator[Found]:
    for split in data.splits:
        rows = np.flatnonzero(split.is_object)
        pairs = rows[twins(split.places[rows], split.labels[rows], split.cut[rows])]
        examples = [
            box_example(split, second, f"is {split.reader.where(first)} again", [first])
            for first, second in pairs[:SHOWN].tolist()
        ]
        yield Found(len(np.unique(pairs[:, 1])), examples)


def twins(places: np.ndarray, labels: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Pairs [m, 2] of indices, the smaller first, of boxes of one image and class that have an IoU of `TWICE` or more.

    Boxes [n, 4] xyxy that overlap so much have nearly the same left edge: sorted by image, class and left edge, twins
    lie near each other, so that a few shifts of the columns against themselves find all.
    """
    order = np.lexsort((boxes[:, 0], labels, places))
    places, labels, boxes = places[order], labels[order], boxes[order].astype(np.float64)
    reach = boxes[:, 0] + (1 / TWICE - 1) * (boxes[:, 2] - boxes[:, 0])  # a twin's left edge lies before it
    found, near = [np.zeros((0, 2), dtype=np.int64)], np.arange(len(order))
    for shift in range(1, CROWD):
        near = near[near + shift < len(order)]
        other = near + shift
        goes_on = (places[near] == places[other]) & (labels[near] == labels[other]) & (boxes[other, 0] <= reach[near])
        near, other = near[goes_on], other[goes_on]
        same = iou(boxes[near], boxes[other]) >= TWICE
        found.append(np.sort(np.column_stack([order[near[same]], order[other[same]]]), axis=1))
    pairs = np.concatenate(found)
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


@check(
    "box.whole",
    "note",
    f"boxes that cover {WHOLE:.0%} of their image or more",
    "fine if the object fills the image; a label of the image as a whole is none of an object",
)
def whole(data: DataSet) -> Iterator[Found]:
    for split in data.splits:
        sides = split.cut[:, 2:] - split.cut[:, :2]
        covers = sides.prod(axis=1) >= WHOLE * split.limits.prod(axis=1)
        rows = np.flatnonzero(split.is_object & covers)
        if not are_corners(split):
            yield boxes_found(split, rows.tolist(), partial(_whole_text, split))


def _whole_text(split: Split, row: int) -> str:
    width, height = split.limits[row]
    return f"covers its image of {width:g}x{height:g} px"


@check(
    "box.small",
    "note",
    f"boxes below {SMALLEST:g} px in the network's input",
    "nothing can be seen there: raise input.size, cut the images into tiles, or remove them",
)
def small(data: DataSet) -> Iterator[Found]:
    for split in data.splits if data.size else ():
        sides = input_sides(split, data.size or 0)
        rows = np.flatnonzero(split.is_object)[(sides < SMALLEST).any(axis=1)]
        yield boxes_found(split, rows.tolist(), partial(_small_text, split, data.size or 0))


def input_sides(split: Split, size: int) -> np.ndarray:
    """float64 [m, 2]: width and height of the objects' boxes in px of a square input of `size` px (`Letterbox`)."""
    boxes = split.cut[split.is_object].astype(np.float64)
    scale = size / np.maximum(split.limits[split.is_object].max(axis=1), 1)
    return (boxes[:, 2:] - boxes[:, :2]) * scale[:, None]


def _small_text(split: Split, size: int, row: int) -> str:
    left, top, right, bottom = split.cut[row].tolist()
    scale = size / split.limits[row].max()
    return f"has {(right - left) * scale:.2g} x {(bottom - top) * scale:.2g} px in an input of {size} px"
