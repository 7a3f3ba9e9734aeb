"""The score threshold of each class that gave the highest F1 on a set."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from detect.data.detection import DetectionData
from detect.evaluation.evaluate import match_categories
from detect.evaluation.fast import Evaluation
from detect.files import printable
from detect.inference.thresholds import Thresholds
from detect.report.pairs import FIT
from detect.report.ranking import Ranking, best_threshold, pooled, rankings

LEAST_OBJECTS = 20  # of a class, for a threshold of its own


def class_thresholds(classes: Sequence[Ranking]) -> tuple[list[float], float] | None:
    """(that of each of the K classes, the best one for all), each above 0 and below 1; None where nothing was found.

    A class with few objects, or none found, takes that of all: a best threshold of a handful of boxes is chance.
    """
    overall = best_threshold(pooled(classes))
    if overall is None:
        return None
    own = [best_threshold(one) if one.count >= LEAST_OBJECTS else None for one in classes]
    return [(best or overall).threshold for best in own], overall.threshold


def best_thresholds(evaluation: Evaluation, categories: list[dict[str, Any]], data: DetectionData) -> Thresholds | None:
    """What a detector's file keeps of an evaluation; None where nothing was found.

    Args:
        categories: the model's `{"id", "name"}` by label; a class that the data lacks takes the threshold of all.
        data: what it was evaluated on.
    """
    found = class_thresholds(rankings(evaluation))
    if found is None:
        return None
    own, overall = found
    by_id = dict(zip(evaluation.truth.category_ids.tolist(), own, strict=True))
    ids = match_categories(categories, data.categories, data.source)
    scores = tuple(round(by_id.get(category_id, overall), 6) for category_id in ids)
    return Thresholds(scores, FIT, f"{len(data)} images of {printable(Path(data.source).name)}")
