"""Overlaps of boxes in torch: of all pairs, of sizes, and of aligned pairs in the forms used as losses."""

import math

import torch

from detect.ops.boxes import area

EPSILON = 1e-7  # added to what aligned pairs divide by


def aligned_iou(a: torch.Tensor, b: torch.Tensor, form: str = "iou") -> torch.Tensor:
    """Overlap of box i of `a` with box i of `b`, both [n, 4] xyxy -> [n]; 1 for equal boxes.

    With the IoU, the distance d of the centres, and the enclosing box (w_c, h_c, area A_c, diagonal c):

    - `giou` (arXiv 1902.09630): IoU - (A_c - union) / A_c
    - `diou` (arXiv 1911.08287): IoU - d^2 / c^2
    - `ciou` (the same): DIoU - alpha v, v = 4 / pi^2 (atan w_b / h_b - atan w_a / h_a)^2, alpha = v / (1 - IoU + v),
      which gets no gradient
    - `eiou` (arXiv 2101.08158): DIoU - (w_a - w_b)^2 / w_c^2 - (h_a - h_b)^2 / h_c^2
    """
    size_a, size_b = a[:, 2:] - a[:, :2], b[:, 2:] - b[:, :2]
    intersection = _shared_size(a, b).prod(-1)
    union = size_a.prod(-1) + size_b.prod(-1) - intersection + EPSILON
    iou = intersection / union
    if form == "iou":
        return iou

    enclosing = torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])
    if form == "giou":
        hull = enclosing.prod(-1) + EPSILON
        return iou - (hull - union) / hull

    distance = ((a[:, :2] + a[:, 2:] - b[:, :2] - b[:, 2:]) / 2).square().sum(-1)
    diou = iou - distance / (enclosing.square().sum(-1) + EPSILON)
    if form == "diou":
        return diou
    if form == "eiou":
        return diou - ((size_a - size_b).square() / (enclosing.square() + EPSILON)).sum(-1)

    aspect_a = torch.atan(size_a[:, 0] / (size_a[:, 1] + EPSILON))
    aspect_b = torch.atan(size_b[:, 0] / (size_b[:, 1] + EPSILON))
    difference = (4 / math.pi**2) * (aspect_a - aspect_b).square()
    with torch.no_grad():
        weight = difference / (1 - iou + difference + EPSILON)
    return diou - weight * difference


def pairwise_iou(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """IoU of every box of `a` [n, 4] with every box of `b` [m, 4], xyxy -> [n, m]."""
    intersection = _intersections(a, b)
    union = area(a)[:, None] + area(b)[None, :] - intersection
    return intersection / union.clamp(min=1e-9)


def pairwise_cover(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Share of each box of `a` [n, 4] that lies in each box of `b` [m, 4], xyxy -> [n, m], as COCO does with crowds."""
    return _intersections(a, b) / area(a).clamp(min=1e-9)[:, None]


def size_iou(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """IoU of sizes [n, 2] with sizes [m, 2] (width, height), laid on a common centre -> [n, m]."""
    intersection = torch.minimum(a[:, None], b[None]).prod(-1)
    return intersection / (a.prod(-1)[:, None] + b.prod(-1)[None] - intersection)


def _intersections(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Areas that boxes `a` [n, 4] have in common with boxes `b` [m, 4] -> [n, m]; side by side, which is faster."""
    sides = [
        (torch.minimum(a[:, i + 2, None], b[:, i + 2]) - torch.maximum(a[:, i, None], b[:, i])).clamp(min=0)
        for i in (0, 1)
    ]
    return sides[0] * sides[1]


def _shared_size(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Width and height of what boxes [..., 4] have in common -> [..., 2]; 0 where they do not meet."""
    return (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0)
