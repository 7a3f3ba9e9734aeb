"""What Darknet's `[yolo]` and `[region]` layers make of their maps: boxes and scores, also for the loss.

The maps of `[Gaussian_yolo]` come as those of `[yolo]`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import nn

from detect.darknet.cfg import Section
from detect.errors import UserError
from detect.models.heads.yolo import YOLOv3

YOLO_THRESHOLD = 0.2  # of OpenCV, which sets smaller scores to 0
REGION_THRESHOLD = 0.001  # the same, unless the cfg's `thresh` says otherwise


class DarknetCells(NamedTuple):
    """Where each of the N predictions of an input size sits. Fields are [N, 2] (x, y) or [N]."""

    position: torch.Tensor  # column, row of the cell
    anchor: torch.Tensor  # width, height in network px
    stride: torch.Tensor  # [N] network px per cell
    scale: torch.Tensor  # [N] Darknet's scale_x_y
    squared: torch.Tensor  # [N] bool: new_coords, sizes are 4 * sigmoid(logit)^2 anchors instead of exp(logit)


class DarknetHead(YOLOv3):
    """The head of a Darknet network: like `YOLOv3`, without convolutions of its own, scales in the cfg's order.

    Args:
        sections: the detection sections of the cfg, all of one kind and with the same classes.
        strides: network px per cell of each.

    Attributes:
        anchors: per scale, (width, height) in network px of the anchors that its mask names.
        all_anchors: every anchor of the cfg, used or not (one list for all scales, or it is not trained), and
        anchor_ids: per scale, the indices in it of `anchors`. Darknet assigns an object to the best of all, and trains
            each scale that has this one; two scales may have the same.
    """

    def __init__(self, sections: Sequence[Section], strides: Sequence[int]) -> None:
        nn.Module.__init__(self)  # not YOLOv3's, which makes convolutions
        self.sections = sections
        self.num_classes = sections[0]["classes"]
        self.strides = tuple(strides)
        self.scale_x_y = tuple(1.0 if s.type == "region" else s["scale_x_y"] for s in sections)
        self.new_coords = tuple(s.type == "yolo" and bool(s["new_coords"]) for s in sections)
        self.exclusive_classes = sections[0].type == "region"  # one softmax over the classes
        self.all_anchors: list[tuple[float, float]] = []
        self.anchor_ids: list[tuple[int, ...]] = []
        self.anchors: list[tuple[tuple[float, float], ...]] = []
        for section, stride in zip(sections, self.strides, strict=True):
            unit = stride if section.type == "region" else 1  # region's anchors are in cells
            sizes = [side * unit for side in section["anchors"]]
            pairs = list(zip(sizes[::2], sizes[1::2], strict=True))
            self.all_anchors = self.all_anchors or pairs
            ids = mask_of(section)
            self.anchors.append(tuple(pairs[i] for i in ids))
            self.anchor_ids.append(ids)

    def forward(self, raw: list[torch.Tensor]) -> list[torch.Tensor]:
        return raw

    def check_trainable(self, box: str) -> None:
        """Raise UserError where the loss, with the setting `loss.box`, does not describe how Darknet trains this."""
        if self.sections[0].type != "yolo":
            raise UserError(f"training [{self.sections[0].type}] networks is not supported; use them as they are")
        if any(self.new_coords) and box == "mse":
            raise UserError("loss.box: mse does not go with new_coords=1; use iou, giou, diou or ciou")

    def cells(self, raw: Sequence[torch.Tensor]) -> DarknetCells:
        """The `DarknetCells` of raw maps (of their sizes, on their device)."""
        counts = [len(a) * m.shape[-2] * m.shape[-1] for a, m in zip(self.anchors, raw, strict=True)]
        squared = [torch.full((n,), s, device=raw[0].device) for n, s in zip(counts, self.new_coords, strict=True)]
        return DarknetCells(*super().cells(raw), torch.cat(squared))

    @staticmethod
    def decode_boxes(logits: torch.Tensor, cells: DarknetCells) -> torch.Tensor:
        """Box logits [..., N, 4] (x, y, w, h) -> boxes [..., N, 4] xyxy in network px."""
        boxes = YOLOv3.decode_boxes(logits, cells)
        centre = (boxes[..., :2] + boxes[..., 2:]) / 2
        half = 2 * logits[..., 2:4].sigmoid().square() * cells.anchor
        return torch.where(cells.squared[:, None], torch.cat([centre - half, centre + half], dim=-1), boxes)

    def decode(self, raw: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """Raw maps -> boxes [B, N, 4] xyxy in network px, scores [B, N, K] = objectness x class probability."""
        logits = self.flatten(raw).float()
        cells = self.cells(raw)
        decode_boxes = self.decode_boxes if any(self.new_coords) else YOLOv3.decode_boxes
        return decode_boxes(logits[..., :4], cells), self._scores(logits, self.sections[0])[1]

    def rows(self, raw: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Raw maps -> per scale [B, H*W*A, 5+K] as OpenCV 4.14 gives them.

        A row is centre x, centre y, width and height as shares of the input, objectness, and the classes' scores, of
        which OpenCV sets those at or below a threshold to 0. Rows are ordered by row, column, anchor.
        """
        return [self._rows(i, level.float()) for i, level in enumerate(raw)]

    def _rows(self, index: int, level: torch.Tensor) -> torch.Tensor:
        """The rows [B, H*W*A, 5+K] of scale `index` from its raw map [B, A*(5+K), H, W]."""
        section, anchors = self.sections[index], self.anchors[index]
        batch, _, height, width = level.shape
        logits = level.view(batch, len(anchors), -1, height, width).permute(0, 3, 4, 1, 2)  # [B, H, W, A, 5+K]
        sides = torch.tensor([width, height], device=level.device)
        columns = torch.arange(width, device=level.device).expand(height, width)
        lines = torch.arange(height, device=level.device)[:, None].expand(height, width)
        position = torch.stack([columns, lines], dim=-1)[:, :, None]  # [H, W, 1, 2]
        scale = self.scale_x_y[index]
        centre = (logits[..., :2].sigmoid() * scale - (scale - 1) / 2 + position) / sides
        sizes = logits[..., 2:4]
        factor = 4 * sizes.sigmoid().square() if self.new_coords[index] else sizes.exp()
        size = factor * torch.tensor(anchors, device=level.device) / (sides * self.strides[index])
        objectness, scores = self._scores(logits, section)
        scores = torch.where(scores > _threshold(section), scores, 0.0)
        return torch.cat([centre, size, objectness, scores], dim=-1).flatten(1, 3)

    @staticmethod
    def _scores(logits: torch.Tensor, section: Section) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits [..., 5+K] -> objectness [..., 1], scores [..., K]."""
        objectness = logits[..., 4:5].sigmoid()
        if section.type != "region":
            return objectness, objectness * logits[..., 5:].sigmoid()
        sure = objectness >= 0.5 if section["classfix"] == -1 else True
        return objectness, objectness * sure * logits[..., 5:].softmax(-1)


def mask_of(section: Section) -> tuple[int, ...]:
    """Indices of the anchors that a detection layer uses."""
    chosen = section["mask"] if section.type != "region" else None
    return tuple(range(section["num"])) if chosen is None else chosen


def _threshold(section: Section) -> float:
    """At or below which OpenCV sets scores to 0."""
    if section.type != "region":
        return YOLO_THRESHOLD
    return section["thresh"] if "thresh" in section.lines else REGION_THRESHOLD
