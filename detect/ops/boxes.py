"""Box layouts and overlaps. Everywhere else boxes are [n, 4] xyxy; other layouts exist only here."""

import numpy as np
import torch


def xywh_to_xyxy(boxes):
    """COCO's (left, top, width, height) -> xyxy. NumPy [n, 4]."""
    boxes = np.asarray(boxes, dtype=np.float32).reshape(-1, 4)
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


def xyxy_to_xywh(boxes):
    """xyxy -> COCO's (left, top, width, height). NumPy [n, 4]."""
    boxes = np.asarray(boxes).reshape(-1, 4)
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)


def clip(boxes, width, height):
    """NumPy boxes [n, 4] xyxy, cut at the borders of a picture of width x height px."""
    limits = np.array([width, height, width, height], dtype=boxes.dtype)
    return np.clip(boxes, 0, limits)


def area(boxes):
    """Areas [n] of xyxy boxes [n, 4]; torch or NumPy."""
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def pairwise_iou(a, b):
    """IoU of every box of `a` [n, 4] with every box of `b` [m, 4], xyxy -> [n, m]; torch."""
    top_left = torch.maximum(a[:, None, :2], b[None, :, :2])
    bottom_right = torch.minimum(a[:, None, 2:], b[None, :, 2:])
    size = (bottom_right - top_left).clamp(min=0)
    intersection = size[..., 0] * size[..., 1]
    union = area(a)[:, None] + area(b)[None, :] - intersection
    return intersection / union.clamp(min=1e-9)


def size_iou(a, b):
    """IoU of sizes [n, 2] with sizes [m, 2] (width, height), laid on a common centre -> [n, m]; torch."""
    intersection = torch.minimum(a[:, None], b[None]).prod(-1)
    return intersection / (a.prod(-1)[:, None] + b.prod(-1)[None] - intersection)
