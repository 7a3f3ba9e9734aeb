"""What crosses lines and what stands in zones."""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from detect.errors import UserError
from detect.files import printable, read_json

Point = tuple[float, float]  # x, y in px of the image
FORGOTTEN = 60.0  # seconds after which a track that is not seen is forgotten
FARTHEST = 1e6  # px from the image's corner that a line or zone may reach
SURE = 0.05  # of a box's shorter side: nearer to a line than that, it is on neither side


@dataclass(frozen=True)
class Line:
    """From `start` to `end`. Things come `in` from the left to the right of someone who walks along it."""

    start: Point
    end: Point

    @classmethod
    def of(cls, text: str) -> "Line":
        """The line of `x1,y1,x2,y2`, px of the image.  Raises UserError."""
        try:
            x1, y1, x2, y2 = (float(word) for word in text.split(","))
        except ValueError:
            x1 = y1 = x2 = y2 = math.nan
        if not all(abs(side) <= FARTHEST for side in (x1, y1, x2, y2)) or (x1, y1) == (x2, y2):
            raise UserError(f"'{printable(text)}' is no line; give x1,y1,x2,y2 in px of the image", argument="line")
        return cls((x1, y1), (x2, y2))

    def distance(self, point: Point) -> float:
        """Of a point, in px: negative on the left of someone who walks from start to end, positive on the right."""
        (x1, y1), (x2, y2) = self.start, self.end
        return ((x2 - x1) * (point[1] - y1) - (y2 - y1) * (point[0] - x1)) / math.hypot(x2 - x1, y2 - y1)

    def is_crossed(self, before: Point, after: Point) -> bool:
        """Whether the straight way between two points on either side of it passes between its ends."""
        if before == after:
            return False
        way = Line(before, after)
        return way.distance(self.start) * way.distance(self.end) <= 0


@dataclass(frozen=True)
class Counts:
    """What was counted until a frame, or in it.

    `crossed` holds (in, out) of each line since the source began, `inside` how many stand in each zone now.
    """

    lines: tuple[Line, ...] = ()
    crossed: tuple[tuple[int, int], ...] = ()
    zones: Mapping[str, np.ndarray] | None = None
    inside: tuple[int, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Those of `{"lines": [{"line": [x1, y1, x2, y2], "in", "out"}], "zones": [{"zone": name, "inside"}]}`."""
        lines = [
            {"line": [*line.start, *line.end], "in": came, "out": went}
            for line, (came, went) in zip(self.lines, self.crossed, strict=True)
        ]
        zones = [{"zone": name, "inside": inside} for name, inside in zip(self.zones or (), self.inside, strict=True)]
        return ({"lines": lines} if lines else {}) | ({"zones": zones} if zones else {})


class Counter:
    """Counts one source. Where a thing stands is the middle of its box's lower edge.

    A track that comes from one side of a line to the other between its ends has crossed it once, however long it stays
    near it; memory does not grow with the tracks of days.

    Args:
        lines: in px of the image.
        zones: polygons by name, float32 [n, 2] in px of the image.
    """

    def __init__(self, lines: Sequence[Line] = (), zones: Mapping[str, np.ndarray] | None = None) -> None:
        self._lines = tuple(lines)
        self._zones = zones or {}
        self._crossed = [[0, 0] for _ in lines]
        self._last: dict[
            int, tuple[float, list[Point | None]]
        ] = {}  # track -> when seen, where surely beside each line

    def count(self, boxes: np.ndarray, tracks: np.ndarray | None, time: float) -> Counts:
        """Boxes [n, 4] xyxy and tracks [n] (0 is none) of the frame at a time in seconds -> what is counted with it."""
        feet = [((left + right) / 2, bottom) for left, _, right, bottom in boxes.tolist()]
        if tracks is not None and self._lines:
            sides = (boxes[:, 2:] - boxes[:, :2]).min(axis=1, initial=np.inf).tolist()
            for track, point, side in zip(tracks.tolist(), feet, sides, strict=True):
                if track:
                    self._follow(track, point, max(SURE * side, 1.0), time)
            self._last = {track: last for track, last in self._last.items() if time - last[0] <= FORGOTTEN}
        inside = tuple(sum(is_inside(zone, point) for point in feet) for zone in self._zones.values())
        crossed = tuple((came, went) for came, went in self._crossed)
        return Counts(self._lines, crossed, self._zones, inside)

    def _follow(self, track: int, point: Point, sure: float, time: float) -> None:
        _, beside = self._last.get(track, (time, [None] * len(self._lines)))
        for number, line in enumerate(self._lines):
            distance, before = line.distance(point), beside[number]
            if abs(distance) < sure:
                continue
            if before is not None and line.distance(before) * distance < 0 and line.is_crossed(before, point):
                self._crossed[number][distance < 0] += 1
            beside[number] = point
        self._last[track] = time, beside


def is_inside(zone: np.ndarray, point: Point) -> bool:
    """Whether a point lies in a polygon, float32 [n, 2], or on its edge."""
    return cv2.pointPolygonTest(zone, point, False) >= 0


def read_zones(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """The zones of a JSON file `{"door": [[x, y], [x, y], [x, y], ...], ...}`: polygons in px of the image.

    Raises:
        UserError: it cannot be read, or is none.
    """
    content = read_json(path)
    zones = {}
    if not isinstance(content, dict) or not content:
        raise UserError(f'{printable(path)}: holds no zones; write {{"door": [[x, y], [x, y], [x, y]]}}')
    for name, points in content.items():
        polygon = _polygon(points)
        if polygon is None:
            raise UserError(
                f"{printable(path)}: zone '{printable(name)}' is no polygon; give three points [x, y] or more, in px "
                "of the image"
            )
        zones[name] = polygon
    return zones


def _polygon(points: Any) -> np.ndarray | None:
    """Float32 [n, 2], or None where that cannot be made."""
    try:
        polygon = np.array(points, dtype=np.float32)
    except (ValueError, TypeError, OverflowError):
        return None
    if polygon.ndim != 2 or polygon.shape[1] != 2 or not 3 <= len(polygon) <= 1000:
        return None
    return polygon if (np.abs(polygon) <= FARTHEST).all() else None
