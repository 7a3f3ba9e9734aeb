"""How far AP would differ on other images of the same kind: a bootstrap over the images."""

from typing import NamedTuple

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from detect.evaluation.coco import IOU_50, Detection, matched

INTERVAL = (2.5, 97.5)  # percentiles of the resamples: 95% of them lie between


class _Class(NamedTuple):
    """The matches of one class, best score first. [D] detections, [T] IoU thresholds, [I] images."""

    image: np.ndarray  # int64 [D], index of each detection's image
    true: np.ndarray  # float64 [T, D], 1 where it found an object
    false: np.ndarray  # float64 [T, D], 1 where it found none (on crowds, neither)
    objects: np.ndarray  # float64 [I], objects in each image


def ap_intervals(
    ground_truth: COCO, detections: list[Detection], resamples: int = 1000, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """{"AP": (low, high), "AP50": (low, high)}: 95% of the APs of as many images, drawn with replacement, lie between.

    Detections and matches stay those of COCOeval (all areas, 100 detections an image); only how often an image counts
    is drawn. A class without objects in a resample is left out of its mean, as COCOeval does.

    Args:
        ground_truth: from `detect.evaluation.coco.indexed`.
        detections: COCO's results.
        resamples: how many times images are drawn, at least 1.
        seed: of the draws.
    """
    evaluation = matched(ground_truth, detections)
    classes = _classes(evaluation)
    recalls, count = evaluation.params.recThrs, len(evaluation.params.imgIds)
    rng = np.random.default_rng(seed)
    drawn = [np.bincount(rng.integers(count, size=count), minlength=count) for _ in range(resamples)]
    found = np.array([mean_ap(classes, times, recalls) for times in drawn])
    low, high = np.percentile(found, INTERVAL, axis=0)
    return {name: (float(low[i]), float(high[i])) for i, name in enumerate(("AP", "AP50"))}


def mean_ap(classes: list[_Class], times: np.ndarray, recalls: np.ndarray) -> tuple[float, float]:
    """(AP, AP50) as COCOeval computes them when image i counts `times[i]` times; -1 where no object is left.

    Args:
        classes: from `_classes`.
        times: [I], whole numbers.
        recalls: [R], at which precision is averaged.
    """
    per_class = [_ap(one, times, recalls) for one in classes if (one.objects * times).sum() > 0]
    if not per_class:
        return -1.0, -1.0
    aps = np.mean(per_class, axis=0)  # [T]
    return float(aps.mean()), float(aps[IOU_50])


def _ap(one: _Class, times: np.ndarray, recalls: np.ndarray) -> np.ndarray:
    """Average precision [T] of one class: COCOeval.accumulate with weights."""
    weight = times[one.image]
    true, false = (one.true * weight).cumsum(axis=1), (one.false * weight).cumsum(axis=1)
    recall = true / (one.objects * times).sum()
    precision = true / (true + false + np.spacing(1))
    precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    padded = np.concatenate([precision, np.zeros((len(precision), 1))], axis=1)  # recall never reached: 0
    return np.array(
        [
            row[np.searchsorted(reached, recalls, side="left")].mean()
            for row, reached in zip(padded, recall, strict=True)
        ]
    )


def _classes(evaluation: COCOeval) -> list[_Class]:
    """The matches of each class that COCOeval made, of all areas."""
    images, areas = len(evaluation.params.imgIds), len(evaluation.params.areaRng)
    limit = evaluation.params.maxDets[-1]
    classes = []
    for k in range(len(evaluation.params.catIds)):
        rows = evaluation.evalImgs[k * areas * images : k * areas * images + images]  # the first area is "all"
        found = [(i, row) for i, row in enumerate(rows) if row is not None]
        objects = np.zeros(images)
        for i, row in found:
            objects[i] = np.count_nonzero(np.asarray(row["gtIgnore"]) == 0)
        scores = np.concatenate([row["dtScores"][:limit] for _, row in found] or [np.zeros(0)])
        order = np.argsort(-scores, kind="mergesort")
        thresholds = len(evaluation.params.iouThrs)
        empty = [np.zeros((thresholds, 0))]
        hits = np.concatenate([row["dtMatches"][:, :limit] for _, row in found] or empty, axis=1)[:, order] > 0
        ignored = np.concatenate([row["dtIgnore"][:, :limit] for _, row in found] or empty, axis=1)[:, order] > 0
        image = np.repeat([i for i, _ in found], [len(row["dtScores"][:limit]) for _, row in found])[order]
        classes.append(_Class(image.astype(np.int64), (hits & ~ignored) * 1.0, (~hits & ~ignored) * 1.0, objects))
    return classes
