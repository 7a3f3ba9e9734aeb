"""YOLOv3's assignment: the anchor whose size fits an object best, in the cell of the object's centre."""

import torch
from torch import Tensor

from detect.errors import OptionError
from detect.losses.assign.base import ASSIGNMENTS, Assignment, Candidates, Objects
from detect.losses.iou import size_iou


@ASSIGNMENTS.register_as("best_anchor")
class BestAnchor:
    """Each object trains the one anchor, over all scales, whose size fits best (IoU on a common centre), in the cell
    its centre falls in (none, if a Darknet cfg has that anchor but no scale uses it): arXiv 1804.02767, section 2.1.

    Args:
        iou_thresh: below 1, every other anchor whose size IoU exceeds it learns the object too (arXiv 2004.10934,
            section 3.4).
    """

    def __init__(self, iou_thresh: float = 1.0) -> None:
        if not 0 <= iou_thresh <= 1:
            raise OptionError("iou_thresh", f"iou_thresh must be from 0 to 1, not {iou_thresh:g}")
        self.iou_thresh = iou_thresh

    def __call__(self, candidates: Candidates, objects: Objects) -> Assignment:
        device = candidates.boxes.device
        counts = torch.tensor([len(b) for b in objects.boxes], device=device)
        image = torch.repeat_interleave(torch.arange(len(counts), device=device), counts)
        boxes, labels, weights = (torch.cat(list(column)) for column in objects)

        which, anchor = self._learners(candidates, boxes).nonzero(as_tuple=True)
        grids = [
            (scale.first + i * scale.rows * scale.columns, scale.columns, scale.rows, scale.stride)
            for scale in candidates.scales
            for i in range(scale.anchors)
        ]
        first, columns, rows, stride = torch.tensor(grids, dtype=torch.int64, device=device)[anchor].unbind(1)
        boxes, weights = boxes[which], weights[which]
        cell = ((boxes[:, :2] + boxes[:, 2:]) / 2 / stride[:, None]).long().clamp(min=0)
        column = torch.minimum(cell[:, 0], columns - 1)
        row = torch.minimum(cell[:, 1], rows - 1)
        ones = torch.ones_like(weights)
        return Assignment(
            image[which], first + row * columns + column, boxes, labels[which], weights, ones, ones, weights
        )

    def _learners(self, candidates: Candidates, boxes: Tensor) -> Tensor:
        """Which anchors, scale by scale, learn which objects [n, 4]: bool [n, anchors of the scales]."""
        head = candidates.head
        anchors = torch.tensor(head.all_anchors, device=boxes.device, dtype=torch.float32)
        anchor_ids = torch.tensor([i for scale in head.anchor_ids for i in scale], device=boxes.device)
        fit = size_iou(boxes[:, 2:] - boxes[:, :2], anchors)  # [n, all anchors]
        chosen = fit[:, anchor_ids] > self.iou_thresh
        if len(boxes):
            chosen |= fit.argmax(1)[:, None] == anchor_ids  # two scales may have the same anchor: both learn
        return chosen
