"""Box layouts and overlaps. Everywhere else boxes are [n, 4] xyxy; other layouts exist only here."""

from typing import Any

import numpy as np

TINY = np.finfo(np.float64).tiny  # makes 0/0 of two empty boxes 0


def xywh_to_xyxy(boxes: Any) -> np.ndarray:
    """COCO's (left, top, width, height) -> xyxy. NumPy [n, 4], in numbers of the same type."""
    boxes = np.asarray(boxes).reshape(-1, 4)
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


def xyxy_to_xywh(boxes: Any) -> np.ndarray:
    """xyxy -> COCO's (left, top, width, height). NumPy [n, 4], in numbers of the same type."""
    boxes = np.asarray(boxes).reshape(-1, 4)
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)


def clip(boxes: np.ndarray, width: float, height: float) -> np.ndarray:
    """NumPy boxes [n, 4] xyxy, cut at the borders of an image of width x height px."""
    limits = np.array([width, height, width, height], dtype=boxes.dtype)
    return np.clip(boxes, 0, limits)


def area(boxes: Any) -> Any:
    """Areas [...] of xyxy boxes [..., 4]; torch or NumPy."""
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of xyxy boxes [..., 4], broadcast over the leading dimensions -> float64 [...].

    Two empty boxes have 0. Fastest where boxes lie coordinate by coordinate in memory.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    width = np.minimum(a[..., 2], b[..., 2]) - np.maximum(a[..., 0], b[..., 0])
    height = np.minimum(a[..., 3], b[..., 3]) - np.maximum(a[..., 1], b[..., 1])
    intersection = np.maximum(width, 0) * np.maximum(height, 0)
    return intersection / np.maximum(area(a) + area(b) - intersection, TINY)


def diou(a: np.ndarray, b: np.ndarray, beta: float = 1.0) -> np.ndarray:
    """IoU - (d/c)^beta of boxes as in `iou`: d is the squared distance of the centres, c the squared diagonal of the
    box that encloses both (arXiv 1911.08287; the exponent is Darknet's)."""
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    across = (a[..., 0] + a[..., 2] - b[..., 0] - b[..., 2]) / 2
    down = (a[..., 1] + a[..., 3] - b[..., 1] - b[..., 3]) / 2
    width = np.maximum(a[..., 2], b[..., 2]) - np.minimum(a[..., 0], b[..., 0])
    height = np.maximum(a[..., 3], b[..., 3]) - np.minimum(a[..., 1], b[..., 1])
    apart = (across**2 + down**2) / np.maximum(width**2 + height**2, TINY)
    return iou(a, b) - (apart if beta == 1 else apart**beta)
