"""What a run of `pipeline.detect_files` may be asked for, checked before anything is read."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from detect.errors import UserError, nearest
from detect.files import printable
from detect.inference.counting import Line
from detect.inference.live import Watching

OUTPUTS = {
    "annotated": "images and videos with what was found drawn on them",
    "json": "detections.json, whole at the end",
    "jsonl": "detections.jsonl, a line for each frame as it goes",
    "coco": "detections.coco.json, in COCO's format with scores",
    "yolo": "a text file for each frame in labels",
    "csv": "counts.csv, how many of what, second by second",
    "crops": "what was found, cut out, in crops",
}
USUAL = ("annotated", "json")
USUAL_LIVE = ("annotated", "jsonl")  # of what may go on for days, and whose end may be a power failure
LARGEST_SIDE = 8190  # px


@dataclass(frozen=True)
class Options:
    """Of one run.

    Raises:
        UserError: one is out of its range; `argument` names it.
    """

    outputs: Sequence[str] | None = None  # of `OUTPUTS`; None: `USUAL`, or with a live source `USUAL_LIVE`
    watching: Watching = field(default_factory=Watching)  # how sources are read
    segment: float | None = None  # seconds of a video file, and of a file of JSON lines; None for one whole
    resize_output: int | None = None  # longer side of annotated images and videos, px
    classes: Collection[str] | None = None  # those that are looked for; None for all
    track: bool = False  # follow things from frame to frame
    lines: Sequence[Line] = ()  # that tracks are counted at
    zones: Mapping[str, np.ndarray] = field(default_factory=dict)  # polygons that are counted in, as of `read_zones`
    categories: Sequence[Mapping[str, Any]] | None = None  # {"id", "name"} by label, for COCO's format
    show_progress: bool = True
    show: bool = False  # also in a window; the key q ends the run
    verbose: bool = False  # a line for every frame of videos and live sources

    def __post_init__(self) -> None:
        for name in self.outputs or ():
            if name not in OUTPUTS:
                raise UserError(f"there is no output '{printable(name)}'{nearest(name, OUTPUTS)}", argument="outputs")
        if self.segment is not None and not 1 <= self.segment <= 1e9:
            raise UserError(f"segment is {self.segment}; give seconds from 1", argument="segment")
        side = self.resize_output
        if side is not None and (type(side) is not int or not 16 <= side <= LARGEST_SIDE):
            raise UserError(f"{side} px; give a whole number from 16 to {LARGEST_SIDE}", argument="resize_output")

    def chosen(self, names: Sequence[str]) -> tuple[str, ...] | None:
        """`classes`, all of which are of `names`.  Raises UserError."""
        if self.classes is None:
            return None
        for name in self.classes:
            if name not in names:
                raise UserError(f"there is no class '{printable(name)}'{nearest(name, names)}", argument="classes")
        return tuple(self.classes)
