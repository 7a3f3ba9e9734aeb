"""Which class is taken for which, at IoU 0.5 and the classes' score thresholds."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from detect.evaluation.coco import IOU_50
from detect.evaluation.fast import Evaluation
from detect.report.pairs import FIT, pairs


class Confusions(NamedTuple):
    """A matrix of counts without its zeros, row by row: rows are the objects' classes 0..K-1, columns those found.

    The last row and column, K, are background.
    """

    rows: np.ndarray  # int64 [n]
    columns: np.ndarray  # int64 [n]
    counts: np.ndarray  # int64 [n], at least 1
    background: int  # K

    def shares(self) -> np.ndarray:
        """[n], the share of each count in its row, in the last row that in its column."""
        row_sums = np.bincount(self.rows, weights=self.counts, minlength=self.background + 1)
        column_sums = np.bincount(self.columns, weights=self.counts, minlength=self.background + 1)
        return self.counts / np.where(self.rows == self.background, column_sums[self.columns], row_sums[self.rows])


def confusions_of(evaluation: Evaluation, above: Sequence[float]) -> Confusions:
    """What the objects of each class are found as.

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
    cells = [(matches.labels[right], matches.labels[right])]  # (rows, columns)

    free = ~truth.crowds
    free[object_of[right]] = False
    waiting = shown & (object_of < 0)
    found = pairs(evaluation, np.flatnonzero(waiting), np.flatnonzero(free), FIT)
    taken = []
    for pair in np.argsort(-found.ious, kind="stable").tolist():
        detection, thing = found.detections[pair], found.objects[pair]
        if waiting[detection] and free[thing]:
            waiting[detection] = free[thing] = False
            taken.append(pair)
    cells.append((truth.labels[found.objects[taken]], matches.labels[found.detections[taken]]))
    missed, invented = truth.labels[free], matches.labels[waiting]
    cells += [(missed, np.full(len(missed), background)), (np.full(len(invented), background), invented)]
    rows, columns = (np.concatenate(side).astype(np.int64) for side in zip(*cells, strict=True))
    places, counts = np.unique(rows * (background + 1) + columns, return_counts=True)
    return Confusions(*np.divmod(places, background + 1), counts, background)


def top_confusions(found: Confusions, most: int = 15) -> list[tuple[int, int, int, float]]:
    """(class, taken for, how often, share of the class's objects) of what is most often confused, background apart."""
    is_wrong = (found.rows != found.columns) & (found.rows < found.background) & (found.columns < found.background)
    order = np.flatnonzero(is_wrong)[np.argsort(-found.counts[is_wrong], kind="stable")[:most]]
    columns = (found.rows, found.columns, found.counts, found.shares())
    return list(zip(*(column[order].tolist() for column in columns), strict=True))
