"""Which class is taken for which, at IoU 0.5 and the classes' score thresholds."""

from collections.abc import Sequence

import numpy as np

from detect.evaluation.coco import IOU_50
from detect.evaluation.fast import Evaluation
from detect.report.pairs import FIT, pairs


def confusion_matrix(evaluation: Evaluation, above: Sequence[float]) -> np.ndarray:
    """Counts int64 [K + 1, K + 1]: rows are the objects' classes, columns those found; the last ones are background.

    Objects and detections that the evaluation matched are right; of the others, those that overlap by 0.5 or more are
    paired, the highest IoU first. What is left is missed (last column) or found in the background (last row).
    Detections that lie in crowds are left out.

    Args:
        above: [K], score that a detection of each class must have more than.
    """
    truth, matches = evaluation.truth, evaluation.matches
    background = len(truth.category_ids)
    object_of = matches.objects()[IOU_50].astype(np.int64)
    shown = evaluation.detections.scores > np.array([*above, np.inf])[matches.labels]  # the last: no class of the set
    shown &= ~matches.is_ignored()[IOU_50]
    right = np.flatnonzero(shown & (object_of >= 0))
    matrix = np.zeros((background + 1, background + 1), dtype=np.int64)
    np.add.at(matrix, (matches.labels[right], matches.labels[right]), 1)

    free = ~truth.crowds
    free[object_of[right]] = False
    waiting = shown & (object_of < 0)
    found = pairs(evaluation, np.flatnonzero(waiting), np.flatnonzero(free), FIT)
    for pair in np.argsort(-found.ious, kind="stable").tolist():
        detection, thing = found.detections[pair], found.objects[pair]
        if waiting[detection] and free[thing]:
            waiting[detection] = free[thing] = False
            matrix[truth.labels[thing], matches.labels[detection]] += 1
    np.add.at(matrix, (truth.labels[free], background), 1)
    np.add.at(matrix, (background, matches.labels[waiting]), 1)
    return matrix


def top_confusions(matrix: np.ndarray, most: int = 15) -> list[tuple[int, int, int, float]]:
    """(class, taken for, how often, share of the class's objects) of what is most often confused, background apart."""
    between = matrix[:-1, :-1].copy()
    np.fill_diagonal(between, 0)
    totals = matrix[:-1].sum(axis=1)
    order = np.argsort(-between, axis=None, kind="stable")[:most]
    rows, columns = np.unravel_index(order, between.shape)
    return [
        (row, column, int(between[row, column]), float(between[row, column] / totals[row]))
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True)
        if between[row, column]
    ]
