"""From the raw maps of a YOLO head to scored boxes, for running: only what can pass the score is computed. In NumPy."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
    with np.errstate(invalid="ignore"):  # inf - inf
        powers = np.exp(x - x.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


class Functions(NamedTuple):
    """The functions that libraries round differently: float32 arrays -> new ones of the same shape."""

    sigmoid: Callable[[np.ndarray], np.ndarray] = sigmoid
    exp: Callable[[np.ndarray], np.ndarray] = np.exp
    softmax: Callable[[np.ndarray], np.ndarray] = softmax


class _Rows(NamedTuple):
    """The n predictions of an image whose objectness can pass, and where they sit; all float32."""

    logits: np.ndarray  # [n, 5+K]
    position: np.ndarray  # [n, 2] column, row of the cell
    anchor: np.ndarray  # [n, 2] width, height in network px
    stride: np.ndarray  # [n, 1] network px per cell
    scale: np.ndarray  # [n, 1] scale_x_y
    squared: np.ndarray  # [n, 1] 1: new_coords, 0: none


@dataclass(frozen=True)
class Decoder:
    """Raw maps [B, A*(5+K), H_i, W_i], one for each scale -> the `Candidates` of each image, in network px.

    Channels are, anchor after anchor, x, y, w, h, objectness and the K classes, all as logits or logs. The arithmetic
    is that of `detect.models.heads.yolo.YOLOv3` and `detect.darknet.head.DarknetHead`, in float32 and to the last digit
    with torch's `functions`. A box that is not finite, or a score that is no number, is no candidate.
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
        rows = self._gather(levels, _logit(min_score - SLACK))
        scores = self._scores(rows.logits)
        boxes = self._boxes(rows)
        scores[~np.isfinite(boxes).all(axis=1)] = 0
        index, labels = np.nonzero(scores > np.float32(min_score))
        return Candidates(boxes[index], scores[index, labels], labels)

    def _gather(self, levels: list[np.ndarray], threshold: float) -> _Rows:
        """The predictions whose objectness logit is above `threshold`; a NaN is not."""
        parts = []
        for level, anchors, *constants in zip(
            levels, self.anchors, self.strides, self.scale_x_y, self.new_coords, strict=True
        ):
            grid = level.reshape(len(anchors), 5 + self.num_classes, *level.shape[1:]).transpose(0, 2, 3, 1)
            passing = grid[..., 4] > np.float32(threshold)
            anchor, row, column = np.unravel_index(np.flatnonzero(passing), passing.shape)
            columns = [np.full((len(row), 1), constant, dtype=np.float32) for constant in constants]
            position = np.stack([column, row], axis=1, dtype=np.float32, casting="unsafe")
            parts.append((grid[anchor, row, column], position, np.array(anchors, dtype=np.float32)[anchor], *columns))
        return _Rows(*(np.ascontiguousarray(np.concatenate(field)) for field in zip(*parts, strict=True)))

    def _boxes(self, rows: _Rows) -> np.ndarray:
        """float32 [n, 4] xyxy."""
        xy, wh, scale = rows.logits[:, :2], rows.logits[:, 2:4], rows.scale
        offset = self.functions.sigmoid(xy) * scale - (scale - 1) / 2
        centre = (offset + rows.position) * rows.stride
        half = self.functions.exp(np.minimum(wh, np.float32(MAX_LOG_SIZE))) * rows.anchor / 2
        boxes = np.concatenate([centre - half, centre + half], axis=1)
        if any(self.new_coords):
            centre = (boxes[:, :2] + boxes[:, 2:]) / 2  # rounded as in the head
            half = 2 * np.square(self.functions.sigmoid(wh)) * rows.anchor
            boxes = np.where(rows.squared > 0, np.concatenate([centre - half, centre + half], axis=1), boxes)
        return boxes

    def _scores(self, logits: np.ndarray) -> np.ndarray:
        """Logits [n, 5+K] -> objectness x class probability, float32 [n, K]."""
        objectness = self.functions.sigmoid(logits[:, 4:5])
        if self.only_sure:
            objectness = np.where(objectness >= 0.5, objectness, np.float32(0))
        of_classes = self.functions.softmax if self.exclusive_classes else self.functions.sigmoid
        return objectness * of_classes(logits[:, 5:])


def _logit(probability: float) -> float:
    """The inverse of the sigmoid; -inf below 0."""
    return math.log(probability / (1 - probability)) if probability > 0 else -math.inf
