"""Non-maximum suppression: from all scored boxes of an image to its detections."""

from typing import NamedTuple

import torch
from torchvision.ops import batched_nms

OVERLAPS = ("iou", "diou", "diou_beta")
MAX_CANDIDATES = 20_000  # best-scored (box, class) pairs that enter the suppression


class Detections(NamedTuple):
    """Detections of one image, best first. Frames: network px until `Letterbox.undo`."""

    boxes: torch.Tensor  # [n, 4] xyxy
    scores: torch.Tensor  # [n]
    labels: torch.Tensor  # [n] int64, 0..K-1


def detections_from(boxes, scores, min_score=0.25, overlap="iou", threshold=0.45, beta=0.6, per_class=True, limit=100):
    """Boxes [N, 4] xyxy and scores [N, K] of one image -> `Detections`.

    A box may be detected as several classes: each (box, class) pair above `min_score` is a candidate.

    Args:
        overlap: overlap that suppresses a lower-scored box when it exceeds `threshold`: `iou` (greedy, Darknet's
            default), `diou` (Darknet's greedynms: IoU - d/c) or `diou_beta` (its diounms: IoU - (d/c)^beta), where d
            is the squared distance of the centres and c the squared diagonal of the enclosing box (arXiv 1911.08287).
        per_class: suppress within a class only.
        limit: detections kept at the most.
    """
    if overlap not in OVERLAPS:
        raise ValueError(f"unknown overlap of NMS '{overlap}'; known: {', '.join(OVERLAPS)}")
    index, labels = (scores > min_score).nonzero(as_tuple=True)
    scores = scores[index, labels]
    if len(scores) > MAX_CANDIDATES:
        scores, best = scores.topk(MAX_CANDIDATES)
        index, labels = index[best], labels[best]
    boxes = boxes[index]
    groups = labels if per_class else torch.zeros_like(labels)
    if overlap == "iou":
        keep = _iou_nms(boxes, scores, groups, threshold)
    else:
        keep = _diou_nms(boxes, scores, groups, threshold, beta if overlap == "diou_beta" else 1.0, limit)
    keep = keep[:limit]
    return Detections(boxes[keep], scores[keep], labels[keep])


def _iou_nms(boxes, scores, groups, threshold):
    """torchvision's suppression, kept right for boxes beyond the image: it parts the groups by shifting boxes by
    multiples of the largest coordinate, which needs coordinates from 0 on, and digits."""
    if not len(boxes):
        return torch.zeros(0, dtype=torch.int64, device=boxes.device)
    boxes = boxes.double()
    return batched_nms(boxes - boxes.min(), scores.double(), groups, threshold)


def _diou_nms(boxes, scores, groups, threshold, beta, limit):
    """Greedy suppression by DIoU; stops once `limit` boxes are kept. Returns kept indices, best first."""
    order = scores.argsort(descending=True, stable=True)
    keep = []
    while len(order) and len(keep) < limit:
        best, rest = order[0], order[1:]
        keep.append(best)
        overlap = diou(boxes[best], boxes[rest], beta)
        order = rest[(overlap <= threshold) | (groups[rest] != groups[best])]
    return torch.stack(keep) if keep else order


def diou(box, others, beta=1.0):
    """IoU - (d/c)^beta of `box` [4] with `others` [n, 4], xyxy -> [n]."""
    size = (torch.minimum(box[2:], others[:, 2:]) - torch.maximum(box[:2], others[:, :2])).clamp(min=0)
    intersection = size.prod(-1)
    union = (box[2:] - box[:2]).prod() + (others[:, 2:] - others[:, :2]).prod(-1) - intersection
    enclosing = torch.maximum(box[2:], others[:, 2:]) - torch.minimum(box[:2], others[:, :2])
    distance = ((box[:2] + box[2:] - others[:, :2] - others[:, 2:]) / 2).square().sum(-1)
    return intersection / union.clamp(min=1e-9) - (distance / enclosing.square().sum(-1).clamp(min=1e-9)) ** beta
