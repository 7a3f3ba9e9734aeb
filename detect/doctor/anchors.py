"""Anchors that fit the boxes of a set: k-means with 1 - IoU as the distance (YOLOv2, arXiv 1612.08242)."""

from typing import NamedTuple

import numpy as np

RESTARTS, ROUNDS = 5, 50  # of the k-means
SAMPLE = 10_000  # boxes that it looks at, at the most
NEAR = 0.5  # IoU from which on a box is near an anchor


class Fit(NamedTuple):
    """How well anchors fit boxes: mean_iou, of the boxes with their best anchor; recall, share of the boxes whose best
    IoU is `NEAR` or more. Both are of sizes alone: box and anchor have the same centre."""

    mean_iou: float
    recall: float


def size_iou(sizes: np.ndarray, anchors: np.ndarray) -> np.ndarray:
    """IoU [n, A] of boxes and anchors with the same centre, by their widths and heights [n, 2], [A, 2] in one unit."""
    (widths, heights), (anchor_widths, anchor_heights) = sizes.T, anchors.T
    shared = np.minimum.outer(widths, anchor_widths) * np.minimum.outer(heights, anchor_heights)
    return shared / np.maximum(sizes.prod(axis=1)[:, None] + anchors.prod(axis=1) - shared, np.finfo(float).tiny)


def fit_of(sizes: np.ndarray, anchors: np.ndarray) -> Fit:
    """The `Fit` of anchors [A, 2] to boxes of these widths and heights [n, 2], n > 0."""
    best = size_iou(sizes, np.asarray(anchors, dtype=np.float64)).max(axis=1)
    return Fit(float(best.mean()), float((best >= NEAR).mean()))


def sample_of(sizes: np.ndarray, seed: int = 0) -> np.ndarray:
    """At most `SAMPLE` of the sizes, drawn without order, where there are more."""
    if len(sizes) <= SAMPLE:
        return sizes
    return sizes[np.random.default_rng(seed).choice(len(sizes), SAMPLE, replace=False)]


def fitted(sizes: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    """The anchors [count, 2] that fit boxes of these widths and heights [n, 2] best, by rising area.

    The best of `RESTARTS` runs of k-means, each from centres drawn as k-means++ does; a cluster's centre is the median
    of its boxes.
    """
    sizes = sample_of(np.asarray(sizes, dtype=np.float64), seed)
    rng = np.random.default_rng(seed)
    runs = [_k_means(sizes, _first_centres(sizes, count, rng)) for _ in range(RESTARTS)]
    best = max(runs, key=lambda anchors: fit_of(sizes, anchors).mean_iou)
    return best[np.argsort(best.prod(axis=1), kind="stable")]


def _first_centres(sizes: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Boxes [count, 2], each drawn with a chance that grows with the square of its distance to those before."""
    centres = sizes[rng.integers(len(sizes))][None]
    while len(centres) < count:
        distance = (1 - size_iou(sizes, centres).max(axis=1)) ** 2
        total = distance.sum()
        chosen = rng.choice(len(sizes), p=distance / total) if total > 0 else rng.integers(len(sizes))
        centres = np.concatenate([centres, sizes[chosen][None]])
    return centres


def _k_means(sizes: np.ndarray, centres: np.ndarray) -> np.ndarray:
    nearest = np.full(len(sizes), -1)
    for _ in range(ROUNDS):
        now = size_iou(sizes, centres).argmax(axis=1)
        if (now == nearest).all():
            break
        nearest = now
        centres = np.array(
            [
                np.median(sizes[nearest == number], axis=0) if (nearest == number).any() else centre
                for number, centre in enumerate(centres)
            ]
        )
    return centres
