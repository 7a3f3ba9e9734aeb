"""Box layouts and areas against their definitions."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

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
