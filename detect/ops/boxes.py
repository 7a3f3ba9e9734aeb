"""Box layouts and overlaps. Everywhere else boxes are [n, 4] xyxy; other layouts exist only here."""

import numpy as np


def xywh_to_xyxy(boxes):
    """COCO's (left, top, width, height) -> xyxy. NumPy [n, 4]."""
    boxes = np.asarray(boxes, dtype=np.float32).reshape(-1, 4)
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


def xyxy_to_xywh(boxes):
    """xyxy -> COCO's (left, top, width, height). NumPy [n, 4]."""
    boxes = np.asarray(boxes).reshape(-1, 4)
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)


def clip(boxes, width, height):
    """NumPy boxes [n, 4] xyxy, cut at the borders of an image of width x height px."""
    limits = np.array([width, height, width, height], dtype=boxes.dtype)
    return np.clip(boxes, 0, limits)


def area(boxes):
    """Areas [n] of xyxy boxes [n, 4]; torch or NumPy."""
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
