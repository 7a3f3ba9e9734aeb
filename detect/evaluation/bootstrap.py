"""How far AP would differ on other images of the same kind: a bootstrap over the images."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from detect.evaluation.coco import IOU_50
from detect.evaluation.curves import RECALLS
from detect.evaluation.matching import Matches, unpacked

INTERVAL = (2.5, 97.5)  # percentiles of the resamples: 95% of them lie between


class _Class(NamedTuple):
    """The matches of one class, best score first. [D] detections, [T] IoU thresholds, [I] images."""

    image: np.ndarray  # int64 [D], index of each detection's image
    true: np.ndarray  # float64 [T, D], 1 where it found an object
    false: np.ndarray  # float64 [T, D], 1 where it found none (on crowds, neither)
    objects: np.ndarray  # int64 [I], objects in each image


def ap_intervals(matches: Matches, resamples: int = 1000, seed: int = 0) -> dict[str, tuple[float, float]]:
    """{"AP": (low, high), "AP50": (low, high)}: 95% of the APs of as many images, drawn with replacement, lie between.

    Detections and matches stay those of the evaluation (all areas, 100 detections an image); only how often an image
    counts is drawn. A class without objects in a resample is left out of its mean, as COCOeval does.

    Args:
        matches: of `detect.evaluation.fast.evaluate`.
        resamples: how many times images are drawn, at least 1.
        seed: of the draws.
    """
    classes, count = list(_classes(matches)), len(matches.truth.image_ids)
    rng = np.random.default_rng(seed)
    drawn = [np.bincount(rng.integers(count, size=count), minlength=count) for _ in range(resamples)]
    found = np.array([mean_ap(classes, times) for times in drawn])
    low, high = np.percentile(found, INTERVAL, axis=0)
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
    """Average precision [T] of one class: COCOeval.accumulate with weights."""
    weight = times[one.image]
    true, false = (one.true * weight).cumsum(axis=1), (one.false * weight).cumsum(axis=1)
    recall = true / (one.objects * times).sum()
    precision = true / (true + false + np.spacing(1))
    precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    padded = np.concatenate([precision, np.zeros((len(precision), 1))], axis=1)  # recall never reached: 0
    return np.array(
        [
            row[np.searchsorted(reached, RECALLS, side="left")].mean()
            for row, reached in zip(padded, recall, strict=True)
        ]
    )


def _classes(matches: Matches) -> Iterator[_Class]:
    """Each class of the set."""
    truth = matches.truth
    for label in range(len(truth.category_ids)):
        part = matches.of_class(label)
        true, ignored = unpacked(matches.true[part], 0), unpacked(matches.ignored[part], 0)
        objects = truth.images[(truth.labels == label) & ~truth.crowds]
        counts = np.bincount(objects, minlength=len(truth.image_ids))
        yield _Class(matches.images[matches.counted[part]], true * 1.0, (~true & ~ignored) * 1.0, counts)
