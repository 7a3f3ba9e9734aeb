"""Charts as SVG text for a page: they take the page's colours, so they are right in light and in dark."""

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

import numpy as np

from detect.report.confusion import Confusions

WIDTH, HEIGHT = 460, 300  # of a chart's drawing area and rim, in the units of its text
LEFT, BOTTOM, TOP, RIGHT = 40, 34, 10, 14
SPARK = (64, 24)
TICKS = (0, 0.2, 0.4, 0.6, 0.8, 1)


class Line(NamedTuple):
    """A line of a chart; both coordinates are in 0..1."""

    x: np.ndarray
    y: np.ndarray
    style: str  # CSS class: main, second or faint
    title: str  # what a pointer on it shows
    mark: tuple[float, float] | None = None  # a point to stress


def chart(lines: Sequence[Line], x_label: str, y_label: str) -> str:
    """Lines over a grid from 0 to 1 on both axes, the last ones on top."""
    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    about = f'role="img" aria-label="{escape(y_label)} over {escape(x_label)}"'
    parts = [f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" {about}>']
    for tick in TICKS:
        y = TOP + high * (1 - tick)
        parts.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(_text(LEFT - 6, y + 4, f"{tick:g}", "end"))
        parts.append(_text(LEFT + wide * tick, HEIGHT - BOTTOM + 15, f"{tick:g}", "middle"))
    parts.append(_text(LEFT + wide / 2, HEIGHT - 3, x_label, "middle", "axis"))
    parts.append(_rotated(11, TOP + high / 2, y_label, "middle", "axis"))
    for line in lines:
        points = _points(line.x, line.y, wide, high, LEFT, TOP)
        title = f"<title>{escape(line.title)}</title>"
        parts.append(f'<polyline class="{line.style}" points="{points}">{title}</polyline>')
        if line.mark:
            x, y = LEFT + wide * line.mark[0], TOP + high * (1 - line.mark[1])
            parts.append(f'<circle class="{line.style}" cx="{x:.1f}" cy="{y:.1f}" r="4"/>')
    return "".join([*parts, "</svg>"])


def spark(line: Line) -> str:
    """One line in the size of a word."""
    wide, high = SPARK
    points = _points(line.x, line.y, wide, high - 4, 0, 2)
    mark = ""
    if line.mark:
        mark = f'<circle cx="{wide * line.mark[0]:.1f}" cy="{2 + (high - 4) * (1 - line.mark[1]):.1f}" r="2.5"/>'
    grid = f'<path class="grid" d="M0 2H{wide}M0 {high - 2}H{wide}"/>'
    return (
        f'<svg class="spark" viewBox="0 0 {wide} {high}" width="{wide}" height="{high}">'
        f'<title>{escape(line.title)}</title>{grid}<polyline points="{points}"/>{mark}</svg>'
    )


def matrix(found: Confusions, names: Sequence[str]) -> str:
    """A table of counts whose cells are as strong as their shares; numbers stand in it where there is room.

    Rows are named at the left, columns on top.
    """
    cell, size = (46, 12) if len(names) <= 12 else (24, 9) if len(names) <= 30 else (11, 8)  # of a cell, of letters
    rim = 6 + 0.58 * size * max(map(len, names))
    side, inner = rim + cell * len(names) + 4, cell * len(names)
    box = f'viewBox="0 0 {side:.0f} {side:.0f}" width="{side:.0f}"'
    parts = [f'<svg class="matrix" {box} style="font-size:{size}px" role="img">']
    for place, name in enumerate(names):
        middle = rim + cell * (place + 0.5) + size * 0.35
        parts += [_text(rim - 4, middle, name, "end"), _rotated(middle, rim - 4, name, "start")]
    parts.append(f'<rect class="frame" x="{rim:.1f}" y="{rim:.1f}" width="{inner}" height="{inner}"/>')
    columns = (found.rows, found.columns, found.counts, found.shares())
    for row, column, count, share in zip(*(one.tolist() for one in columns), strict=True):
        x, y = rim + cell * column, rim + cell * row
        title = f"<title>{escape(names[row])} found as {escape(names[column])}: {count}</title>"
        place = f'x="{x:.1f}" y="{y:.1f}" width="{cell - 1}" height="{cell - 1}"'
        parts.append(f'<rect {place} fill-opacity="{max(share, 0.06):.2f}">{title}</rect>')
        if cell > 20 and 0.55 * size * len(str(count)) < cell:
            style = "on" if share > 0.5 else ""
            parts.append(_text(x + cell / 2, y + cell / 2 + size * 0.35, str(count), "middle", style))
    return "".join([*parts, "</svg>"])


def _text(x: float, y: float, text: str, anchor: str, style: str = "") -> str:
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _rotated(x: float, y: float, text: str, anchor: str, style: str = "") -> str:
    """Text that reads upwards."""
    turned = f'transform="translate({x:.1f} {y:.1f}) rotate(-90)"'
    return f'<text class="{style}" {turned} text-anchor="{anchor}">{escape(text)}</text>'


def _points(x: np.ndarray, y: np.ndarray, wide: float, high: float, left: float, top: float) -> str:
    """The line in the units of the drawing, without the points that lie on it anyway."""
    places = np.round(np.stack([left + wide * x, top + high * (1 - y)], axis=1), 1)
    steps = np.diff(places, axis=0)
    turns = np.ones(len(places), dtype=bool)
    turns[1:-1] = np.abs(steps[:-1, 0] * steps[1:, 1] - steps[:-1, 1] * steps[1:, 0]) > 1e-9
    return " ".join(f"{a:g},{b:g}" for a, b in places[turns])
