"""The detections of a class at IoU 0.5, best score first: precision, recall, F1, AP and the best threshold."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from detect.evaluation.coco import AREA_ALL, IOU_50
from detect.evaluation.curves import RECALLS
from detect.evaluation.fast import Evaluation
from detect.evaluation.matching import unpacked


@dataclass(frozen=True, eq=False)
class Ranking:
    """d detections, best score first, of what has `count` objects; those that count for nothing (crowds) are left out.

    index: int64 [d], among the evaluation's detections;  scores: float64 [d];  true: bool [d], found an object.
    """

    index: np.ndarray
    scores: np.ndarray
    true: np.ndarray
    count: int

    @cached_property
    def found(self) -> np.ndarray:
        """Objects found down to each detection, int64 [d]."""
        return self.true.cumsum()

    @property
    def precision(self) -> np.ndarray:
        """Share of right ones down to each detection, float64 [d]."""
        return self.found / np.arange(1, len(self.true) + 1)

    @property
    def recall(self) -> np.ndarray:
        """Share of the objects that are found down to each detection, float64 [d]."""
        return self.found / max(self.count, 1)

    @property
    def f1(self) -> np.ndarray:
        """Harmonic mean of precision and recall down to each detection, float64 [d]."""
        return 2 * self.found / (np.arange(1, len(self.true) + 1) + max(self.count, 1))

    @cached_property
    def ends(self) -> np.ndarray:
        """Detections after which a lower score begins, int64: where a threshold can be."""
        return np.flatnonzero(np.diff(self.scores, append=-np.inf))

    def part(self, kept: np.ndarray, count: int | None = None) -> "Ranking":
        """Those that a mask [d] chooses, of `count` objects (as many as before)."""
        count = self.count if count is None else count
        return replace(self, index=self.index[kept], scores=self.scores[kept], true=self.true[kept], count=count)

    def average_precision(self) -> float:
        """See the function of this name."""
        return average_precision(np.flatnonzero(self.true), self.count)


def average_precision(places: np.ndarray, count: int) -> float:
    """Precision averaged over 101 recalls as COCOeval does; 0 where nothing is found.

    Args:
        places: [f], those of the detections that found an object, ascending from 0, where the best score is.
        count: objects to be found.
    """
    if not count or not len(places):
        return 0.0
    found = np.arange(1, len(places) + 1)
    highest = np.maximum.accumulate((found / (places + 1))[::-1])[::-1]
    reached = np.searchsorted(found / count, RECALLS, side="left")
    return float(np.append(highest, 0.0)[reached].mean())


class Best(NamedTuple):
    """The score threshold with the highest F1: detections above it are kept."""

    threshold: float
    f1: float
    precision: float
    recall: float


def best_threshold(ranking: Ranking) -> Best | None:
    """Half-way between the last score that pays and the next lower one; None where no object was found."""
    if not ranking.count or not ranking.true.any():
        return None
    last = ranking.ends[np.argmax(ranking.f1[ranking.ends])]
    below = ranking.scores[last + 1] if last + 1 < len(ranking.scores) else 0.0
    values = (ranking.f1[last], ranking.precision[last], ranking.recall[last])
    return Best(float(ranking.scores[last] + below) / 2, *map(float, values))


def rankings(evaluation: Evaluation) -> list[Ranking]:
    """Those of all K classes of the evaluated set."""
    matches, counts = evaluation.matches, evaluation.matches.counts()
    found = []
    for label, count in enumerate(counts.tolist()):
        part = matches.of_class(label)
        true, ignored = (unpacked(bits[part], AREA_ALL)[IOU_50] for bits in (matches.true, matches.ignored))
        index = matches.counted[part]
        whole = Ranking(index, evaluation.detections.scores[index], true, count)
        found.append(whole.part(~ignored))
    return found


def pooled(classes: Sequence[Ranking]) -> Ranking:
    """All classes taken together."""
    index, scores, true = (
        np.concatenate([getattr(one, name) for one in classes] or [np.zeros(0, dtype)])
        for name, dtype in (("index", np.int64), ("scores", float), ("true", bool))
    )
    order = np.argsort(-scores, kind="stable")
    return Ranking(index[order], scores[order], true[order], sum(one.count for one in classes))


def mean_ap(classes: Sequence[Ranking], present: Sequence[bool]) -> float:
    """Mean AP at IoU 0.5 of the classes that are `present`, in 0..1; -1 where none is."""
    values = [one.average_precision() for one, is_there in zip(classes, present, strict=True) if is_there]
    return float(np.mean(values)) if values else -1.0
