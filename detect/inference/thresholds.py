"""The score thresholds that suited each class of a detector best, as its file keeps them."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Thresholds:
    """What `min_score="auto"` takes: of each class the score that gave the highest F1 on a set of images.

    scores: of label 0..K-1, each in 0..1; detections at or below it are left out;  iou: from which on a box counted as
    right;  data: the set, in words.
    """

    scores: tuple[float, ...]
    iou: float
    data: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for a file."""
        return asdict(self) | {"scores": list(self.scores)}

    @classmethod
    def of(cls, values: Any, num_classes: int) -> "Thresholds | None":
        """From what `to_dict` gave, checked; None from None.

        Raises:
            ValueError: it is something else; to follow "its thresholds".
        """
        if values is None:
            return None
        if not isinstance(values, Mapping) or values.keys() != {"scores", "iou", "data"}:
            raise ValueError("are damaged")
        scores = values["scores"]
        if not isinstance(scores, (list, tuple)) or len(scores) != num_classes:
            raise ValueError(f"are not those of {num_classes} classes")
        if not all(map(_is_share, [*scores, values["iou"]])) or not isinstance(values["data"], str):
            raise ValueError("are damaged")
        return cls(tuple(map(float, scores)), float(values["iou"]), values["data"])


def _is_share(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and 0 <= value <= 1
