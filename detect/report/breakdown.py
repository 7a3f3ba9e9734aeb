"""AP50 and recall of objects of one size or one shape: as COCO's area ranges, in finer steps."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from detect.evaluation.coco import IOU_50
from detect.evaluation.fast import Evaluation
from detect.report.ranking import Ranking, average_precision

SIZES = (16, 32, 64, 96, 192, 384)  # px, side of a square of the object's area; 32 and 96 are COCO's borders
ASPECTS = (1 / 3, 1 / 1.5, 1.5, 3)  # width / height


class Bucket(NamedTuple):
    """Objects of one kind: `name`, how many, and how well they are found; -1 where there are none."""

    name: str
    count: int
    ap50: float  # mean over the classes that have such objects
    recall: float  # share that is found at IoU 0.5, at any score


def by_size(evaluation: Evaluation, classes: Sequence[Ranking]) -> list[Bucket]:
    """Objects by the square root of their area in image px."""
    sides = evaluation.detections.boxes[:, 2:]
    own, found = (np.sqrt(areas) for areas in (evaluation.truth.areas, sides.prod(axis=1)))
    names = [
        f"up to {SIZES[0]} px",
        *(f"{a} to {b}" for a, b in pairwise(SIZES)),
        f"over {SIZES[-1]}",
    ]
    return _buckets(evaluation, classes, np.digitize(own, SIZES), np.digitize(found, SIZES), names)


def by_aspect(evaluation: Evaluation, classes: Sequence[Ranking]) -> list[Bucket]:
    """Objects by the width of their box divided by its height."""
    own, found = (
        np.digitize(boxes[:, 2] / np.maximum(boxes[:, 3], 1e-9), ASPECTS)
        for boxes in (evaluation.truth.boxes, evaluation.detections.boxes)
    )
    return _buckets(
        evaluation, classes, own, found, ["under 1:3", "1:3 to 1:1.5", "about 1:1", "1.5:1 to 3:1", "over 3:1"]
    )


def _buckets(
    evaluation: Evaluation, classes: Sequence[Ranking], own: np.ndarray, found: np.ndarray, names: Sequence[str]
) -> list[Bucket]:
    """Each bucket evaluated alone: objects of others are ignored with what found them, and so are false detections of
    another bucket.

    Args:
        own, found: the bucket of each object [m] and detection [n].
    """
    truth = evaluation.truth
    object_of = evaluation.matches.objects()[IOU_50]
    wanted = ~truth.crowds
    buckets = []
    for number, name in enumerate(names):
        counts = np.bincount(truth.labels[wanted & (own == number)], minlength=len(classes))
        aps, right = [], 0
        for one, count in zip(classes, counts.tolist(), strict=True):
            if not count:
                continue
            mine = np.where(one.true, own[object_of[one.index]], found[one.index]) == number
            right += int(one.true[mine].sum())
            aps.append(average_precision(np.flatnonzero(one.true[mine]), count))
        total = int(counts.sum())
        buckets.append(Bucket(name, total, float(np.mean(aps)) if aps else -1.0, right / total if total else -1.0))
    return buckets
