"""The score threshold of each class that gave the highest F1 on a set."""

from collections.abc import Sequence

from detect.report.ranking import Ranking, best_threshold, pooled

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
