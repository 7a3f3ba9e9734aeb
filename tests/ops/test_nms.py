"""Suppression equals its plain O(n^2) definition, for every kind of overlap."""

import pytest
import torch
from torch.testing import assert_close

from detect.ops import nms
from detect.ops.nms import Detections, detections_from, diou

EXPONENTS = {"iou": None, "diou": 1.0, "diou_beta": 0.6}


def overlap_of(a, b, overlap):
    """IoU of two boxes, less their distance for the DIoU kinds; number after number."""
    width = max(min(a[2], b[2]) - max(a[0], b[0]), 0)
    height = max(min(a[3], b[3]) - max(a[1], b[1]), 0)
    areas = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    iou = width * height / (areas - width * height)
    if overlap == "iou":
        return iou
    d = ((a[0] + a[2] - b[0] - b[2]) / 2) ** 2 + ((a[1] + a[3] - b[1] - b[3]) / 2) ** 2
    c = (max(a[2], b[2]) - min(a[0], b[0])) ** 2 + (max(a[3], b[3]) - min(a[1], b[1])) ** 2
    return iou - (d / c) ** EXPONENTS[overlap]


def naive_detections(boxes, scores, min_score, overlap, threshold, per_class, limit):
    """[(box number, class)] kept, best first."""
    candidates = [(s, n, k) for n, row in enumerate(scores.tolist()) for k, s in enumerate(row) if s > min_score]
    boxes, kept = boxes.tolist(), []
    for _, n, k in sorted(candidates, key=lambda candidate: -candidate[0]):
        rivals = [m for m, other in kept if other == k or not per_class]
        if all(overlap_of(boxes[m], boxes[n], overlap) <= threshold for m in rivals):
            kept.append((n, k))
    return kept[:limit]


def random_detections(count, num_classes=3, seed=0, size=40.0):
    """Crowded boxes [count, 4] and scores [count, num_classes]."""
    generator = torch.Generator().manual_seed(seed)
    top_left = size * torch.rand(count, 2, generator=generator)
    boxes = torch.cat([top_left, top_left + 10 + size / 2 * torch.rand(count, 2, generator=generator)], dim=1)
    return boxes, torch.rand(count, num_classes, generator=generator)


def check_equals_naive(boxes, scores, beta=0.6, **options):
    found = detections_from(boxes, scores, beta=beta, **options)
    kept = naive_detections(boxes, scores, **options)
    assert found.labels.tolist() == [k for _, k in kept]
    assert_close(found.boxes, boxes[[n for n, _ in kept]], rtol=0, atol=0)
    assert_close(found.scores, torch.stack([scores[n, k] for n, k in kept]), rtol=0, atol=0)
    return found


@pytest.mark.parametrize("per_class", [True, False])
@pytest.mark.parametrize("overlap", nms.OVERLAPS)
@pytest.mark.parametrize("threshold", [0.2, 0.45, 0.7])
def test_suppression_equals_its_definition(overlap, threshold, per_class):
    for seed in range(3):
        boxes, scores = random_detections(60, seed=seed)
        options = {"min_score": 0.25, "overlap": overlap, "threshold": threshold, "per_class": per_class, "limit": 1000}
        found = check_equals_naive(boxes, scores, **options)
        assert 1 < len(found.scores) < (scores > 0.25).sum()


def test_suppression_of_many_boxes_equals_its_definition():
    boxes, scores = random_detections(1500, num_classes=2, size=400.0)  # torchvision takes another path for these
    check_equals_naive(boxes, scores, min_score=0.5, overlap="iou", threshold=0.45, per_class=True, limit=100)


@pytest.mark.parametrize("overlap", nms.OVERLAPS)
def test_limit_keeps_the_best(overlap):
    boxes, scores = random_detections(50)
    many = detections_from(boxes, scores, overlap=overlap, limit=1000)
    assert len(many.scores) > 7
    for limit in (0, 1, 7):
        few = detections_from(boxes, scores, overlap=overlap, limit=limit)
        assert_close(few, Detections(*(x[:limit] for x in many)), rtol=0, atol=0)


@pytest.mark.parametrize("overlap", nms.OVERLAPS)
def test_nothing_found_gives_empty_tensors(overlap):
    boxes, scores = random_detections(10)
    for found in (
        detections_from(boxes[:0], scores[:0], overlap=overlap),
        detections_from(boxes, scores, min_score=1.0, overlap=overlap),
    ):
        assert found.boxes.shape == (0, 4)
        assert found.scores.shape == (0,)
        assert (found.labels.shape, found.labels.dtype) == ((0,), torch.int64)


@pytest.mark.parametrize("overlap", nms.OVERLAPS)
def test_scores_must_exceed_the_minimum(overlap):
    boxes = torch.tensor([[0.0, 0, 10, 10], [20.0, 0, 30, 10], [40.0, 0, 50, 10]])
    scores = torch.tensor([[0.5], [0.25], [0.1]])
    assert detections_from(boxes, scores, min_score=0.25, overlap=overlap).scores.tolist() == [0.5]


@pytest.mark.parametrize("overlap", nms.OVERLAPS)
def test_equal_boxes_of_equal_score_leave_one_and_equal_scores_apart_all_stay(overlap):
    same, apart = [0.0, 0.0, 10.0, 10.0], [50.0, 50.0, 60.0, 60.0]
    found = detections_from(torch.tensor([same, apart, same]), torch.full((3, 1), 0.5), overlap=overlap)
    assert sorted(found.boxes.tolist()) == [same, apart]


@pytest.mark.parametrize("overlap", nms.OVERLAPS)
def test_overlap_of_exactly_the_threshold_stays(overlap):
    boxes = torch.tensor([[0.0, 0, 8, 8], [0.0, 2, 8, 6]])  # one centre: IoU and DIoU are exactly 0.5
    scores = torch.tensor([[0.9], [0.8]])
    assert len(detections_from(boxes, scores, overlap=overlap, threshold=0.5).scores) == 2


@pytest.mark.parametrize("overlap", nms.OVERLAPS)
def test_one_box_can_have_two_classes(overlap):
    box, scores = torch.tensor([[0.0, 0, 10, 10]]), torch.tensor([[0.6, 0.1, 0.9]])
    assert detections_from(box, scores, overlap=overlap).labels.tolist() == [2, 0]
    assert detections_from(box, scores, overlap=overlap, per_class=False).labels.tolist() == [2]


def test_diou_spares_a_neighbour_that_iou_suppresses():
    boxes = torch.tensor([[0.0, 0, 10, 10], [0.0, 3.7, 10, 13.7]])  # IoU 0.460, DIoU 0.412
    scores = torch.tensor([[0.9], [0.8]])
    assert len(detections_from(boxes, scores, overlap="iou", threshold=0.45).scores) == 1
    assert len(detections_from(boxes, scores, overlap="diou", threshold=0.45).scores) == 2


def test_diou_of_a_box_with_itself_is_one():
    boxes, _ = random_detections(5)
    for box in boxes:
        assert_close(diou(box, box[None]), torch.ones(1))


def test_beyond_the_candidates_limit_the_best_scored_take_part(monkeypatch):
    monkeypatch.setattr(nms, "MAX_CANDIDATES", 4)
    boxes = torch.arange(10.0)[:, None] * 20 + torch.tensor([0.0, 0, 10, 10])
    scores = torch.linspace(0.9, 0.3, 10)[torch.randperm(10)][:, None]
    found = detections_from(boxes, scores)
    assert_close(found.scores, scores[:, 0].sort(descending=True).values[:4], rtol=0, atol=0)


def test_classes_do_not_suppress_each_other_left_of_the_image():
    boxes = torch.tensor([[0.0, 0, 100, 100], [-100.0, -100, 0, 0]])
    assert detections_from(boxes, torch.tensor([[0.9, 0.0], [0.0, 0.8]])).labels.tolist() == [0, 1]


def test_one_wild_box_does_not_disturb_the_suppression_of_others():
    boxes = torch.tensor([[10.0, 10, 14, 14], [10.0, 10, 14, 15], [-4e6, -4e6, 4e6, 4e6]])
    scores = torch.zeros(3, 80)
    scores[0, 79], scores[1, 79], scores[2, 0] = 0.9, 0.8, 0.7
    assert detections_from(boxes, scores).labels.tolist() == [79, 0]


def test_unknown_kind_is_refused():
    boxes, scores = random_detections(3)
    with pytest.raises(ValueError, match="soft"):
        detections_from(boxes, scores, overlap="soft")
