"""How far AP would differ on other images of the same kind: a bootstrap over the images."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from detect.evaluation.coco import AREA_ALL, IOU_50
from detect.evaluation.curves import RECALLS, T
from detect.evaluation.matching import Matches, unpacked

INTERVAL = (2.5, 97.5)  # percentiles of the resamples: 95% of them lie between


class _Class(NamedTuple):
    """The matches of one class. [D] detections, best score first; [F] found objects, threshold by threshold."""

    image: np.ndarray  # int64 [D], index of each detection's image
    told: np.ndarray  # bool [T, D], it is right or wrong, and not on a crowd
    threshold: np.ndarray  # int64 [F], index of the IoU threshold
    place: np.ndarray  # int64 [F], which of the detections it is
    number: np.ndarray  # int64 [F], how many are found before it
    objects: np.ndarray  # int64 [I], objects in each image


def ap_intervals(matches: Matches, resamples: int = 1000, seed: int = 0) -> dict[str, tuple[float, float]]:
    """{"AP": (low, high), "AP50": (low, high)}: 95% of the APs of as many images, drawn with replacement, lie between.

    Detections and matches stay those of the evaluation (all areas, 100 detections an image); only how often an image
    counts is drawn. A class without objects in a resample is left out of its mean, as COCOeval does, and a resample
    without any object is left out; where all are, the interval is (-1, -1).

    Args:
        matches: of `detect.evaluation.fast.evaluate`.
        resamples: how many times images are drawn, at least 1.
        seed: of the draws.
    """
    classes, count = list(_classes(matches)), len(matches.truth.image_ids)
    rng = np.random.default_rng(seed)
    drawn = (np.bincount(rng.integers(count, size=count), minlength=count) for _ in range(resamples))
    found = np.array([mean_ap(classes, times) for times in drawn])
    annotated = found[found[:, 0] >= 0]
    low, high = np.percentile(annotated if len(annotated) else found, INTERVAL, axis=0)
    return {name: (float(low[i]), float(high[i])) for i, name in enumerate(("AP", "AP50"))}


def mean_ap(classes: list[_Class], times: np.ndarray) -> tuple[float, float]:
    """(AP, AP50) as COCOeval computes them when image i counts `times[i]` times; -1 where no object is left.

    Args:
        classes: from `_classes`.
        times: [I], whole numbers.
    """
    per_class = [_ap(one, times) for one in classes if (one.objects * times).sum() > 0]
    if not per_class:
        return -1.0, -1.0
    aps = np.mean(per_class, axis=0)  # [T]
    return float(aps.mean()), float(aps[IOU_50])


def _ap(one: _Class, times: np.ndarray) -> np.ndarray:
    """Average precision [T] of one class: COCOeval.accumulate with weights, looking only where objects are found."""
    weight = times[one.image]
    told = (one.told * weight).cumsum(axis=1)[one.threshold, one.place]
    own = weight[one.place]
    found = own.cumsum()
    begins = one.number == 0  # a threshold
    found -= (found - own)[begins][begins.cumsum() - 1]  # what was found at the thresholds before
    highest = np.zeros((T, int(one.number.max(initial=0)) + 1))
    highest[one.threshold, one.number] = found / (told + np.spacing(1))
    highest = np.maximum.accumulate(highest[:, ::-1], axis=1)[:, ::-1]
    reached = np.searchsorted(RECALLS, found / (one.objects * times).sum(), side="right")
    steps = np.diff(reached, prepend=0)  # recalls that each is the first to reach
    steps[begins] = reached[begins]
    precision = highest[one.threshold, one.number]
    return np.bincount(one.threshold, weights=precision * steps, minlength=T) / len(RECALLS)


def _classes(matches: Matches) -> Iterator[_Class]:
    """Each class of the set."""
    truth = matches.truth
    for label in range(len(truth.category_ids)):
        part = matches.of_class(label)
        true, ignored = (unpacked(bits[part], AREA_ALL) for bits in (matches.true, matches.ignored))
        threshold, place = np.nonzero(true)
        number = true.cumsum(axis=1)[threshold, place] - 1
        objects = np.bincount(truth.images[(truth.labels == label) & ~truth.crowds], minlength=len(truth.image_ids))
        yield _Class(matches.images[matches.counted[part]], ~ignored, threshold, place, number, objects)
