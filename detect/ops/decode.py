"""From the raw maps of a YOLO head to scored boxes, for running: only what can pass the score is computed. In NumPy."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from detect.ops.nms import Candidates

MAX_LOG_SIZE = 10.0  # exp(10) anchors: keeps a wild prediction finite
SLACK = 1e-6  # far more than the rounding of a sigmoid in float32


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)), without a warning where exp overflows."""
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-x))


def softmax(x: np.ndarray) -> np.ndarray:
    """Softmax over the last axis."""
    with np.errstate(invalid="ignore", over="ignore"):  # inf - inf, 3e38 + 3e38
        powers = np.exp(x - x.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


class Functions(NamedTuple):
    """The functions that libraries round differently: float32 arrays -> new ones of the same shape."""

    sigmoid: Callable[[np.ndarray], np.ndarray] = sigmoid
    exp: Callable[[np.ndarray], np.ndarray] = np.exp
    softmax: Callable[[np.ndarray], np.ndarray] = softmax


@dataclass(frozen=True)
class Decoder:
    """Raw maps [B, A*(5+K), H_i, W_i], one for each scale -> the `Candidates` of each image, in network px.

    Channels are, anchor after anchor, x, y, w, h, objectness and the K classes, all as logits or logs. The arithmetic
    is that of `detect.models.heads.yolo.YOLOv3` and `detect.darknet.head.DarknetHead`, in float32 and to the last digit
    with torch's `functions`. A score that is no number is no candidate; a box that is not finite stays, so
    that broken weights are noticed by whoever uses it.
    """

    anchors: tuple[tuple[tuple[float, float], ...], ...]  # per scale, (width, height) in network px
    strides: tuple[int, ...]  # per scale, network px per cell
    num_classes: int
    scale_x_y: tuple[float, ...]  # per scale, reach of a centre beyond its cell (1: none)
    new_coords: tuple[bool, ...]  # per scale: sizes are 4 * sigmoid(w)^2 anchors instead of exp(w)
    exclusive_classes: bool = False  # `[region]`: one softmax over the classes
    only_sure: bool = False  # `[region]` with classfix=-1: no candidates where objectness is below 0.5
    functions: Functions = Functions()

    def __call__(self, raw: Sequence[np.ndarray], min_score: float) -> list[Candidates]:
        """Candidates with scores (objectness x class probability) above `min_score`, 0..1, for each of the B images.

        They are ordered by scale, anchor, row, column and class. The maps are float32, of any layout in memory.
        """
        return [self._candidates([level[image] for level in raw], min_score) for image in range(len(raw[0]))]

    def _candidates(self, levels: list[np.ndarray], min_score: float) -> Candidates:
        """Those of one image, whose maps are [A*(5+K), H_i, W_i]."""
        rows = [self._gather(scale, level, _logit(min_score - SLACK)) for scale, level in enumerate(levels)]
        logits, position, anchor = (np.ascontiguousarray(np.concatenate(part)) for part in zip(*rows, strict=True))
        scores = self._scores(logits)
        chosen = np.flatnonzero(scores > np.float32(min_score))  # faster than nonzero, as take is than an index
        row, labels = np.divmod(chosen, self.num_classes)
        boxes = self._boxes(logits[:, :4].take(row, axis=0), position.take(row, axis=0), anchor.take(row))
        return Candidates(boxes, scores.take(chosen), labels)

    def _gather(self, scale: int, level: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The predictions of one scale whose objectness logit is above `threshold`; a NaN is not.

        Returns their logits [n, 5+K], column and row of the cell [n, 2], and the anchor's number among all scales' [n].
        """
        grid = level.reshape(len(self.anchors[scale]), 5 + self.num_classes, *level.shape[1:]).transpose(0, 2, 3, 1)
        passing = np.flatnonzero(grid[..., 4] > np.float32(threshold))
        anchor, row, column = np.unravel_index(passing, grid.shape[:3])
        before = sum(map(len, self.anchors[:scale]))
        return grid[anchor, row, column], np.stack([column, row], axis=1), anchor + before

    def _scores(self, logits: np.ndarray) -> np.ndarray:
        """Logits [n, 5+K] -> objectness x class probability, float32 [n, K]."""
        objectness = self.functions.sigmoid(logits[:, 4:5])
        if self.only_sure:
            objectness = np.where(objectness >= 0.5, objectness, np.float32(0))
        of_classes = self.functions.softmax if self.exclusive_classes else self.functions.sigmoid
        return objectness * of_classes(logits[:, 5:])

    def _boxes(self, logits: np.ndarray, position: np.ndarray, anchor: np.ndarray) -> np.ndarray:
        """Logits [n, 4] of x, y, w, h, cells [n, 2] and anchors [n] as from `_gather` -> float32 [n, 4] xyxy."""
        size, stride, scale, squared = (values.take(anchor, axis=0) for values in self._of_anchors)  # each [n, 2]
        xy, wh = logits[:, :2], logits[:, 2:]
        offset = self.functions.sigmoid(xy) * scale - (scale - 1) / 2
        centre = (offset + position.astype(np.float32)) * stride
        half = self.functions.exp(np.minimum(wh, np.float32(MAX_LOG_SIZE))) * size / 2
        boxes = np.concatenate([centre - half, centre + half], axis=1)
        if any(self.new_coords):
            centre = (boxes[:, :2] + boxes[:, 2:]) / 2  # rounded as in the head
            half = 2 * np.square(self.functions.sigmoid(wh)) * size
            boxes = np.where(squared[:, :1] == 1, np.concatenate([centre - half, centre + half], axis=1), boxes)
        return boxes

    @cached_property
    def _of_anchors(self) -> tuple[np.ndarray, ...]:
        """Size, stride, scale_x_y and new_coords of all scales' anchors: float32 [anchors, 2] each, for x and y."""
        counts = [len(scale) for scale in self.anchors]
        sizes = np.array([size for scale in self.anchors for size in scale], dtype=np.float32)
        per_scale = np.array([self.strides, self.scale_x_y, self.new_coords], dtype=np.float32)  # [3, scales]
        return sizes, *np.repeat(per_scale, counts, axis=1)[..., None].repeat(2, axis=-1)


def _logit(probability: float) -> float:
    """The inverse of the sigmoid; -inf below 0."""
    return math.log(probability / (1 - probability)) if probability > 0 else -math.inf
