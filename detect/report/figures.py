"""Figures: one look for all of them, drawn without a display and without matplotlib's global state."""

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from detect.errors import UserError
from detect.extras import not_installed
from detect.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, GREEN, RED = "#2456c7", "#2f8f3a", "#d1382c"
INK, FAINT = "#222222", "#8a8a8a"  # what is said first, and second


def new_figure(width: float, height: float) -> "Figure":
    """An empty figure of `width` x `height` inches.  Raises UserError where matplotlib is not installed."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise not_installed(error) or UserError(f"drawing needs matplotlib, which does not import: {error}") from error
    figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def write_figure(path: str | Path, figure: "Figure") -> None:
    """Write the figure as a PNG file, whole or not at all.  Raises UserError."""
    png = io.BytesIO()
    figure.savefig(png, format="png")
    with replacing(path) as temporary:
        temporary.write_bytes(png.getvalue())


def plain(axes: "Axes", title: str, grid: str = "y") -> "Axes":
    """A panel with its title at the left, faint lines along `grid` (x, y or both) and no box around; returns it."""
    axes.set_title(title, loc="left", fontsize=10, weight="bold", color=INK)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(FAINT)
    axes.tick_params(colors=FAINT, labelcolor=INK, labelsize=8)
    axes.grid(axis=grid, color="#e4e4e4", linewidth=0.8)
    axes.set_axisbelow(True)
    return axes


def spread_out(values: list[float], least: float) -> list[float]:
    """Places for labels beside `values`: in their order, at least so far from each other, as near as that allows."""
    order = np.argsort(values, kind="stable")
    places = np.array(values, dtype=float)[order]
    for _ in range(50):  # pushes apart from the middle of each pair
        gaps = np.diff(places)
        if not len(gaps) or gaps.min() >= least - 1e-9:
            break
        for i in np.flatnonzero(gaps < least):
            push = (least - (places[i + 1] - places[i])) / 2
            places[i], places[i + 1] = places[i] - push, places[i + 1] + push
    found = np.empty_like(places)
    found[order] = places
    return found.tolist()
