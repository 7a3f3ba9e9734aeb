"""Non-maximum suppression: from all scored boxes of an image to its detections. One for every runtime, in NumPy."""

from typing import NamedTuple

import numpy as np

from detect.ops.boxes import diou, iou

OVERLAPS = ("iou", "diou", "diou_beta")
MAX_CANDIDATES = 20_000  # best-scored candidates that take part
BLOCK = 96  # candidates compared at once: large enough for NumPy, small enough for the processor's caches
LATER = np.triu(np.ones((BLOCK, BLOCK), dtype=bool), 1)  # [i, j]: whether j comes after i


class Candidates(NamedTuple):
    """Scored boxes of one image; what NMS leaves of them comes best first. Frames: network px until `Letterbox.undo`.

    A box may stand here several times, once for each of its classes.
    """

    boxes: np.ndarray  # float32 [n, 4] xyxy
    scores: np.ndarray  # float32 [n], 0..1
    labels: np.ndarray  # int64 [n], 0..K-1


def nms(
    candidates: Candidates,
    overlap: str = "iou",
    threshold: float = 0.45,
    beta: float = 0.6,
    per_class: bool = True,
    vote: bool = False,
    limit: int = 100,
) -> Candidates:
    """The candidates that no better one overlaps too much, best first; of equal scores the first counts as better.

    Args:
        overlap: overlap that suppresses a lower-scored box when it exceeds `threshold`: `iou` (greedy, Darknet's
            default), `diou` (IoU - d/c) or `diou_beta` (IoU - (d/c)^beta; Darknet's greedynms has 0.6, its diounms
            beta_nms), see `detect.ops.boxes.diou`.
        per_class: suppress within a class only.
        vote: the box of each candidate kept becomes the mean, weighted by score, of its own and of all that overlap it
            by more than `threshold` (box voting, arXiv 1505.01749). Scores stay. Without `per_class`, a box
            votes once for each of its classes.
        limit: candidates kept at the most.
    """
    if overlap not in OVERLAPS:
        raise ValueError(f"unknown overlap of NMS '{overlap}'; known: {', '.join(OVERLAPS)}")
    order = _best_first(candidates.scores)[:MAX_CANDIDATES]
    boxes = np.ascontiguousarray(candidates.boxes[order].T, dtype=np.float64)  # [4, n]
    groups = candidates.labels[order] if per_class else np.zeros_like(order)

    def suppresses(better: np.ndarray, worse: np.ndarray) -> np.ndarray:
        """Which of `better` [m] overlap which of `worse` [n] too much: bool [m, n]."""
        found = groups.take(better)[:, None] == groups.take(worse)
        pairs = np.flatnonzero(found)
        first, second = np.divmod(pairs, len(worse))
        a, b = boxes.take(better.take(first), axis=1).T, boxes.take(worse.take(second), axis=1).T
        overlaps = iou(a, b) if overlap == "iou" else diou(a, b, beta if overlap == "diou_beta" else 1.0)
        found.put(pairs, overlaps > threshold)
        return found

    kept = order[:0]  # places in `order`
    for start in range(0, len(order), BLOCK):
        if len(kept) >= limit:
            break
        block = np.arange(start, min(start + BLOCK, len(order)))
        if len(kept):
            block = block[~suppresses(kept, block).any(axis=0)]
        kept = np.concatenate([kept, block[_greedy(suppresses(block, block))]])
    kept = kept[:limit]
    chosen = order[kept]
    found = Candidates(candidates.boxes[chosen], candidates.scores[chosen], candidates.labels[chosen])
    if not vote:
        return found
    sums, total = np.zeros((len(kept), 4)), np.zeros((len(kept), 1))
    for start in range(0, len(order), BLOCK):
        block = np.arange(start, min(start + BLOCK, len(order)))
        votes = suppresses(kept, block)
        voters = np.flatnonzero(votes.any(axis=0))  # none whose box is no number, which would spoil the sums
        weights = votes[:, voters] * candidates.scores.take(order[block[voters]])
        sums += weights @ boxes.take(block[voters], axis=1).T
        total += weights.sum(axis=1, keepdims=True)
    means = np.divide(sums, total, out=found.boxes.astype(np.float64), where=total > 0)
    return found._replace(boxes=means.astype(np.float32))


def _best_first(scores: np.ndarray) -> np.ndarray:
    """Indices [n] of scores, none below 0, in falling order; of equal scores the first comes first.

    The bits of such floats rise with them. With the index below, they sort several times faster than a stable argsort.
    """
    bits = np.ascontiguousarray(scores, dtype=np.float32).view(np.uint32)
    keys = (~bits).astype(np.uint64) << np.uint64(32) | np.arange(len(bits), dtype=np.uint64)
    return (np.sort(keys) & np.uint64(2**32 - 1)).astype(np.int64)


def _greedy(suppresses: np.ndarray) -> np.ndarray:
    """Which of n candidates, best first, stay: bool [n]. Candidate i, unless it goes, `suppresses` [n, n] j."""
    spares = ~(suppresses & LATER[: len(suppresses), : len(suppresses)])
    stays = np.ones(len(spares), dtype=bool)
    for i in np.flatnonzero(~spares.all(axis=1)):
        if stays[i]:
            stays &= spares[i]
    return stays
