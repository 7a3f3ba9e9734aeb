"""Precision over recall of each class, threshold and area range, as COCOeval accumulates them."""

from dataclasses import dataclass

import numpy as np

from detect.evaluation.matching import AREAS, IOU_THRESHOLDS, LIMIT, Matches, unpacked

RECALLS = np.linspace(0, 1, 101)
LIMITS = (1, 10, LIMIT)  # detections of an image and class, best first, that recall is told for
T, R, A, M = len(IOU_THRESHOLDS), len(RECALLS), len(AREAS), len(LIMITS)


@dataclass(frozen=True, eq=False)
class Curves:
    """COCOeval's arrays for K classes; -1 where nothing is annotated.

    precision: float64 [T, R, K, A], at each recall of `RECALLS`;  scores: float64 [T, R, K, A], of the detection that
    reaches the recall, 0 where none does;  recall: float64 [T, K, A, M], with the best 1, 10 and 100 detections of each
    image and class. Precision and scores are of 100.
    """

    precision: np.ndarray
    scores: np.ndarray
    recall: np.ndarray


def accumulate(matches: Matches, scores: np.ndarray) -> Curves:
    """The curves of matches; `scores` float64 [n] are those of all detections."""
    classes = len(matches.truth.category_ids)
    precision, at_score = np.full((T, R, classes, A), -1.0), np.full((T, R, classes, A), -1.0)
    recall = np.full((T, classes, A, M), -1.0)
    scores = scores[matches.counted]
    for area in range(A):
        counts = matches.counts(area)
        for label in np.flatnonzero(counts):
            part = matches.of_class(label)
            true, ignored = unpacked(matches.true[part], area), unpacked(matches.ignored[part], area)
            for number, limit in enumerate(LIMITS):
                found = true if limit == LIMIT else true[:, matches.ranks[part] < limit]
                recall[:, label, area, number] = np.count_nonzero(found, axis=1) / counts[label]
            curve = _curve(true, ignored, scores[part], int(counts[label]))
            precision[:, :, label, area], at_score[:, :, label, area] = curve
    return Curves(precision, at_score, recall)


def _curve(true: np.ndarray, ignored: np.ndarray, scores: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """(highest precision from each recall on, score that reaches it), both [T, R], of one class.

    Precision is highest where an object was found, so that only those places are looked at.

    Args:
        true, ignored: bool [T, d], of its detections, best score first.
        scores: [d].
        count: its objects.
    """
    threshold, place = np.nonzero(true)
    number = true.cumsum(axis=1)[threshold, place]  # of objects found so far
    told = (~ignored).cumsum(axis=1)[threshold, place]
    highest, reaching = np.zeros((2, len(true), count))
    highest[threshold, number - 1] = number / (told + np.spacing(1))
    highest = np.maximum.accumulate(highest[:, ::-1], axis=1)[:, ::-1]
    reaching[threshold, number - 1] = scores[place]
    needed = np.searchsorted(np.arange(1, count + 1) / count, RECALLS)  # objects less one
    precision, reached = highest[:, needed], reaching[:, needed]
    reached[:, 0] = scores[0] if len(scores) else 0  # recall 0 is reached by the first, whatever it is
    return precision, reached
