"""What was found in one image."""

import html
import json
from base64 import b64encode
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from io import BytesIO
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from detect.errors import UserError, nearest
from detect.files import printable
from detect.inference.counting import Counts
from detect.inference.draw import draw
from detect.inference.sources import Frame
from detect.ops.image import write_image

if TYPE_CHECKING:
    import supervision


NOTEBOOK_SIDE = 1280  # px: longer sides are shown smaller in a notebook


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """What was found in one image, best first. Boxes are in px of the image as shown (EXIF applied).

    It has a length and can be iterated over: `for box, score, name in result`.
    """

    boxes: np.ndarray  # float32 [n, 4] xyxy, image px
    scores: np.ndarray  # float32 [n], 0..1
    labels: np.ndarray  # int64 [n], 0..K-1
    names: tuple[str, ...]  # of the K classes
    frame: Frame  # the image and where it comes from
    tracks: np.ndarray | None = None  # int64 [n], what was followed: from 1, 0 for what is not yet; None: nothing was
    counted: Counts | None = None  # at lines and in zones, where there are any

    @property
    def image(self) -> np.ndarray:
        """The image itself, uint8 RGB [height, width, 3]."""
        return self.frame.image

    @property
    def source(self) -> str:
        """Where the image comes from: a path, an address without password, or a name."""
        return self.frame.source

    def __len__(self) -> int:
        return len(self.boxes)

    def __iter__(self) -> Iterator[tuple[np.ndarray, float, str]]:
        """(box float32 [4] xyxy in image px, score, class name) of each detection, best first."""
        for box, score, label in zip(self.boxes, self.scores, self.labels, strict=True):
            yield box, float(score), self.names[label]

    def __repr__(self) -> str:
        height, width = self.image.shape[:2]
        return f"<Result {printable(self.source)} {width}x{height}: {describe(self.counts())}>"

    def counts(self) -> dict[str, int]:
        """Number of detections by class name, in the order of the classes; classes not found are left out."""
        found = Counter(self.labels.tolist())
        return {self.names[label]: found[label] for label in sorted(found)}

    def filter(self, classes: Collection[str] | None = None, min_score: float = 0.0) -> "Result":
        """The detections of these classes (all by default) whose score is above `min_score`, as a new `Result`.

        Raises:
            UserError: a class is none of `names`.
        """
        classes = (classes,) if isinstance(classes, str) else classes
        for name in classes or ():
            if name not in self.names:
                raise UserError(f"there is no class '{printable(name)}'{nearest(name, self.names)}")
        wanted = np.array([classes is None or name in classes for name in self.names], dtype=bool)
        return self.only(wanted[self.labels] & (self.scores > min_score))

    def only(self, keep: np.ndarray) -> "Result":
        """Some of the detections: bool [n], or their places, as a new `Result`."""
        tracks = None if self.tracks is None else self.tracks[keep]
        return replace(self, boxes=self.boxes[keep], scores=self.scores[keep], labels=self.labels[keep], tracks=tracks)

    def plot(self) -> np.ndarray:
        """The image with its detections drawn on it: a new uint8 RGB array [height, width, 3], to be drawn on."""
        return draw(self.image, self.boxes, self.scores, self.labels, self.names, self.tracks)

    @cached_property
    def annotated(self) -> np.ndarray:
        """`plot()`, drawn once for all who only look at it: read-only, and kept with the result."""
        image = self.plot()
        image.flags.writeable = False
        return image

    def shown_as(self, image: np.ndarray) -> "Result":
        """This result with another `annotated` image, uint8 RGB of any size, which is read-only from now on."""
        image.flags.writeable = False
        shown = replace(self)
        shown.__dict__["annotated"] = image  # where cached_property keeps it
        return shown

    def _repr_html_(self) -> str:
        """How a notebook shows it: the annotated image, and in words what was found."""
        shown = Image.fromarray(self.annotated)
        shown.thumbnail((NOTEBOOK_SIDE, NOTEBOOK_SIDE))
        file = BytesIO()
        shown.save(file, format="PNG")
        words = html.escape(repr(self)[1:-1])
        image = f'<img src="data:image/png;base64,{b64encode(file.getvalue()).decode()}"/>'
        return f"<figure>{image}<figcaption>{words}</figcaption></figure>"

    def save(self, path: str | PathLike[str]) -> Path:
        """Write `plot()` to an image file, whose suffix names the format; returns its path.

        Raises:
            UserError: the file cannot be written, or the format is unknown.
        """
        write_image(path, self.plot())
        return Path(path)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as `detections.json` holds them for each frame.

        `{"source", "frame", "time", "width", "height", "detections": [{"box", "score", "label", "name"}]}`; boxes are
        [left, top, right, bottom] in image px, rounded to 0.001 px, scores to 6 decimals; times are in seconds. Of a
        live source also `clock`, ISO 8601; of what was followed `track` (None for what is not yet); what was counted as
        `lines` and `zones`: `Counts.to_dict`.
        """
        height, width = self.image.shape[:2]
        frame = {"source": self.source, "frame": self.frame.index, "time": self.frame.time}
        if self.frame.clock is not None:
            frame["clock"] = self.frame.clock_text
        detections = [
            {
                "box": [round(float(side), 3) for side in box],
                "score": round(float(score), 6),
                "label": int(label),
                "name": self.names[label],
            }
            for box, score, label in zip(self.boxes, self.scores, self.labels, strict=True)
        ]
        if self.tracks is not None:
            for detection, track in zip(detections, self.tracks.tolist(), strict=True):
                detection["track"] = track or None
        counted = self.counted.to_dict() if self.counted else {}
        return frame | {"width": width, "height": height} | counted | {"detections": detections}

    def to_json(self) -> str:
        """`to_dict` as one line of JSON."""
        return json.dumps(self.to_dict(), allow_nan=False)

    def to_supervision(self) -> "supervision.Detections":
        """The detections as roboflow/supervision's `Detections`, class names in `data["class_name"]`.

        Raises:
            UserError: that library is not installed.
        """
        try:
            import supervision
        except ImportError as error:
            raise UserError("supervision is not installed; pip install supervision") from error
        names = np.array([self.names[label] for label in self.labels], dtype=str)
        return supervision.Detections(
            xyxy=self.boxes, confidence=self.scores, class_id=self.labels, data={"class_name": names}
        )


def describe(counts: Mapping[str, int]) -> str:
    """`{"person": 3, "dog": 1}` -> `3 person, 1 dog`."""
    return ", ".join(f"{count} {printable(name)}" for name, count in counts.items()) or "nothing found"
