"""What the file of an exported detector says beside its network: all that running it takes, as JSON in its metadata."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from os import PathLike
from typing import Any

from detect.errors import UserError
from detect.files import is_unicode, printable
from detect.inference.thresholds import Thresholds
from detect.ops.decode import Decoder
from detect.ops.letterbox import GREY
from detect.version import __version__

KEY = "csp_detect"  # its name in the metadata
FORM = 1  # of what is said; a file of another form is refused
LETTERBOX = {"pad": "centre", "fill": GREY, "scale": "fit"}  # the one geometry, `detect.ops.letterbox`


@dataclass(frozen=True)
class Exported:
    """The network takes uint8 RGB [batch, size, size, 3] and gives, for each scale, raw maps [batch, H, W, A*(5+K)]."""

    categories: list[dict[str, Any]]  # {"id", "name"} of label 0..K-1
    size: int  # px
    batch: int | None  # images at once; None: any number
    precision: str  # of the numbers in the file: f32, f16 or int8
    head: dict[str, Any]  # arguments of `Decoder`
    predict: dict[str, Any]  # min_score, max_detections, nms: defaults for `Predictor`
    config: dict[str, Any]  # the settings it was trained with
    thresholds: dict[str, Any] | None = None  # `Thresholds.to_dict`, where they are known
    version: str = __version__  # of the package that wrote it

    @property
    def names(self) -> tuple[str, ...]:
        """Of the K classes."""
        return tuple(category["name"] for category in self.categories)

    @property
    def decoder(self) -> Decoder:
        """What makes candidates of the raw maps."""
        return Decoder(**{name: _as_tuples(value) for name, value in self.head.items()})

    @property
    def map_shapes(self) -> list[tuple[int, int, int]]:
        """(height, width, channels) of each raw map."""
        head = self.decoder
        return [
            (self.size // stride, self.size // stride, len(anchors) * (5 + head.num_classes))
            for stride, anchors in zip(head.strides, head.anchors, strict=True)
        ]

    def to_json(self) -> str:
        """The text for the metadata."""
        return json.dumps({"form": FORM, "letterbox": LETTERBOX, **asdict(self)}, allow_nan=False)

    @classmethod
    def from_json(cls, text: str | None, path: str | PathLike[str]) -> "Exported":
        """What `to_json` wrote, checked.

        Raises:
            UserError: there is no text, or it is damaged or of another version; names the file `path`.
        """
        if not text:
            raise UserError(f"{printable(path)}: was not exported by this package; make it with tools/export.py")
        try:
            said = json.loads(text)
            form, letterbox = said.pop("form"), said.pop("letterbox")
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise _damaged(path, "no JSON that can be read") from error
        if form != FORM or letterbox != LETTERBOX:
            version = printable(said.get("version"))
            raise UserError(
                f"{printable(path)}: was exported by version {version}, which this version {__version__} does not "
                "understand; export it again"
            )
        try:
            exported = cls(**said)
            exported._check()
        except (TypeError, ValueError, KeyError, AttributeError, OverflowError, ZeroDivisionError) as error:
            raise _damaged(path, str(error)) from error
        return exported

    def _check(self) -> None:
        """Raise ValueError, TypeError or KeyError unless everything fits together."""
        if not isinstance(self.categories, list) or not 0 < len(self.categories) < 100_000:
            raise ValueError("no list of classes")
        for category in self.categories:
            if not isinstance(category["id"], int) or not isinstance(category["name"], str):
                raise ValueError("a class without id and name")
            if not is_unicode(category["name"]):
                raise ValueError("a class whose name is broken Unicode")
        if not _is_whole(self.size, 1, 16_384) or not (self.batch is None or _is_whole(self.batch, 1, 1024)):
            raise ValueError("a size that cannot be")
        if not isinstance(self.config, dict) or not isinstance(self.predict, dict):
            raise ValueError("no settings")
        if set(self.predict) != {"min_score", "max_detections", "nms"} or not isinstance(self.predict["nms"], dict):
            raise ValueError("no thresholds")
        head = self.decoder
        scales = len(head.strides)
        if not scales or any(len(of) != scales for of in (head.anchors, head.scale_x_y, head.new_coords)):
            raise ValueError("a head whose scales disagree")
        if any(not _is_whole(stride, 1, 1024) or self.size % stride for stride in head.strides):
            raise ValueError("strides that do not fit the size")
        numbers = [side for anchors in head.anchors for anchor in anchors for side in anchor] + list(head.scale_x_y)
        if not all(len(anchor) == 2 for anchors in head.anchors for anchor in anchors):
            raise ValueError("anchors that are no pairs")
        if not all(isinstance(n, (int, float)) and math.isfinite(n) and n > 0 for n in numbers):
            raise ValueError("anchors that are no sizes")
        if not all(isinstance(switch, bool) for switch in (*head.new_coords, head.exclusive_classes, head.only_sure)):
            raise ValueError("switches that are neither on nor off")
        if head.num_classes != len(self.categories):
            raise ValueError("another number of classes than the network's")
        Thresholds.of(self.thresholds, head.num_classes)


def _damaged(path: str | PathLike[str], reason: str) -> UserError:
    return UserError(f"{printable(path)}: what it says of itself is damaged ({printable(reason)}); export it again")


def _is_whole(value: Any, low: int, high: int) -> bool:
    return type(value) is int and low <= value <= high


def _as_tuples(value: Any) -> Any:
    """Lists as tuples, at any depth."""
    return tuple(map(_as_tuples, value)) if isinstance(value, (list, tuple)) else value


def check_maps(exported: Exported, shapes: Sequence[Sequence[Any]], path: str | PathLike[str]) -> None:
    """Raise UserError unless a network's outputs, whose `shapes` begin with the batch, are what the file says."""
    if [tuple(shape)[1:] for shape in shapes] != exported.map_shapes:
        raise _damaged(path, "another network than it describes")
