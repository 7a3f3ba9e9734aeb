"""Detections and objects of the same image, whatever their classes, and how much they overlap."""

from typing import NamedTuple

import numpy as np

from detect.evaluation.fast import Evaluation
from detect.ops.boxes import iou, xywh_to_xyxy

FIT = 0.5  # IoU from which on a box fits an object
AT_ONCE = 1 << 19  # pairs whose overlaps are computed together


class Pairs(NamedTuple):
    """p pairs of one image: indices of the detection and of the object, and their IoU; all [p]."""

    detections: np.ndarray
    objects: np.ndarray
    ious: np.ndarray


def pairs(evaluation: Evaluation, detections: np.ndarray, objects: np.ndarray, least: float) -> Pairs:
    """All pairs of some detections [d] and some objects [m], by index, with an IoU of `least` (above 0) or more.

    They are ordered as `detections` are.
    """
    truth = evaluation.truth
    objects = objects[np.argsort(truth.images[objects], kind="stable")]
    images = truth.images[objects]
    first, last = (
        np.searchsorted(images, evaluation.matches.images[detections], side=side) for side in ("left", "right")
    )
    counts = last - first
    found = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))]
    ends = np.cumsum(counts)
    for block in np.split(np.arange(len(counts)), np.flatnonzero(np.diff(ends // AT_ONCE)) + 1):
        mine = np.repeat(block, counts[block])
        within = np.arange(len(mine)) - np.repeat(np.cumsum(counts[block]) - counts[block], counts[block])
        its = objects[np.repeat(first[block], counts[block]) + within]
        ious = iou(xywh_to_xyxy(evaluation.detections.boxes[detections[mine]]), xywh_to_xyxy(truth.boxes[its]))
        enough = np.flatnonzero(ious >= least)
        found.append((detections[mine[enough]], its[enough], ious[enough]))
    return Pairs(*map(np.concatenate, zip(*found, strict=True)))


def best_of_each(found: Pairs, count: int) -> tuple[np.ndarray, np.ndarray]:
    """(highest IoU, its object) of each of `count` detections by index, both [count]; 0 and -1 without a pair."""
    order = np.argsort(found.ious, kind="stable")  # the highest is written last
    ious, objects = np.zeros(count), np.full(count, -1)
    ious[found.detections[order]] = found.ious[order]
    objects[found.detections[order]] = found.objects[order]
    return ious, objects
