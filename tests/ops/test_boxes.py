"""Box layouts, areas and overlaps against their definitions."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close
from torchvision.ops import box_iou

from detect.ops import boxes as box_ops


def random_boxes(count, size=100.0, seed=0):
    """xyxy boxes [count, 4] of at least 1 px."""
    generator = torch.Generator().manual_seed(seed)
    top_left = size * torch.rand(count, 2, generator=generator)
    return torch.cat([top_left, top_left + 1 + size / 2 * torch.rand(count, 2, generator=generator)], dim=1)


def test_layouts_round_trip():
    boxes = random_boxes(20).numpy()
    assert_close(box_ops.xywh_to_xyxy(box_ops.xyxy_to_xywh(boxes)), boxes)
    assert_close(box_ops.xyxy_to_xywh(np.array([[1.0, 2.0, 4.0, 8.0]])), np.array([[1.0, 2.0, 3.0, 6.0]]))


@pytest.mark.parametrize("convert", [box_ops.xywh_to_xyxy, box_ops.xyxy_to_xywh])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_layouts_keep_the_numbers_type(convert, kind):
    assert convert(np.ones((2, 4), dtype=kind)).dtype == kind


@pytest.mark.parametrize("convert", [box_ops.xywh_to_xyxy, box_ops.xyxy_to_xywh])
def test_no_boxes_stay_no_boxes(convert):
    assert convert([]).shape == (0, 4)
    assert convert(np.zeros((0, 4), dtype=np.float32)).shape == (0, 4)


def test_clip_cuts_at_the_borders_of_the_image():
    boxes = np.array([[-5.0, -5.0, 200.0, 80.0], [10.0, 10.0, 20.0, 20.0], [300.0, 90.0, 400.0, 99.0]])
    clipped = box_ops.clip(boxes, width=100, height=50)
    assert_close(clipped, np.array([[0.0, 0.0, 100.0, 50.0], [10.0, 10.0, 20.0, 20.0], [100.0, 50.0, 100.0, 50.0]]))


def test_area_is_width_times_height_in_torch_and_numpy():
    boxes = torch.tensor([[0.0, 0.0, 2.0, 3.0], [5.0, 5.0, 5.0, 9.0]])
    assert_close(box_ops.area(boxes), torch.tensor([6.0, 0.0]))
    assert_close(box_ops.area(boxes.numpy()), np.array([6.0, 0.0], dtype=np.float32))


def test_iou_broadcasts_and_equals_torchvisions():
    a, b = random_boxes(20).double(), random_boxes(30, seed=1).double()
    ours = box_ops.iou(a.numpy()[:, None], b.numpy())
    assert ours.dtype == np.float64 and ours.shape == (20, 30)
    assert_close(torch.from_numpy(ours), box_iou(a, b), rtol=0, atol=1e-15)
    assert_close(box_ops.iou(a.numpy(), b.numpy()[:20]), ours[range(20), range(20)], rtol=0, atol=0)


def test_iou_is_symmetric_and_float32_boxes_are_compared_in_float64():
    a, b = random_boxes(20).numpy()[:, None], random_boxes(20, seed=1).numpy()[None]
    assert_close(box_ops.iou(a, b), box_ops.iou(b, a), rtol=0, atol=0)
    assert_close(box_ops.iou(a, b), box_ops.iou(a.astype(np.float64), b.astype(np.float64)), rtol=0, atol=0)


def test_overlaps_of_a_box_with_itself_are_one_and_of_empty_boxes_zero():
    boxes, point = random_boxes(5).numpy(), np.ones((1, 4))
    for overlap in (box_ops.iou, box_ops.diou):
        assert_close(overlap(boxes, boxes), np.ones(5))
        assert_close(overlap(point, point), np.zeros(1))


@pytest.mark.parametrize("beta", [1.0, 0.6])
def test_diou_is_iou_less_the_distance_of_the_centres(beta):
    a, b = np.array([0, 0, 4, 2.0]), np.array([1, 1, 7, 5.0])  # centres (2, 1), (4, 3); enclosing box 7 x 5
    assert box_ops.diou(a, b, beta) == pytest.approx(3 / (8 + 24 - 3) - (8 / (49 + 25)) ** beta)
