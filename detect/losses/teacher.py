"""Learning from a teacher's predictions: cell by cell of the scales that two heads have in common."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from detect.losses.iou import aligned_iou


class TeacherLoss:
    """Raw maps of a student and of its teacher for the same images -> what their difference costs, per image.

    Scales that both heads have, of the same stride and the same anchors, are compared prediction by prediction:
    objectness everywhere, classes and box (1 - CIoU) in proportion to the teacher's objectness (the objectness-scaled
    distillation of arXiv 1807.00256). A student that predicts the same as its teacher costs 0.

    Args:
        head, teacher: the two heads, of the same classes.

    Raises:
        ValueError: the heads have no scale in common, or the teacher's classes exclude each other.
    """

    def __init__(self, head: Any, teacher: Any) -> None:
        self.head, self.teacher = head, teacher
        ours, theirs = (
            [(stride, tuple(anchors)) for stride, anchors in zip(h.strides, h.anchors, strict=True)]
            for h in (head, teacher)
        )
        self.pairs = [(ours.index(scale), j) for j, scale in enumerate(theirs) if scale in ours]
        if not self.pairs:
            raise ValueError("has no scale of the same stride and anchors as this model")
        if getattr(teacher, "exclusive_classes", False):
            raise ValueError("has one softmax over its classes, which are independent here")

    def __call__(self, raw: Sequence[Tensor], teacher_raw: Sequence[Tensor]) -> Tensor:
        """The cost, a scalar tensor; the maps are those of one batch, [B, A*(5+K), H, W] each."""
        ours, our_boxes, our_parts = _predictions(self.head, raw)
        with torch.no_grad():
            theirs, their_boxes, their_parts = _predictions(self.teacher, teacher_raw)
        total = ours.sum() * 0
        for i, j in self.pairs:
            a, b = our_parts[i], their_parts[j]
            student, teacher = ours[:, a], theirs[:, b].sigmoid()
            certain = teacher[..., 4]
            overlap = aligned_iou(our_boxes[:, a].flatten(0, 1), their_boxes[:, b].flatten(0, 1), "ciou")
            total = total + _divergence(student[..., 4], certain).sum()
            total = total + (certain * _divergence(student[..., 5:], teacher[..., 5:]).sum(-1)).sum()
            total = total + (certain.flatten() * (1 - overlap)).sum()
        return total / len(ours)


def _predictions(head: Any, raw: Sequence[Tensor]) -> tuple[Tensor, Tensor, list[slice]]:
    """Logits [B, N, 5+K], decoded boxes [B, N, 4] in network px, and which of the N belong to each scale."""
    logits = head.flatten(raw).float()
    boxes = head.decode_boxes(logits[..., :4], head.cells(raw))
    counts = [len(anchors) * level[0, 0].numel() for anchors, level in zip(head.anchors, raw, strict=True)]
    ends = torch.tensor(counts).cumsum(0).tolist()
    return logits, boxes, [slice(end - count, end) for count, end in zip(counts, ends, strict=True)]


def _divergence(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of Bernoulli logits with probabilities `target`, less its lowest value: 0 where they agree."""
    lowest = -torch.xlogy(target, target) - torch.xlogy(1 - target, 1 - target)
    return F.binary_cross_entropy_with_logits(logits, target, reduction="none") - lowest
