"""NMS equals its plain O(n^2) definition for every overlap, and torchvision's."""

import numpy as np
import pytest
import torch
import torchvision

from detect.ops import nms as module
from detect.ops.nms import BLOCK, OVERLAPS, Candidates, nms

EXPONENTS = {"iou": None, "diou": 1.0, "diou_beta": 0.6}


def overlap_of(a, b, overlap):
    """IoU of two boxes, less their distance for the DIoU ones; number after number."""
    width = max(min(a[2], b[2]) - max(a[0], b[0]), 0)
    height = max(min(a[3], b[3]) - max(a[1], b[1]), 0)
    areas = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    iou = width * height / (areas - width * height)
    if overlap == "iou":
        return iou
    d = ((a[0] + a[2] - b[0] - b[2]) / 2) ** 2 + ((a[1] + a[3] - b[1] - b[3]) / 2) ** 2
    c = (max(a[2], b[2]) - min(a[0], b[0])) ** 2 + (max(a[3], b[3]) - min(a[1], b[1])) ** 2
    return iou - (d / c) ** EXPONENTS[overlap]


def naive_nms(candidates, overlap="iou", threshold=0.45, per_class=True, limit=100):
    """Numbers of the candidates kept, best first."""
    boxes, scores, labels = (field.tolist() for field in candidates)
    kept = []
    for i in sorted(range(len(scores)), key=lambda i: -scores[i]):  # sorted is stable
        rivals = [j for j in kept if labels[j] == labels[i] or not per_class]
        if all(overlap_of(boxes[j], boxes[i], overlap) <= threshold for j in rivals):
            kept.append(i)
    return kept[:limit]


def random_candidates(count, num_classes=3, seed=0, size=40.0):
    """Crowded boxes."""
    rng = np.random.default_rng(seed)
    top_left = size * rng.random((count, 2))
    boxes = np.concatenate([top_left, top_left + 10 + size / 2 * rng.random((count, 2))], axis=1)
    scores, labels = rng.random(count), rng.integers(num_classes, size=count)
    return Candidates(boxes.astype(np.float32), scores.astype(np.float32), labels)


def coarse_candidates(count, num_classes, seed=0, size=300):
    """Boxes and scores on coarse grids: many of equal score, many of equal overlap."""
    rng = np.random.default_rng(seed)
    top_left = 4 * rng.integers(size // 4, size=(count, 2)) - 20
    boxes = np.concatenate([top_left, top_left + 8 * rng.integers(1, 8, size=(count, 2))], axis=1)
    scores = rng.integers(1, 20, size=count) / 20
    return Candidates(boxes.astype(np.float32), scores.astype(np.float32), rng.integers(num_classes, size=count))


def assert_are(found, candidates, numbers):
    for ours, field in zip(found, candidates, strict=True):
        np.testing.assert_array_equal(ours, field[numbers])
        assert ours.dtype == field.dtype


@pytest.mark.parametrize("per_class", [True, False])
@pytest.mark.parametrize("overlap", OVERLAPS)
@pytest.mark.parametrize("threshold", [0.2, 0.45, 0.7])
def test_nms_equals_its_definition(overlap, threshold, per_class):
    for seed in range(3):
        candidates = random_candidates(150, seed=seed)
        options = {"overlap": overlap, "threshold": threshold, "per_class": per_class, "limit": 1000}
        found = nms(candidates, **options)
        assert_are(found, candidates, naive_nms(candidates, **options))
        assert 1 < len(found.scores) < 150


@pytest.mark.parametrize("per_class", [True, False])
@pytest.mark.parametrize("overlap", OVERLAPS)
@pytest.mark.parametrize("limit", [5, 1000])
def test_nms_with_ties_equals_its_definition(overlap, per_class, limit):
    for count in (1, 2, BLOCK - 1, BLOCK, BLOCK + 1, 500):
        candidates = coarse_candidates(count, num_classes=2, seed=count)
        options = {"overlap": overlap, "threshold": 0.5, "per_class": per_class, "limit": limit}
        assert_are(nms(candidates, **options), candidates, naive_nms(candidates, **options))


def test_nms_of_many_boxes_equals_its_definition():
    candidates = random_candidates(1500, num_classes=2, size=400.0)
    assert_are(nms(candidates), candidates, naive_nms(candidates))


@pytest.mark.parametrize("per_class", [True, False])
@pytest.mark.parametrize("overlap", OVERLAPS)
@pytest.mark.parametrize("limit", [5, 1000])
def test_a_voted_box_is_the_mean_by_score_of_those_that_overlap_it_too_much(overlap, per_class, limit):
    moved = []
    for count in (1, BLOCK, BLOCK + 1, 300):
        candidates = random_candidates(count, seed=count)
        options = {"overlap": overlap, "threshold": 0.5, "per_class": per_class, "limit": limit}
        plain, found = nms(candidates, **options), nms(candidates, vote=True, **options)
        np.testing.assert_array_equal(found.scores, plain.scores)
        np.testing.assert_array_equal(found.labels, plain.labels)
        assert found.boxes.dtype == np.float32
        for box, own, label in zip(found.boxes, plain.boxes, plain.labels, strict=True):
            rivals = (candidates.labels == label) | (not per_class)
            votes = rivals & [overlap_of(own.tolist(), other, overlap) > 0.5 for other in candidates.boxes.tolist()]
            mean = np.average(candidates.boxes[votes].astype(float), axis=0, weights=candidates.scores[votes])
            np.testing.assert_allclose(box, mean, rtol=1e-5)
        moved.append(not np.allclose(found.boxes, plain.boxes))
    assert not moved[0] and any(moved)


@pytest.mark.parametrize("wild", [[np.nan] * 4, [-np.inf, 0, np.inf, 5]])
def test_a_box_that_is_no_number_has_no_vote(wild):
    boxes = np.array([[0, 0, 10, 10], [0, 0, 12, 10], wild, wild], dtype=np.float32)
    candidates = Candidates(boxes, np.array([0.6, 0.2, 0.5, 0.4], np.float32), np.array([1, 1, 0, 1]))
    with np.errstate(invalid="ignore"):
        found = nms(candidates, vote=True)
    np.testing.assert_allclose(found.boxes[0], [0, 0, 10.5, 10])


@pytest.mark.parametrize("box", [[0, 0, 10, 10], [3, 3, 3, 3]])
def test_a_box_for_which_none_votes_stays(box):
    """Not even its own does: its overlap with itself is not above 1, that of a point is not defined."""
    candidates = Candidates(np.array([box], np.float32), np.array([0.5], np.float32), np.zeros(1, np.int64))
    assert_are(nms(candidates, threshold=1, vote=True), candidates, [0])


@pytest.mark.parametrize("make", [random_candidates, coarse_candidates])
@pytest.mark.parametrize(("count", "size"), [(10, 40), (300, 40), (900, 300), (4500, 300), (9000, 2000)])
def test_nms_equals_torchvisions(make, count, size):
    """Above 4000 coordinates batched_nms takes another way, on which it sorts equal scores as it likes."""
    candidates = make(count, num_classes=4, seed=count, size=size)
    boxes, scores, labels = (torch.from_numpy(field) for field in candidates)
    boxes, scores = boxes.double() - boxes.min(), scores.double()  # it parts the classes by shifting from 0 on
    theirs = torchvision.ops.batched_nms(boxes, scores, labels, 0.45)
    order = np.lexsort((theirs.numpy(), -candidates.scores[theirs]))  # by score, then the first first
    assert_are(nms(candidates, limit=count), candidates, theirs.numpy()[order])
    agnostic = torchvision.ops.nms(boxes, scores, 0.45).numpy()
    assert_are(nms(candidates, per_class=False, limit=count), candidates, agnostic)


@pytest.mark.parametrize("overlap", OVERLAPS)
def test_limit_keeps_the_best(overlap):
    candidates = random_candidates(200)
    many = nms(candidates, overlap, limit=1000)
    assert len(many.scores) > 7
    for limit in (0, 1, 7):
        assert_are(nms(candidates, overlap, limit=limit), many, slice(limit))


@pytest.mark.parametrize("overlap", OVERLAPS)
def test_no_candidates_give_none(overlap):
    nothing = Candidates(*(field[:0] for field in random_candidates(1)))
    assert_are(nms(nothing, overlap), nothing, slice(None))


@pytest.mark.parametrize("overlap", OVERLAPS)
def test_ties_keep_the_first(overlap):
    same, apart = [0, 0, 10, 10], [50, 50, 60, 60]
    boxes = np.array([same, apart, same, apart], dtype=np.float32)
    candidates = Candidates(boxes, np.full(4, 0.5, np.float32), np.array([2, 1, 2, 0]))
    assert_are(nms(candidates, overlap), candidates, [0, 1, 3])
    assert_are(nms(candidates, overlap, per_class=False), candidates, [0, 1])


@pytest.mark.parametrize("overlap", OVERLAPS)
def test_overlap_of_exactly_the_threshold_stays(overlap):
    boxes = np.array([[0, 0, 8, 8], [0, 2, 8, 6]], dtype=np.float32)  # one centre: IoU and DIoU are exactly 0.5
    candidates = Candidates(boxes, np.array([0.9, 0.8], np.float32), np.zeros(2, np.int64))
    assert len(nms(candidates, overlap, threshold=0.5).scores) == 2


@pytest.mark.parametrize("overlap", OVERLAPS)
def test_one_box_can_have_two_classes(overlap):
    boxes = np.array([[0, 0, 10, 10]] * 2, dtype=np.float32)
    candidates = Candidates(boxes, np.array([0.6, 0.9], np.float32), np.array([0, 2]))
    assert nms(candidates, overlap).labels.tolist() == [2, 0]
    assert nms(candidates, overlap, per_class=False).labels.tolist() == [2]


def test_diou_spares_a_neighbour_that_iou_suppresses():
    boxes = np.array([[0, 0, 10, 10], [0, 3.7, 10, 13.7]], dtype=np.float32)  # IoU 0.460, DIoU 0.412
    candidates = Candidates(boxes, np.array([0.9, 0.8], np.float32), np.zeros(2, np.int64))
    assert len(nms(candidates, "iou", threshold=0.45).scores) == 1
    assert len(nms(candidates, "diou", threshold=0.45).scores) == 2


def test_beyond_the_candidates_limit_the_best_scored_take_part(monkeypatch):
    monkeypatch.setattr(module, "MAX_CANDIDATES", 4)
    boxes = np.arange(10, dtype=np.float32)[:, None] * 20 + np.array([0, 0, 10, 10], np.float32)
    scores = np.random.default_rng(0).permutation(np.linspace(0.3, 0.9, 10, dtype=np.float32))
    found = nms(Candidates(boxes, scores, np.zeros(10, np.int64)))
    np.testing.assert_array_equal(found.scores, np.sort(scores)[:-5:-1])


def test_classes_do_not_suppress_each_other_left_of_the_image():
    boxes = np.array([[0, 0, 100, 100], [-100, -100, 0, 0]], dtype=np.float32)
    candidates = Candidates(boxes, np.array([0.9, 0.8], np.float32), np.array([0, 1]))
    assert nms(candidates).labels.tolist() == [0, 1]


def test_one_wild_box_does_not_disturb_the_nms_of_others():
    boxes = np.array([[10, 10, 14, 14], [10, 10, 14, 15], [-4e6, -4e6, 4e6, 4e6]], dtype=np.float32)
    candidates = Candidates(boxes, np.array([0.9, 0.8, 0.7], np.float32), np.array([79, 79, 0]))
    assert nms(candidates).labels.tolist() == [79, 0]


def test_unknown_overlap_is_refused():
    with pytest.raises(ValueError, match="soft"):
        nms(random_candidates(3), overlap="soft")
