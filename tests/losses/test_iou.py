"""Overlaps of boxes against their definitions and torchvision's."""

import pytest
import torch
from torch.testing import assert_close
from torchvision.ops import box_iou, complete_box_iou_loss, distance_box_iou_loss, generalized_box_iou_loss

from detect.losses.iou import aligned_iou, pairwise_iou, size_iou

FORMS = ("iou", "giou", "diou", "ciou", "eiou")
TORCHVISION = {"giou": generalized_box_iou_loss, "diou": distance_box_iou_loss, "ciou": complete_box_iou_loss}


def random_boxes(count, size=100.0, seed=0):
    """xyxy boxes [count, 4] of at least 1 px."""
    generator = torch.Generator().manual_seed(seed)
    top_left = size * torch.rand(count, 2, generator=generator)
    return torch.cat([top_left, top_left + 1 + size / 2 * torch.rand(count, 2, generator=generator)], dim=1)


def iou(a, b):
    """Intersection over union of two boxes, number after number."""
    width = max(min(a[2], b[2]) - max(a[0], b[0]), 0)
    height = max(min(a[3], b[3]) - max(a[1], b[1]), 0)
    areas = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return width * height / (areas - width * height)


def near_pairs(count=200):
    """Pairs of boxes of which about half overlap."""
    a = random_boxes(count)
    b = random_boxes(count, seed=1)
    shift = torch.tensor([5.0, -3.0, 9.0, 4.0])
    return torch.cat([a, a]), torch.cat([b, a + shift])


@pytest.mark.parametrize("form", TORCHVISION)
def test_aligned_iou_and_its_gradient_equal_torchvisions(form):
    a, b = near_pairs()
    ours, theirs = (x.double().requires_grad_() for x in (a, a.clone()))
    loss = 1 - aligned_iou(ours, b.double(), form)
    expected = TORCHVISION[form](theirs, b.double())
    assert_close(loss, expected, rtol=1e-5, atol=1e-6)
    loss.sum().backward()
    expected.sum().backward()
    assert_close(ours.grad, theirs.grad, rtol=1e-5, atol=1e-7)


def test_aligned_iou_equals_its_definition():
    a, b = near_pairs()
    assert_close(aligned_iou(a, b), torch.tensor([iou(x, y) for x, y in zip(a.tolist(), b.tolist(), strict=True)]))
    assert_close(aligned_iou(a, b), box_iou(a, b).diagonal())


def test_eiou_by_hand():
    """4x2 px and 2x4 px with a common corner: IoU 4/12; centres 1 px apart both ways in a hull of 4x4 px."""
    a, b = torch.tensor([[0.0, 0.0, 4.0, 2.0]]), torch.tensor([[0.0, 0.0, 2.0, 4.0]])
    assert aligned_iou(a, b, "eiou").item() == pytest.approx(4 / 12 - 2 / 32 - 4 / 16 - 4 / 16, abs=1e-5)


@pytest.mark.parametrize("form", ["iou", "giou", "diou", "eiou"])  # ciou's aspect weight has no gradient on purpose
def test_aligned_iou_has_the_gradient_of_its_value(form):
    a, b = (random_boxes(6, 20.0, seed).double() for seed in (0, 2))
    a = torch.cat([a, b + 0.7]).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: aligned_iou(x, torch.cat([b, b]), form), (a,))


@pytest.mark.parametrize("form", FORMS)
def test_equal_boxes_overlap_fully_and_no_pair_more(form):
    a, b = near_pairs()
    assert_close(aligned_iou(a, a, form), torch.ones(len(a)), rtol=0, atol=1e-5)
    assert (aligned_iou(a, b, form) < 1).all()
    assert aligned_iou(a[:0], b[:0], form).shape == (0,)


@pytest.mark.parametrize("form", ["giou", "diou", "ciou", "eiou"])
def test_boxes_apart_are_drawn_together(form):
    a = torch.tensor([[0.0, 0.0, 10.0, 10.0]], requires_grad=True)
    (1 - aligned_iou(a, torch.tensor([[50.0, 0.0, 60.0, 10.0]]), form)).sum().backward()
    assert a.grad[0, 2] < 0  # descending moves the right side to the right


@pytest.mark.parametrize("form", FORMS)
def test_empty_boxes_give_finite_numbers_and_gradients(form):
    point, line = [5.0, 5.0, 5.0, 5.0], [5.0, 5.0, 5.0, 9.0]
    a = torch.tensor([point, line, point, line], requires_grad=True)
    b = torch.tensor([point, line, [0.0, 0.0, 9.0, 9.0], point])
    overlap = aligned_iou(a, b, form)
    overlap.sum().backward()
    assert overlap.isfinite().all() and a.grad.isfinite().all()


def test_pairwise_iou_equals_its_definition():
    a, b = random_boxes(15), random_boxes(11, seed=1)
    expected = torch.tensor([[iou(x, y) for y in b.tolist()] for x in a.tolist()])
    assert_close(pairwise_iou(a, b), expected)
    assert_close(pairwise_iou(a, a).diagonal(), torch.ones(15))


def test_pairwise_iou_of_empty_sets_and_empty_boxes():
    boxes = random_boxes(3)
    assert pairwise_iou(boxes[:0], boxes).shape == (0, 3)
    assert pairwise_iou(boxes, boxes[:0]).shape == (3, 0)
    point = torch.tensor([[5.0, 5.0, 5.0, 5.0]])
    assert_close(pairwise_iou(point, point), torch.zeros(1, 1))


def test_size_iou_is_the_iou_of_boxes_on_a_common_centre():
    generator = torch.Generator().manual_seed(0)
    a, b = 50 * torch.rand(7, 2, generator=generator) + 1, 50 * torch.rand(5, 2, generator=generator) + 1
    centred = [torch.cat([-size / 2, size / 2], dim=1) for size in (a, b)]
    assert_close(size_iou(a, b), pairwise_iou(*centred))
