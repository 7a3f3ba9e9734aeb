"""The YOLOv3 loss as Darknet trains it (its `[yolo]` layer): assignment, then three named terms."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F

from detect.losses.iou import aligned_iou, pairwise_cover, pairwise_iou, size_iou
from detect.models.heads.yolo import Cells, YOLOv3

COVERED = 0.5  # a prediction with more of its area than this in an ignore region is not pulled to 0; as COCO's crowds


class Assignment(NamedTuple):
    """Which predictions are responsible for which objects; m pairs. Fields are [m], boxes [m, 4] xyxy network px."""

    image: torch.Tensor  # index within the batch
    prediction: torch.Tensor  # index within the image's N predictions
    boxes: torch.Tensor
    labels: torch.Tensor
    weights: torch.Tensor  # how much the object counts, above 0


class _Grids(NamedTuple):
    """The predictions of each anchor: a grid of cells, row by row. Fields are int64 [anchors of the scales]."""

    first: torch.Tensor  # index of the first among the image's N predictions
    columns: torch.Tensor
    rows: torch.Tensor
    stride: torch.Tensor  # network px per cell


class YOLOLoss:
    """Raw maps and objects -> {"box", "obj", "cls"}: sums over an image's predictions, averaged over the images.

    Each object trains the one anchor, over all scales, whose size fits best (IoU on a common centre), in the cell its
    centre falls in (none, if a Darknet cfg has that anchor but no scale uses it); with `iou_thresh` < 1 also every
    other anchor whose size IoU exceeds it. Objectness of all other predictions is pulled to 0, but for those whose
    decoded box overlaps some object by more than `ignore_iou`. That of the responsible ones is pulled to 1, or with
    `objectness="iou"` to the IoU of their decoded box with the object (YOLO's first definition of confidence,
    arXiv 1506.02640, section 2), so that scores rank boxes by how well they fit too.

    What an object costs is multiplied by its weight. A box of weight 0 is an ignore region: it trains nothing, and a
    prediction more than half of which lies in it is not pulled to 0.

    Args:
        head: the YOLOv3 head, for its anchors and decoding.
        box: `mse` (Darknet's: logistic deltas on the centre, squared log differences of the size, both scaled by
            2 - w*h of the object as fractions of the image), or `iou`, `giou`, `diou`, `ciou` (1 - overlap).
        objectness: `one` (Darknet) or `iou`.
        box_weight, obj_weight, cls_weight: Darknet's iou_, obj_ and cls_normalizer.
    """

    def __init__(
        self,
        head: YOLOv3,
        box: str = "mse",
        objectness: str = "one",
        ignore_iou: float = 0.7,
        iou_thresh: float = 1.0,
        box_weight: float = 0.75,
        obj_weight: float = 1.0,
        cls_weight: float = 1.0,
    ) -> None:
        self.head = head
        self.box = box
        self.objectness = objectness
        self.ignore_iou = ignore_iou
        self.iou_thresh = iou_thresh
        self.weights = {"box": box_weight, "obj": obj_weight, "cls": cls_weight}

    def __call__(
        self,
        raw: Sequence[torch.Tensor],
        boxes: Sequence[torch.Tensor],
        labels: Sequence[torch.Tensor],
        weights: Sequence[torch.Tensor] | None = None,
    ) -> dict[str, torch.Tensor]:
        """Weighted terms of a batch, as a dict of scalar tensors.

        Args:
            raw: the head's raw maps.
            boxes, labels: per image, [n, 4] xyxy in network px and [n] int64.
            weights: per image, [n] float, from 0 (an ignore region) to 1; all are 1 by default.
        """
        weights = weights or [torch.ones(len(b), device=b.device) for b in boxes]
        regions = [b[w == 0] for b, w in zip(boxes, weights, strict=True)]
        boxes, labels, weights = (
            [values[w > 0] for values, w in zip(column, weights, strict=True)] for column in (boxes, labels, weights)
        )
        logits = self.head.flatten(raw).float().split((4, 1, self.head.num_classes), dim=-1)
        box_logits, objectness, class_logits = logits  # [B, N, 4], [B, N, 1], [B, N, K]
        cells = self.head.cells(raw)
        width = raw[0].shape[-1] * self.head.strides[0]
        height = raw[0].shape[-2] * self.head.strides[0]
        found = self.assign(raw, boxes, labels, weights)

        empty = self._empty(box_logits, cells, boxes, regions)
        aim = self._aim(box_logits, cells, found)
        terms = {
            "box": self._box_term(box_logits, cells, found, (width, height)),
            "obj": self._objectness_term(objectness.squeeze(-1), found, aim, empty),
            "cls": self._class_term(class_logits, found),
        }
        return {name: self.weights[name] * term / len(boxes) for name, term in terms.items()}

    def assign(
        self,
        raw: Sequence[torch.Tensor],
        boxes: Sequence[torch.Tensor],
        labels: Sequence[torch.Tensor],
        weights: Sequence[torch.Tensor],
    ) -> Assignment:
        """The `Assignment` of objects to predictions for raw maps of these sizes; no ignore regions among the boxes."""
        device = raw[0].device
        counts = torch.tensor([len(b) for b in boxes], device=device)
        image = torch.repeat_interleave(torch.arange(len(boxes), device=device), counts)
        all_boxes, all_labels, all_weights = (torch.cat(list(column)) for column in (boxes, labels, weights))

        objects, anchor = self._learners(all_boxes).nonzero(as_tuple=True)
        grids = self._grids(raw)
        centre = (all_boxes[objects, :2] + all_boxes[objects, 2:]) / 2
        cell = (centre / grids.stride[anchor, None]).long().clamp(min=0)
        column = torch.minimum(cell[:, 0], grids.columns[anchor] - 1)
        row = torch.minimum(cell[:, 1], grids.rows[anchor] - 1)
        prediction = grids.first[anchor] + row * grids.columns[anchor] + column
        return Assignment(image[objects], prediction, all_boxes[objects], all_labels[objects], all_weights[objects])

    def _learners(self, boxes: torch.Tensor) -> torch.Tensor:
        """Which anchors, scale by scale, learn which objects [n, 4]: bool [n, anchors of the scales]."""
        anchors = torch.tensor(self.head.all_anchors, device=boxes.device, dtype=torch.float32)
        anchor_ids = torch.tensor([i for scale in self.head.anchor_ids for i in scale], device=boxes.device)
        fit = size_iou(boxes[:, 2:] - boxes[:, :2], anchors)  # [objects, all anchors]
        chosen = fit[:, anchor_ids] > self.iou_thresh
        if len(boxes):
            chosen |= fit.argmax(1)[:, None] == anchor_ids  # two scales may have the same anchor: both learn
        return chosen

    def _grids(self, raw: Sequence[torch.Tensor]) -> _Grids:
        """Where each anchor's predictions are, scale by scale, for raw maps of these sizes."""
        grids, start = [], 0
        for level, anchors, stride in zip(raw, self.head.anchors, self.head.strides, strict=True):
            height, width = level.shape[-2:]
            for _ in anchors:
                grids.append((start, width, height, stride))
                start += height * width
        return _Grids(*torch.tensor(grids, dtype=torch.int64, device=raw[0].device).unbind(1))

    def _box_term(self, logits: torch.Tensor, cells: Cells, found: Assignment, size: tuple[int, int]) -> torch.Tensor:
        """What the boxes of responsible predictions cost; `size` is (width, height) of the network's input, px."""
        predicted = logits[found.image, found.prediction]
        if not len(predicted):
            return logits.sum() * 0
        cells = _at(cells, found)
        if self.box != "mse":
            overlap = aligned_iou(self.head.decode_boxes(predicted, cells), found.boxes, self.box)
            return ((1 - overlap) * found.weights).sum()

        centre = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2
        wh = found.boxes[:, 2:] - found.boxes[:, :2]
        # Darknet's delta on the centre is sigmoid(logit)*s - target: the gradient of s times this cross-entropy, whose
        # lowest value (the target's entropy) is taken off so that a perfect box costs 0.
        scale = cells.scale[:, None]
        target = ((centre / cells.stride[:, None] - cells.position + (scale - 1) / 2) / scale).clamp(0, 1)
        xy = F.binary_cross_entropy_with_logits(predicted[:, :2], target, reduction="none")
        xy = scale * (xy + torch.xlogy(target, target) + torch.xlogy(1 - target, 1 - target))
        target = (wh / cells.anchor).clamp(min=1e-6).log()
        small_objects_count_more = 2 - wh.prod(-1, keepdim=True) / (size[0] * size[1])
        weight = small_objects_count_more * found.weights[:, None]
        return (weight * (xy + (predicted[:, 2:] - target).square() / 2)).sum()

    @staticmethod
    def _objectness_term(
        logits: torch.Tensor, found: Assignment, aim: torch.Tensor, empty: torch.Tensor
    ) -> torch.Tensor:
        """Cross-entropy with `aim` at responsible predictions, with 0 at the other ones that are `empty` [B, N]."""
        place = found.image * logits.shape[1] + found.prediction
        nothing = torch.zeros(logits.numel(), device=logits.device)
        target = nothing.scatter_reduce(0, place, aim, "amax").view_as(logits)  # of objects that share one, the best
        weight = nothing.scatter_reduce(0, place, found.weights, "amax").view_as(logits)
        weight = torch.where(weight > 0, weight, empty)
        return (F.binary_cross_entropy_with_logits(logits, target, reduction="none") * weight).sum()

    @torch.no_grad()
    def _aim(self, logits: torch.Tensor, cells: Cells, found: Assignment) -> torch.Tensor:
        """What the objectness of each responsible prediction is pulled to, [m]."""
        if self.objectness == "one":
            return torch.ones(len(found.boxes), device=logits.device)
        predicted = self.head.decode_boxes(logits[found.image, found.prediction], _at(cells, found))
        return aligned_iou(predicted, found.boxes)

    @torch.no_grad()
    def _empty(
        self, logits: torch.Tensor, cells: Cells, boxes: Sequence[torch.Tensor], regions: Sequence[torch.Tensor]
    ) -> torch.Tensor:
        """1 [B, N] where a prediction's box overlaps no object by more than `ignore_iou` and no region covers it."""
        empty = torch.ones(logits.shape[:2], dtype=torch.bool, device=logits.device)
        predicted = self.head.decode_boxes(logits, cells)
        for i, (objects, ignored) in enumerate(zip(boxes, regions, strict=True)):
            if len(objects):
                empty[i] = pairwise_iou(predicted[i], objects).amax(1) <= self.ignore_iou
            if len(ignored):
                empty[i] &= pairwise_cover(predicted[i], ignored).amax(1) <= COVERED
        return empty.float()

    @staticmethod
    def _class_term(logits: torch.Tensor, found: Assignment) -> torch.Tensor:
        """Cross-entropy of the K independent classes at each responsible prediction, counted once per prediction.

        Of objects that share a prediction, all count as its classes and the greatest weight holds.
        """
        count = logits.shape[1]
        place, slot = torch.unique(found.image * count + found.prediction, return_inverse=True)
        target = torch.zeros(len(place), logits.shape[2], device=logits.device)
        target[slot, found.labels] = 1.0
        weight = torch.zeros(len(place), device=logits.device).scatter_reduce(0, slot, found.weights, "amax")
        predicted = logits[place // count, place % count]
        return (F.binary_cross_entropy_with_logits(predicted, target, reduction="none") * weight[:, None]).sum()


def _at(cells: Cells, found: Assignment) -> Cells:
    """The cells of the responsible predictions."""
    return type(cells)(*(field[found.prediction] for field in cells))
