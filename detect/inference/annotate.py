"""What a result looks like on the screen and in the files: its boxes, lines and zones, and how a live source goes."""

from collections.abc import Callable

import cv2
import numpy as np

from detect.inference.counting import Counts
from detect.inference.draw import Colour, Lettering, ascii_name, draw, line_width
from detect.inference.monitor import Pace
from detect.inference.result import Result
from detect.ops.preview import scaled

YELLOW: Colour = (255, 214, 0)
DARK: Colour = (24, 24, 24)
TINT = 0.25  # how much of a zone's colour lies on it


class Annotator:
    """Draws results: an image of each, uint8 RGB, as large as the source's or with its longer side of `side` px.

    Args:
        side: in px; None leaves the size.
        pace_of: how a live source goes, by its place among the run's.
    """

    def __init__(self, side: int | None, pace_of: Callable[[int], Pace]) -> None:
        self._side = side
        self._pace_of = pace_of

    def __call__(self, result: Result) -> Result:
        """The result with its `annotated` image."""
        image, ratio = scaled(result.image, self._side)
        canvas = draw(image, result.boxes * ratio, result.scores, result.labels, result.names, result.tracks)
        if result.counted:
            draw_counts(canvas, result.counted, ratio)
        if result.frame.medium == "live":
            draw_pace(canvas, self._pace_of(result.frame.item), result.frame.dropped)
        return result.shown_as(canvas)


def draw_counts(canvas: np.ndarray, counts: Counts, ratio: float) -> None:
    """Draw lines with an arrow that points `in`, and zones, with what was counted, on `canvas`."""
    lettering = Lettering(canvas)
    width = line_width(*canvas.shape[:2])
    zones = zip((counts.zones or {}).items(), counts.inside, strict=True)
    for number, ((name, zone), inside) in enumerate(zones, 1):
        corners = np.rint(zone * ratio).astype(np.int32)
        tint = canvas.copy()
        cv2.fillPoly(tint, [corners], YELLOW)
        cv2.addWeighted(tint, TINT, canvas, 1 - TINT, 0, canvas)
        cv2.polylines(canvas, [corners], True, YELLOW, width, cv2.LINE_AA)
        left, top = corners.min(axis=0).tolist()
        lettering.at(f"{ascii_name(name, number, 'zone')}: {inside}", left, top, YELLOW)
    for line, (came, went) in zip(counts.lines, counts.crossed, strict=True):
        start, end = np.multiply(line.start, ratio), np.multiply(line.end, ratio)
        middle, along = (start + end) / 2, (end - start) / max(np.hypot(*(end - start)), 1e-9)
        tip = middle + np.array([-along[1], along[0]]) * 12 * width  # to the right of who walks from start to end
        cv2.line(canvas, _px(start), _px(end), YELLOW, 2 * width, cv2.LINE_AA)
        cv2.arrowedLine(canvas, _px(middle), _px(tip), YELLOW, width, cv2.LINE_AA, tipLength=0.4)
        lettering.centred(f"in {came}  out {went}", start, YELLOW)


def draw_pace(canvas: np.ndarray, pace: Pace, dropped: int) -> None:
    """Write frames a second, latency and dropped frames into the corner of `canvas`."""
    words = [f"{pace.fps:.1f} fps" if pace.fps else "", f"{pace.latency * 1000:.0f} ms" if pace.latency else ""]
    words.append(f"{dropped} dropped" if dropped else "")
    if text := "  ".join(filter(None, words)):
        Lettering(canvas).at(text, 0, 0, DARK)


def _px(point: np.ndarray) -> tuple[int, int]:
    return round(float(point[0])), round(float(point[1]))
