"""What was found in a set of images, as columns: what evaluators and the files of results take."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from detect.errors import UserError
from detect.ops.boxes import xyxy_to_xywh

CocoResult = dict[str, Any]  # image_id, category_id, bbox [left, top, width, height] px, score


@dataclass(frozen=True, eq=False)
class Detections:
    """What was found in a set of images, n boxes in the order in which they were found.

    image_ids, category_ids: int64 [n], those of the annotation file;  boxes: float64 [n, 4] xywh in image px;
    scores: float64 [n].
    """

    image_ids: np.ndarray
    category_ids: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray

    def __post_init__(self) -> None:
        broken = np.flatnonzero(~(np.isfinite(self.boxes).all(axis=1) & np.isfinite(self.scores)))
        if len(broken):
            raise UserError(
                f"detections: {len(broken)} of {len(self)} have a box or score that is no finite number, first in "
                f"image {self.image_ids[broken[0]]}; the model's weights are likely broken, look for NaN in training"
            )

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, rows: np.ndarray) -> "Detections":
        """Those that a mask [n] or indices choose."""
        return Detections(self.image_ids[rows], self.category_ids[rows], self.boxes[rows], self.scores[rows])

    @classmethod
    def in_image(cls, image_id: int, boxes: np.ndarray, scores: np.ndarray, category_ids: Sequence[int]) -> Self:
        """Those of one image, rounded as files of results are.

        Args:
            boxes: [n, 4] xyxy in image px; kept as xywh, rounded to 0.01 px.
            scores: [n], rounded to 5 decimals.
            category_ids: [n].
        """
        xywh = xyxy_to_xywh(np.asarray(boxes, dtype=np.float64)).round(2)
        category_ids = _whole(category_ids)
        scores = np.asarray(scores, dtype=np.float64).round(5)
        return cls(np.full(len(category_ids), image_id, dtype=np.int64), category_ids, xywh, scores)

    @classmethod
    def joined(cls, parts: Iterable["Detections"]) -> Self:
        """Several tables, one below the other."""
        parts = [cls(_whole([]), _whole([]), np.zeros((0, 4)), np.zeros(0)), *parts]
        names = ("image_ids", "category_ids", "boxes", "scores")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    @classmethod
    def of(cls, results: Sequence[CocoResult]) -> Self:
        """From COCO's results."""
        return cls(
            _whole([row["image_id"] for row in results]),
            _whole([row["category_id"] for row in results]),
            np.array([row["bbox"] for row in results], dtype=np.float64).reshape(-1, 4),
            np.array([row["score"] for row in results], dtype=np.float64),
        )

    def results(self) -> list[CocoResult]:
        """As COCO's results, in plain Python numbers."""
        columns = (self.image_ids.tolist(), self.category_ids.tolist(), self.boxes.tolist(), self.scores.tolist())
        return [
            {"image_id": image_id, "category_id": category_id, "bbox": box, "score": score}
            for image_id, category_id, box, score in zip(*columns, strict=True)
        ]


def places(values: np.ndarray, ascending: np.ndarray) -> np.ndarray:
    """Where each of `values` [n] is found in `ascending` [m], int64 [n]; -1 where it is not."""
    if not len(ascending):
        return np.full(len(values), -1)
    found = np.searchsorted(ascending, values).clip(max=len(ascending) - 1)
    return np.where(ascending[found] == values, found, -1)


def _whole(values: Sequence[int]) -> np.ndarray:
    return np.asarray(values, dtype=np.int64)
