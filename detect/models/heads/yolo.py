"""The YOLOv3 head (arXiv 1804.02767): raw maps, and their decoding to boxes and scores."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from detect.errors import OptionError
from detect.models.registry import HEADS

# (width, height) in network pixels, small to large, as in the authors' cfgs; nested ones are given for each scale
ANCHORS = {
    "coco9": (  # yolov3.cfg, csresnext50-panet-spp.cfg
        (10, 13), (16, 30), (33, 23), (30, 61), (62, 45), (59, 119), (116, 90), (156, 198), (373, 326),
    ),
    "coco9_v4": (  # yolov4.cfg, csresnext50-panet-spp-original-optimal.cfg
        (12, 16), (19, 36), (40, 28), (36, 75), (76, 55), (72, 146), (142, 110), (192, 243), (459, 401),
    ),
    # yolov3-tiny.cfg, yolov3-tiny-prn.cfg: masks 1,2,3 and 3,4,5, so both scales have 81x82 and none has 10x14
    "coco6_tiny": (((23, 27), (37, 58), (81, 82)), ((81, 82), (135, 169), (344, 319))),
    "coco9_tiny": (  # yolov3-tiny_3l.cfg
        (4, 7), (7, 15), (13, 25), (25, 42), (41, 67), (75, 94), (91, 162), (158, 205), (250, 332),
    ),
}  # fmt: skip
MAX_LOG_SIZE = 10.0  # exp(10) anchors: keeps a wild prediction finite


class Cells(NamedTuple):
    """Where each of the N predictions of an input size sits. Fields are [N, 2] (x, y) or [N]."""

    position: Tensor  # column, row of the cell
    anchor: Tensor  # width, height in network px
    stride: Tensor  # [N] network px per cell
    scale: Tensor  # [N] Darknet's scale_x_y


@HEADS.register
class YOLOv3(nn.Module):
    """Fused maps [B, C_i, H_i, W_i] -> raw maps [B, A*(5+K), H_i, W_i], fine to coarse.

    Channels of a raw map are, anchor after anchor, x, y, w, h, objectness and the K classes, all as logits or logs
    (Darknet's order). The N predictions of an image are ordered by scale (fine to coarse), anchor, row, column.

    Args:
        in_channels, strides: of the fused maps, fine to coarse.
        num_classes: K.
        anchors: a name of `ANCHORS`, or a list of [width, height] in network px from small to large; the scales share
            them evenly, the finest scale gets the smallest. A list of such lists gives each scale its own.
        scale_x_y: reach of the predicted centre beyond its cell (1 = YOLOv3), one number or one per scale.

    Attributes:
        anchors: per scale, its (width, height) pairs.
        all_anchors: the different ones among them; anchor_ids: per scale, where its anchors stand there.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        strides: Sequence[int],
        num_classes: int,
        anchors: str | Sequence = "coco9",
        scale_x_y: float | Sequence[float] = 1.0,
    ) -> None:
        super().__init__()
        if isinstance(anchors, str):
            if anchors not in ANCHORS:
                known = ", ".join(ANCHORS)
                raise OptionError("anchors", f"unknown anchors '{anchors}'; known: {known}, or a list of [w, h]")
            anchors = ANCHORS[anchors]
        scales = len(in_channels)
        self.anchors = _per_scale(anchors, scales)
        self.all_anchors = list(dict.fromkeys(anchor for scale in self.anchors for anchor in scale))
        self.anchor_ids = [tuple(self.all_anchors.index(anchor) for anchor in scale) for scale in self.anchors]
        scale_x_y = [scale_x_y] * scales if isinstance(scale_x_y, (int, float)) else list(scale_x_y)
        if len(scale_x_y) != scales or not all(isinstance(s, (int, float)) and 1 <= s < 10 for s in scale_x_y):
            sentence = f"scale_x_y must be one number from 1 on, or one for each of the {scales} scales"
            raise OptionError("scale_x_y", sentence)

        self.num_classes = num_classes
        self.strides = tuple(strides)
        self.scale_x_y = tuple(scale_x_y)
        self.predictions = nn.ModuleList(
            nn.Conv2d(channels, len(anchors) * (5 + num_classes), 1)
            for channels, anchors in zip(in_channels, self.anchors, strict=True)
        )
        self._init_weights()

    def _init_weights(self) -> None:
        """Start from one object in a hundred cells and equally likely classes, so that early losses are small."""
        for conv, anchors in zip(self.predictions, self.anchors, strict=True):
            nn.init.normal_(conv.weight, std=0.01)
            bias = torch.zeros(len(anchors), 5 + self.num_classes)
            bias[:, 4] = -math.log(99.0)
            bias[:, 5:] = -math.log(max(self.num_classes - 1, 1))
            conv.bias.data.copy_(bias.flatten())

    def check_trainable(self, box: str) -> None:
        """Raise UserError where the loss does not fit the head: it always fits this one."""

    def forward(self, fused: list[Tensor]) -> list[Tensor]:
        return [conv(x) for conv, x in zip(self.predictions, fused, strict=True)]

    def flatten(self, raw: list[Tensor]) -> Tensor:
        """Raw maps -> all predictions of an image in one list: [B, N, 5+K], in the order of `cells`."""
        flat = []
        for level in raw:
            batch, _, height, width = level.shape
            level = level.view(batch, -1, 5 + self.num_classes, height, width)
            flat.append(level.permute(0, 1, 3, 4, 2).reshape(batch, -1, 5 + self.num_classes))
        return torch.cat(flat, dim=1)

    def cells(self, raw: list[Tensor]) -> Cells:
        """The `Cells` of raw maps (of their sizes, on their device)."""
        position, anchor, stride, scale = [], [], [], []
        for level, anchors, step, s in zip(raw, self.anchors, self.strides, self.scale_x_y, strict=True):
            height, width = level.shape[-2:]
            rows = torch.arange(height, device=level.device, dtype=torch.float32)
            columns = torch.arange(width, device=level.device, dtype=torch.float32)
            y, x = torch.meshgrid(rows, columns, indexing="ij")
            count = height * width
            position.append(torch.stack([x, y], dim=-1).view(count, 2).repeat(len(anchors), 1))
            sizes = torch.tensor(anchors, device=level.device, dtype=torch.float32)
            anchor.append(sizes.repeat_interleave(count, dim=0))
            stride.append(torch.full((count * len(anchors),), float(step), device=level.device))
            scale.append(torch.full((count * len(anchors),), float(s), device=level.device))
        return Cells(torch.cat(position), torch.cat(anchor), torch.cat(stride), torch.cat(scale))

    @staticmethod
    def decode_boxes(logits: Tensor, cells: Cells) -> Tensor:
        """Box logits [..., N, 4] (x, y, w, h) -> boxes [..., N, 4] xyxy in network px (Darknet's `[yolo]` layer)."""
        scale = cells.scale[:, None]
        offset = logits[..., :2].sigmoid() * scale - (scale - 1) / 2
        centre = (offset + cells.position) * cells.stride[:, None]
        half = logits[..., 2:4].clamp(max=MAX_LOG_SIZE).exp() * cells.anchor / 2
        return torch.cat([centre - half, centre + half], dim=-1)

    def decode(self, raw: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Raw maps -> boxes [B, N, 4] xyxy in network px, scores [B, N, K] = objectness x class probability."""
        logits = self.flatten(raw).float()
        boxes = self.decode_boxes(logits[..., :4], self.cells(raw))
        return boxes, logits[..., 4:5].sigmoid() * logits[..., 5:].sigmoid()


def _per_scale(anchors: object, scales: int) -> list[tuple]:
    """Tuples of (width, height), one tuple per scale, from a flat or nested list.  Raises OptionError."""
    given = isinstance(anchors, (list, tuple)) and 0 < len(anchors) <= 100
    if given and len(anchors) == scales and all(_are_sizes(a) for a in anchors):
        return [tuple(map(tuple, scale)) for scale in anchors]
    if not given or not _are_sizes(anchors) or len(anchors) % scales:
        raise OptionError(
            "anchors",
            f"anchors must be [width, height] pairs of positive px, a multiple of {scales} of them, or a list of such "
            f"pairs for each of the {scales} scales",
        )
    count = len(anchors) // scales
    return [tuple(map(tuple, anchors[i * count : (i + 1) * count])) for i in range(scales)]


def _are_sizes(anchors: object) -> bool:
    return isinstance(anchors, (list, tuple)) and 0 < len(anchors) <= 100 and all(map(_is_size, anchors))


def _is_size(anchor: object) -> bool:
    numbers = isinstance(anchor, (list, tuple)) and all(isinstance(side, (int, float)) for side in anchor)
    return numbers and len(anchor) == 2 and all(0 < side < 1e5 for side in anchor)
