"""Box layouts and overlaps against their definitions."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from detect.losses.iou import pairwise_iou, size_iou
from detect.ops import boxes as box_ops


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


def test_layouts_round_trip():
    boxes = random_boxes(20).numpy()
    assert_close(box_ops.xywh_to_xyxy(box_ops.xyxy_to_xywh(boxes)), boxes)
    assert_close(box_ops.xyxy_to_xywh(np.array([[1.0, 2.0, 4.0, 8.0]])), np.array([[1.0, 2.0, 3.0, 6.0]]))


@pytest.mark.parametrize("convert", [box_ops.xywh_to_xyxy, box_ops.xyxy_to_xywh])
def test_no_boxes_stay_no_boxes(convert):
    assert convert([]).shape == (0, 4)
    assert convert(np.zeros((0, 4), dtype=np.float32)).shape == (0, 4)


def test_clip_cuts_at_the_borders_of_the_picture():
    boxes = np.array([[-5.0, -5.0, 200.0, 80.0], [10.0, 10.0, 20.0, 20.0], [300.0, 90.0, 400.0, 99.0]])
    clipped = box_ops.clip(boxes, width=100, height=50)
    assert_close(clipped, np.array([[0.0, 0.0, 100.0, 50.0], [10.0, 10.0, 20.0, 20.0], [100.0, 50.0, 100.0, 50.0]]))


def test_area_is_width_times_height_in_torch_and_numpy():
    boxes = torch.tensor([[0.0, 0.0, 2.0, 3.0], [5.0, 5.0, 5.0, 9.0]])
    assert_close(box_ops.area(boxes), torch.tensor([6.0, 0.0]))
    assert_close(box_ops.area(boxes.numpy()), np.array([6.0, 0.0], dtype=np.float32))


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
    a, b = 50 * torch.rand(7, 2) + 1, 50 * torch.rand(5, 2) + 1
    centred = [torch.cat([-size / 2, size / 2], dim=1) for size in (a, b)]
    assert_close(size_iou(a, b), pairwise_iou(*centred))
