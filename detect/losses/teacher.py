"""Learning from a teacher's predictions: cell by cell of the scales that two heads have in common."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from detect.losses.iou import aligned_iou

ZOOMS = (1, 2)  # how many times larger than the student's a teacher's images may be


class TeacherLoss:
    """Raw maps of a student and of its teacher for the same images -> what their difference costs, per image.

    Scales of the two heads that look at the same cells with the same anchors are compared prediction by prediction:
    objectness everywhere, classes and box (1 - CIoU) in proportion to the teacher's objectness (the objectness-scaled
    distillation of arXiv 1807.00256). A student that predicts the same as its teacher costs 0.

    A teacher that has no scale as fine as the student's is shown the images enlarged: twice as large, its cells of
    stride 16 are the student's of stride 8, and its anchors of 23x27 px the student's of 11.5x13.5.

    Args:
        head, teacher: the heads of the two detectors, of the same classes.

    Attributes:
        zooms: how many times larger than the student's the images are at each of the teacher's looks.

    Raises:
        ValueError: the heads have no scale in common, or the teacher's classes exclude each other.
    """

    def __init__(self, head: Any, teacher: Any) -> None:
        self.head, self.teacher = head, teacher
        self.pairs: dict[int, list[tuple[int, int]]] = {}  # by zoom: which of our scales learns from which of theirs
        for i, scale in enumerate(_scales(head, 1)):
            for zoom in ZOOMS:
                theirs = _scales(teacher, zoom)
                if scale in theirs:
                    self.pairs.setdefault(zoom, []).append((i, theirs.index(scale)))
                    break
        if not self.pairs:
            raise ValueError("shares no scale with this model: none has the same stride and anchors, or twice both")
        if getattr(teacher, "exclusive_classes", False):
            raise ValueError("has one softmax over its classes, which are independent here")
        self.zooms = sorted(self.pairs)

    @torch.no_grad()
    def look(self, network: nn.Module, images: Tensor) -> list[list[Tensor]]:
        """The raw maps of the teacher's network for images [B, 3, H, W], at each of its looks.

        Enlarged images go through in parts, so that they take no more memory than the batch as it is.
        """
        found = []
        for zoom in self.zooms:
            parts = images.split(-(-len(images) // zoom**2))
            shown = (F.interpolate(part, scale_factor=zoom, mode="bilinear") if zoom > 1 else part for part in parts)
            found.append([torch.cat(levels) for levels in zip(*map(network, shown), strict=True)])
        return found

    def describe(self) -> str:
        """What is learned from what, for the log."""
        told = [
            f"stride {self.head.strides[i]:g} from {self.teacher.strides[j]:g}"
            + (f" on images {zoom} times as large" if zoom > 1 else "")
            for zoom in self.zooms
            for i, j in self.pairs[zoom]
        ]
        return ", ".join(told)

    def __call__(self, raw: Sequence[Tensor], teacher_raw: Sequence[Sequence[Tensor]]) -> Tensor:
        """The cost, a scalar tensor, of one batch: of the student's maps and the teacher's at each of its looks.

        Maps are [B, A*(5+K), H, W].
        """
        ours, our_boxes, our_parts = _predictions(self.head, raw)
        total = ours.sum() * 0
        for zoom, maps in zip(self.zooms, teacher_raw, strict=True):
            with torch.no_grad():
                theirs, their_boxes, their_parts = _predictions(self.teacher, maps)
            for i, j in self.pairs[zoom]:
                a, b = our_parts[i], their_parts[j]
                student, goal = ours[:, a], theirs[:, b].sigmoid()
                certain = goal[..., 4]
                boxes = their_boxes[:, b] / zoom  # in the student's px
                overlap = aligned_iou(our_boxes[:, a].flatten(0, 1), boxes.flatten(0, 1), "ciou")
                total = total + _divergence(student[..., 4], certain).sum()
                total = total + (certain * _divergence(student[..., 5:], goal[..., 5:]).sum(-1)).sum()
                total = total + (certain.flatten() * (1 - overlap)).sum()
        return total / len(ours)


def _scales(head: Any, zoom: int) -> list[tuple[float, tuple]]:
    """Stride and anchors of each scale of a head, in px of images that are enlarged for it by `zoom`."""
    return [
        (stride / zoom, tuple((w / zoom, h / zoom) for w, h in anchors))
        for stride, anchors in zip(head.strides, head.anchors, strict=True)
    ]


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
