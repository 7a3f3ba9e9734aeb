"""Adaptive training sample selection: each object has a threshold of its own, from the anchors around it."""

import torch
from torch import Tensor

from detect.errors import OptionError
from detect.losses.assign.base import (
    ASSIGNMENTS,
    Assignment,
    ImageByImage,
    ImageCandidates,
    anchor_boxes,
    best_of,
    cell_centres,
    inside,
)
from detect.losses.iou import pairwise_iou


@ASSIGNMENTS.register_as("atss")
class ATSS(ImageByImage):
    """Algorithm 1 of arXiv 1912.02424.

    An object's candidates C are the anchors of the k cells of each scale whose centres are nearest to its own. With the
    IoUs D of the anchors, laid on their cells, it trains those of C with

        IoU >= t = mean(D) + std(D)

    whose cell has its centre in the object. An anchor that several objects ask for learns the one it overlaps most.
    Deviation: a cell that the object's centre falls in counts as in it, so that small objects have anchors as well.
    """

    def __init__(self, k: int = 9) -> None:
        if k < 1:
            raise OptionError("k", f"k must be at least 1, not {k}")
        self.k = k

    def match(self, image: ImageCandidates) -> Assignment:
        overlap = pairwise_iou(image.objects, anchor_boxes(image.cells))  # [n, N]
        near = self._nearest(image)
        of_near = overlap.gather(1, near)
        threshold = of_near.mean(1) + of_near.std(1)
        taken = torch.zeros_like(overlap, dtype=torch.bool).scatter(1, near, of_near >= threshold[:, None])
        return image.learn(best_of(taken & inside(image), overlap))

    def _nearest(self, image: ImageCandidates) -> Tensor:
        """The candidates of each object among the N predictions: int64 [n, candidates]."""
        centre = (image.objects[:, None, :2] + image.objects[:, None, 2:]) / 2
        cells = cell_centres(image.cells)
        near = []
        for scale in image.scales:
            count = scale.rows * scale.columns
            distance = (centre - cells[scale.first : scale.first + count]).square().sum(-1)  # of its first anchor
            nearest = distance.topk(min(self.k, count), largest=False).indices + scale.first
            near += [nearest + i * count for i in range(scale.anchors)]
        return torch.cat(near, dim=1)
