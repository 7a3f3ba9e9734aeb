"""results.png: how a training goes, drawn of the rows of its results.csv."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from detect.report.figures import BLUE, FAINT, GREEN, INK, RED, new_figure, plain, spread_out

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Row = Mapping[str, Any]
COLUMNS = 3  # panels beside each other


def results_figure(history: Sequence[Row], terms: Sequence[str], metrics: Sequence[str]) -> "Figure":
    """A panel for each term of the loss, one for the learning rate and one for the metrics, over the steps.

    Args:
        history: rows of results.csv, one at least; each has "step", "epoch" and "lr".
        terms: names of the loss terms.
        metrics: names of what is evaluated; the first decides which step was the best. A row may lack them.
    """
    history = [{name: value for name, value in row.items() if math.isfinite(value)} for row in history]
    evaluated = [row for row in history if row.get(metrics[0], -1) >= 0]  # -1: nothing is annotated
    count = len(terms) + 1 + bool(evaluated)
    rows = math.ceil(count / COLUMNS)
    figure = new_figure(11, 2.6 * rows + 0.4)
    panels = figure.subplots(rows, min(COLUMNS, count), squeeze=False).flat
    if evaluated:
        _draw_metrics(next(panels), evaluated, metrics)
    for term in terms:
        axes = plain(next(panels), f"loss: {term}")
        _line(axes, history, term, BLUE)
        _end_label(axes, history[-1], term)
        axes.set_ylim(bottom=0)
    rate = plain(next(panels), "learning rate")
    _line(rate, history, "lr", FAINT)
    rate.set_ylim(bottom=0)
    for axes in panels:
        axes.set_axis_off()
    last = history[-1]
    figure.suptitle(f"{last['step']} steps, {last['epoch']} epochs", x=0.01, ha="left", fontsize=9, color=FAINT)
    for axes in figure.axes:
        _steps_below(axes, last["step"])
    return figure


def _line(axes: "Axes", rows: Sequence[Row], name: str, colour: str) -> None:
    """The values of one column over the steps; single ones are dots."""
    points = [(row["step"], row[name]) for row in rows if "step" in row and name in row]
    marker = "o" if len(points) < 30 else None
    axes.plot(*np.array(points, dtype=float).reshape(-1, 2).T, color=colour, marker=marker, markersize=3, clip_on=False)


def _end_label(axes: "Axes", row: Row, name: str) -> None:
    if name in row:
        place = {"xytext": (4, 0), "textcoords": "offset points", "va": "center", "fontsize": 8, "color": INK}
        axes.annotate(f"{row[name]:.3g}", (row["step"], row[name]), annotation_clip=False, **place)


def _draw_metrics(axes: "Axes", rows: Sequence[Row], metrics: Sequence[str]) -> None:
    """The metrics, each named at its end, and the best of the first one."""
    best = max(reversed(rows), key=lambda row: row[metrics[0]])  # of equals the last, as best.pt
    metrics = [name for name in metrics if name in rows[-1]]
    plain(axes, f"best {metrics[0]} {best[metrics[0]]:.3f} at step {best['step']}")
    colours = dict(zip(metrics, (RED, GREEN, BLUE), strict=False))
    for name, colour in colours.items():
        _line(axes, rows, name, colour)
    ring = {"marker": "o", "markersize": 8, "markerfacecolor": "none", "clip_on": False}
    axes.plot([best["step"]], [best[metrics[0]]], color=colours[metrics[0]], **ring)
    top = max([0.1, *(row[name] for row in rows for name in metrics)])
    axes.set_ylim(0, 1.05 * top)
    ends = [max(rows[-1][name], 0.0) for name in metrics]
    for name, value, place in zip(metrics, ends, spread_out(ends, top * 0.11), strict=True):
        label = {"xytext": (rows[-1]["step"], place), "va": "center", "fontsize": 8, "color": colours[name]}
        axes.annotate(f"  {name} {value:.3f}", (rows[-1]["step"], value), annotation_clip=False, **label)


def _steps_below(axes: "Axes", steps: int) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_xlim(0, max(steps, 1))
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
