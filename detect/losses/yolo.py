"""The YOLOv3 loss: an assignment of objects to predictions, then three named terms. By default it is Darknet's."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F

from detect.losses.assign import ASSIGNMENTS, Assignment, Candidates, Objects, Scale
from detect.losses.cross_entropy import CROSS_ENTROPIES
from detect.losses.iou import aligned_iou, pairwise_cover, pairwise_iou
from detect.models.heads.yolo import Cells, YOLOv3

COVERED = 0.5  # a prediction with more of its area than this in an ignore region is not pulled to 0; as COCO's crowds
BEST_ANCHOR = {"name": "best_anchor"}
BCE = {"name": "bce"}


class YOLOLoss:
    """Raw maps and objects -> {"box", "obj", "cls"}: sums over an image's predictions, averaged over the images.

    The assignment says which predictions are responsible for which objects. Objectness of all other predictions is
    pulled to 0, but for those whose decoded box overlaps some object by more than `ignore_iou`. That of the responsible
    ones is pulled to what the assignment says (1, or its soft target), or with `objectness="iou"` to the IoU of their
    decoded box with the object (YOLO's first definition of confidence, arXiv 1506.02640, section 2), so that scores
    rank boxes by how well they fit too.

    What an object costs is multiplied by its weight. A box of weight 0 is an ignore region: it trains nothing, and a
    prediction more than half of which lies in it is not pulled to 0.

    Args:
        head: the YOLOv3 head, for its anchors and decoding.
        box: `mse` (Darknet's: logistic deltas on the centre, squared log differences of the size, both scaled by
            2 - w*h of the object as fractions of the image), or a form of `aligned_iou` (1 - overlap).
        assign: name and options of one of `ASSIGNMENTS`.
        objectness: `one` or `iou`.
        obj_loss, cls_loss: name and options of one of `CROSS_ENTROPIES`.
        label_smoothing: e, by which the K targets of a responsible prediction's classes become (1 - e) target + e / 2
            (arXiv 1512.00567, section 7, for two outcomes each).
        box_weight, obj_weight, cls_weight: Darknet's iou_, obj_ and cls_normalizer.
        class_weights: by label, what an object's weight is multiplied by.
    """

    def __init__(
        self,
        head: YOLOv3,
        box: str = "mse",
        assign: Mapping[str, Any] = BEST_ANCHOR,
        objectness: str = "one",
        ignore_iou: float = 0.7,
        obj_loss: Mapping[str, Any] = BCE,
        cls_loss: Mapping[str, Any] = BCE,
        label_smoothing: float = 0.0,
        box_weight: float = 0.75,
        obj_weight: float = 1.0,
        cls_weight: float = 1.0,
        class_weights: Sequence[float] | None = None,
    ) -> None:
        self.head = head
        self.box = box
        self.assignment = ASSIGNMENTS.build(assign)
        self.objectness = objectness
        self.ignore_iou = ignore_iou
        self.obj_loss, self.cls_loss = CROSS_ENTROPIES.build(obj_loss), CROSS_ENTROPIES.build(cls_loss)
        self.label_smoothing = label_smoothing
        self.weights = {"box": box_weight, "obj": obj_weight, "cls": cls_weight}
        self.class_weights = None if class_weights is None else torch.tensor(class_weights, dtype=torch.float32)

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
        objects = Objects(
            *([values[w > 0] for values, w in zip(column, weights, strict=True)] for column in (boxes, labels, weights))
        )
        logits = self.head.flatten(raw).float()
        box_logits, objectness, class_logits = logits.split((4, 1, self.head.num_classes), dim=-1)
        candidates = self._candidates(raw, logits.detach())
        found = self._assigned(candidates, objects)
        size = (raw[0].shape[-1] * self.head.strides[0], raw[0].shape[-2] * self.head.strides[0])

        empty = self._empty(candidates.boxes, objects.boxes, regions)
        terms = {
            "box": self._box_term(box_logits, candidates.cells, found, size),
            "obj": self._objectness_term(objectness.squeeze(-1), found, self._aim(candidates, found), empty),
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
        """The `Assignment` of objects to the predictions of raw maps; no ignore regions among the boxes."""
        candidates = self._candidates(raw, self.head.flatten(raw).float().detach())
        return self._assigned(candidates, Objects(boxes, labels, weights))

    def _assigned(self, candidates: Candidates, objects: Objects) -> Assignment:
        if self.class_weights is not None:
            by_class = self.class_weights.to(candidates.boxes.device)
            weights = [w * by_class[labels] for w, labels in zip(objects.weights, objects.labels, strict=True)]
            objects = objects._replace(weights=weights)
        return self.assignment(candidates, objects)

    @torch.no_grad()
    def _candidates(self, raw: Sequence[torch.Tensor], logits: torch.Tensor) -> Candidates:
        """What the assignment chooses from, of raw maps and the logits [B, N, 5+K] in them."""
        scales, first = [], 0
        for level, anchors, stride in zip(raw, self.head.anchors, self.head.strides, strict=True):
            rows, columns = level.shape[-2:]
            scales.append(Scale(first, len(anchors), rows, columns, stride))
            first += len(anchors) * rows * columns
        cells = self.head.cells(raw)
        boxes = self.head.decode_boxes(logits[..., :4], cells)
        return Candidates(self.head, scales, cells, boxes, logits[..., 4], logits[..., 5:])

    def _box_term(self, logits: torch.Tensor, cells: Cells, found: Assignment, size: tuple[int, int]) -> torch.Tensor:
        """What the boxes of responsible predictions cost; `size` is (width, height) of the network's input, px."""
        predicted = logits[found.image, found.prediction]
        if not len(predicted):
            return logits.sum() * 0
        cells = type(cells)(*(field[found.prediction] for field in cells))
        if self.box != "mse":
            overlap = aligned_iou(self.head.decode_boxes(predicted, cells), found.boxes, self.box)
            return ((1 - overlap) * found.box_weights).sum()

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
        weight = small_objects_count_more * found.box_weights[:, None]
        return (weight * (xy + (predicted[:, 2:] - target).square() / 2)).sum()

    def _objectness_term(
        self, logits: torch.Tensor, found: Assignment, aim: torch.Tensor, empty: torch.Tensor
    ) -> torch.Tensor:
        """The loss with target `aim` at responsible predictions, with 0 at the other ones that are `empty` [B, N]."""
        place = found.image * logits.shape[1] + found.prediction
        nothing = torch.zeros(logits.numel(), device=logits.device)
        target = nothing.scatter_reduce(0, place, aim, "amax").view_as(logits)  # of objects that share one, the best
        weight = nothing.scatter_reduce(0, place, found.weights, "amax").view_as(logits)
        weight = torch.where(weight > 0, weight, empty)
        return (self.obj_loss(logits, target) * weight).sum()

    @torch.no_grad()
    def _aim(self, candidates: Candidates, found: Assignment) -> torch.Tensor:
        """What the objectness of each responsible prediction is pulled to, [m]."""
        if self.objectness == "one":
            return found.objectness
        return aligned_iou(candidates.boxes[found.image, found.prediction], found.boxes)

    @torch.no_grad()
    def _empty(
        self, predicted: torch.Tensor, boxes: Sequence[torch.Tensor], regions: Sequence[torch.Tensor]
    ) -> torch.Tensor:
        """1 [B, N] where a prediction's box overlaps no object by more than `ignore_iou` and no region covers it."""
        empty = torch.ones(predicted.shape[:2], dtype=torch.bool, device=predicted.device)
        for i, (objects, ignored) in enumerate(zip(boxes, regions, strict=True)):
            if len(objects):
                empty[i] = pairwise_iou(predicted[i], objects).amax(1) <= self.ignore_iou
            if len(ignored):
                empty[i] &= pairwise_cover(predicted[i], ignored).amax(1) <= COVERED
        return empty.float()

    def _class_term(self, logits: torch.Tensor, found: Assignment) -> torch.Tensor:
        """The loss of the K independent classes at each responsible prediction, counted once per prediction.

        Of objects that share a prediction, all count as its classes and the greatest weight holds.
        """
        count, classes = logits.shape[1:]
        place, slot = torch.unique(found.image * count + found.prediction, return_inverse=True)
        target = torch.zeros(len(place) * classes, device=logits.device)
        target = target.scatter_reduce(0, slot * classes + found.labels, found.classes, "amax").view(-1, classes)
        if self.label_smoothing:
            target = (1 - self.label_smoothing) * target + self.label_smoothing / 2
        weight = torch.zeros(len(place), device=logits.device).scatter_reduce(0, slot, found.weights, "amax")
        predicted = logits[place // count, place % count]
        return (self.cls_loss(predicted, target) * weight[:, None]).sum()
