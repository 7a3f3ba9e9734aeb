"""Which object each detection found, as COCOeval decides it, at all IoU thresholds and area ranges at once.

COCOeval goes through the detections of one image and class, best score first; each takes the free object of the highest
IoU. That depends on what better detections of the same image and class took, and on nothing else: so the first of all
images and classes can be decided together, then the second, and so on. A decision at 10 thresholds and 4 ranges is one
number of 40 bits, and only pairs of enough IoU are looked at.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from detect.data.ground_truth import GroundTruth
from detect.evaluation.detections import Detections, places

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
AREAS = ("all", "small", "medium", "large")
AREA_RANGES = np.array([[0, 1e5**2], [0, 32**2], [32**2, 96**2], [96**2, 1e5**2]], dtype=float)  # px², ends included
LIMIT = 100  # detections of an image and class that count
PAIRS_AT_ONCE = 1 << 18  # of a detection and an object, in memory
T, A = len(IOU_THRESHOLDS), len(AREAS)
ALL_BITS = np.uint64((1 << (T * A)) - 1)  # bit T * a + t: threshold t, area range a


@dataclass(frozen=True, eq=False)
class Matches:
    """What the n detections of a set found of its m objects; T thresholds, A area ranges.

    aside: uint64 [m], where each object is ignored, a bit for each threshold and range;  images: int64 [n], index of
    each detection's image, -1: not evaluated;  labels: int64 [n], index of its class, -1: none of the set's;  counted:
    int64 [d], the detections that count, class by class, best score first;  starts: int64 [K + 1], where each class
    begins in `counted`;  ranks: int64 [d], each one's rank in its image and class, from 0;  true, ignored: uint64 [d],
    where it found an object, where it is neither right nor wrong;  pair_detections, pair_objects: int64 [p], the pairs
    of IoU 0.5 and more;  pair_ious: float64 [p];  pair_bits: uint64 [p], where they were matched.
    """

    truth: GroundTruth
    aside: np.ndarray
    images: np.ndarray
    labels: np.ndarray
    counted: np.ndarray
    starts: np.ndarray
    ranks: np.ndarray
    true: np.ndarray
    ignored: np.ndarray
    pair_detections: np.ndarray
    pair_objects: np.ndarray
    pair_ious: np.ndarray
    pair_bits: np.ndarray

    def of_class(self, label: int) -> slice:
        """The part of `counted`, `ranks`, `true` and `ignored` that is about one class."""
        return slice(int(self.starts[label]), int(self.starts[label + 1]))

    def counts(self, area: int = 0) -> np.ndarray:
        """Objects to be found in each class, int64 [K]."""
        wanted = self.truth.labels[(self.aside & _bit(area, 0)) == 0]
        return np.bincount(wanted, minlength=len(self.truth.category_ids))

    def objects(self, area: int = 0) -> np.ndarray:
        """The object that each detection found at each threshold, int32 [T, n]; -1: none."""
        found = np.full((T, len(self.images)), -1, dtype=np.int32)
        for threshold, chosen in self._chosen(area):
            found[threshold, self.pair_detections[chosen]] = self.pair_objects[chosen]
        return found

    def detections(self, area: int = 0) -> np.ndarray:
        """The detection that found each object at each threshold, int32 [T, m]; -1: none; of a crowd's, the last."""
        found = np.full((T, len(self.truth)), -1, dtype=np.int32)
        for threshold, chosen in self._chosen(area):
            found[threshold, self.pair_objects[chosen]] = self.pair_detections[chosen]
        return found

    def is_ignored(self, area: int = 0) -> np.ndarray:
        """The detections that are neither right nor wrong at each threshold, bool [T, n]; so are all not counted."""
        ignored = np.ones((T, len(self.images)), dtype=bool)
        ignored[:, self.counted] = unpacked(self.ignored, area)
        return ignored

    def _chosen(self, area: int) -> Iterator[tuple[int, np.ndarray]]:
        for threshold in range(T):
            yield threshold, np.flatnonzero(self.pair_bits & _bit(area, threshold))


def match(truth: GroundTruth, detections: Detections) -> Matches:
    """The decisions of COCOeval; detections of other images and classes than the ground truth's have no say."""
    images = places(detections.image_ids, truth.image_ids)
    labels = places(detections.category_ids, truth.category_ids)
    order, ranks = _ranked(images, labels, detections.scores, len(truth.image_ids))
    found, objects, ious = _pairs(truth, detections, images, labels, order)
    aside = _outside(truth.areas)  # bits of the ranges in which an object is ignored
    aside[truth.crowds] = ALL_BITS
    bits = _decide(found, objects, ious, aside, truth.crowds, ranks)
    true, ignored = (np.zeros(len(order), dtype=np.uint64) for _ in range(2))
    np.bitwise_or.at(true, found, bits & ~aside[objects])
    np.bitwise_or.at(ignored, found, bits & aside[objects])
    ignored |= _outside(detections.boxes[order, 2] * detections.boxes[order, 3]) & ~true

    by_class = np.lexsort((-detections.scores[order], labels[order]))
    starts = np.searchsorted(labels[order[by_class]], np.arange(len(truth.category_ids) + 1))
    return Matches(
        truth, aside, images, labels, order[by_class], starts, ranks[by_class], true[by_class], ignored[by_class],
        order[found], objects, ious, bits,
    )  # fmt: skip


def unpacked(bits: np.ndarray, area: int) -> np.ndarray:
    """Bits uint64 [d] of one area range -> bool [T, d], threshold by threshold."""
    return np.stack([(bits & _bit(area, threshold)) != 0 for threshold in range(T)])


def _bit(area: int, threshold: int) -> np.uint64:
    return np.uint64(1 << (T * area + threshold))


def _ranked(
    images: np.ndarray, labels: np.ndarray, scores: np.ndarray, image_count: int
) -> tuple[np.ndarray, np.ndarray]:
    """(detections that count, by class, image and falling score; their ranks in their image and class), both [d]."""
    group = labels * image_count + images
    order = np.lexsort((-scores, group))
    order = order[((images >= 0) & (labels >= 0))[order]]
    ranks = _places_in_runs(group[order])
    return order[ranks < LIMIT], ranks[ranks < LIMIT]


def _places_in_runs(values: np.ndarray) -> np.ndarray:
    """0, 1, 2, ... in every run of equal values, int64 [n]."""
    index = np.arange(len(values))
    begins = np.diff(values, prepend=values[:1] - 1) != 0
    return index - np.maximum.accumulate(np.where(begins, index, 0))


def _outside(areas: np.ndarray) -> np.ndarray:
    """Bits of the ranges that areas [n] lie outside of, at all thresholds, uint64 [n]."""
    bits = np.zeros(len(areas), dtype=np.uint64)
    for number, (low, high) in enumerate(AREA_RANGES):
        of_range = np.uint64(((1 << T) - 1) << (T * number))
        bits |= np.where((areas < low) | (areas > high), of_range, np.uint64(0))
    return bits


def _pairs(
    truth: GroundTruth, detections: Detections, images: np.ndarray, labels: np.ndarray, order: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every pair of one image and class whose IoU may count: (place in `order`, object, IoU), all [p]."""
    of_object = truth.labels * len(truth.image_ids) + truth.images
    of_detection = labels[order] * len(truth.image_ids) + images[order]
    by_group = np.argsort(of_object, kind="stable")
    first, last = (np.searchsorted(of_object[by_group], of_detection, side=side) for side in ("left", "right"))
    ends = np.cumsum(last - first)
    rows = np.flatnonzero(last > first)
    blocks = np.split(rows, np.flatnonzero(np.diff(ends[rows] // PAIRS_AT_ONCE)) + 1)
    kept = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))]
    for block in blocks:
        counts = last[block] - first[block]
        found = np.repeat(block, counts)
        objects = by_group[np.repeat(first[block], counts) + _places_in_runs(found)]
        chosen, ious = _overlaps(detections.boxes[order[found]], truth.boxes[objects], truth.crowds[objects])
        kept.append((found[chosen], objects[chosen], ious))
    found, objects, ious = map(np.concatenate, zip(*kept, strict=True))
    return found, objects, ious


def _overlaps(found: np.ndarray, objects: np.ndarray, crowds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(those of p pairs of boxes xywh [p, 4] with an IoU of 0.5 or more, their IoUs).

    The steps are pycocotools', so that the last digits are too; with a crowd, the share of the detection within it.
    """
    left, top, width, height = found.T
    its_left, its_top, its_width, its_height = objects.T
    across = np.minimum(width + left, its_width + its_left) - np.maximum(left, its_left)
    down = np.minimum(height + top, its_height + its_top) - np.maximum(top, its_top)
    common = across * down
    area = width * height
    union = np.where(crowds, area, area + its_width * its_height - common)
    touching = (across > 0) & (down > 0)
    ious = np.divide(common, union, out=np.zeros(len(common)), where=touching)
    chosen = np.flatnonzero(ious >= IOU_THRESHOLDS[0])
    return chosen, ious[chosen]


def _decide(
    found: np.ndarray, objects: np.ndarray, ious: np.ndarray, aside: np.ndarray, crowds: np.ndarray, ranks: np.ndarray
) -> np.ndarray:
    """Where each pair is matched, bits uint64 [p]; every detection once, every object but crowds once.

    Args:
        found, objects, ious: [p], the pairs.
        aside: bits of each object, where it is ignored.
        crowds: of each object.
        ranks: of each detection in its image and class.
    """
    enough = np.searchsorted(IOU_THRESHOLDS, ious, side="right")  # thresholds reached
    reached = np.zeros(len(ious), dtype=np.uint64)
    for number in range(A):
        reached |= ((np.uint64(1) << enough.astype(np.uint64)) - np.uint64(1)) << np.uint64(T * number)
    # where an object is ignored it is the second choice: every pair wishes twice
    pairs = np.tile(np.arange(len(ious)), 2)
    wishes = np.concatenate([reached & ~aside[objects], reached & aside[objects]])
    second = np.repeat([False, True], len(ious))
    order = np.lexsort((-objects[pairs], -ious[pairs], second, found[pairs]))
    order = order[wishes[order] != 0]
    turns = _places_in_runs(found[pairs[order]])
    step = ranks[found[pairs[order]]] * (int(turns.max(initial=0)) + 1) + turns
    order = order[np.argsort(step, kind="stable")]
    step = np.sort(step)

    bits = np.zeros(len(ious), dtype=np.uint64)
    served, taken = np.zeros(len(ranks), dtype=np.uint64), np.zeros(len(aside), dtype=np.uint64)
    lasting = np.where(crowds, np.uint64(0), ALL_BITS)
    for wish in np.split(order, np.flatnonzero(np.diff(step)) + 1):
        pair = pairs[wish]
        detection, thing = found[pair], objects[pair]  # each occurs once
        got = wishes[wish] & ~served[detection] & ~taken[thing]
        bits[pair] |= got
        served[detection] |= got
        taken[thing] |= got & lasting[thing]
    return bits
