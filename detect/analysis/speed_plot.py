"""AP against milliseconds, drawn of what `detect.analysis.benchmark` measured."""

import itertools
from pathlib import Path
from typing import Any

from detect.analysis.machine import described
from detect.report.figures import BLUE, GREEN, RED, new_figure, write_figure

COLOURS = (BLUE, RED, GREEN, "#8a4fbf", "#c78a1e")


def plot_speed(path: str | Path, result: dict[str, Any]) -> None:
    """Draw the rows that have an AP, numbered, a colour for each data set; beside stand all rows by their numbers.

    Raises:
        UserError: matplotlib is not installed, or the file cannot be written.
    """
    figure = new_figure(12, 6)
    axes, beside = figure.subplots(1, 2, width_ratios=(3, 2))
    rows = list(enumerate(result["rows"], start=1))
    with_ap = [(number, row) for number, row in rows if row["ap"] is not None]
    for colour, data in zip(itertools.cycle(COLOURS), dict.fromkeys(row["ap_on"] for _, row in with_ap), strict=False):
        points = [(number, row["p50_ms"], row["ap"]) for number, row in with_ap if row["ap_on"] == data]
        _, times, aps = zip(*points, strict=True)
        axes.scatter(times, aps, color=colour, label=f"AP on {data}")
        for number, ms, ap in points:
            axes.annotate(str(number), (ms, ap), xytext=(5, 4), textcoords="offset points")
    if with_ap:
        axes.legend(frameon=False)
    axes.set_xlabel("median ms of an image, the network alone")
    axes.set_ylabel("AP that the models' cards give")
    axes.set_xlim(left=0)
    axes.grid(alpha=0.3)
    beside.set_axis_off()
    beside.text(0, 1, "\n".join(_line(number, row) for number, row in rows), verticalalignment="top", fontsize=8)
    figure.suptitle(described(result["machine"]), fontsize=7)
    write_figure(path, figure)


def _line(number: int, row: dict[str, Any]) -> str:
    ap = "no AP" if row["ap"] is None else f"AP {row['ap']:.1f}"
    about = f"{row['model']}, {row['size']} px, {row['engine']} {row['precision']}"
    return f"{number}  {about}: {row['p50_ms']:.1f} ms, {ap}"
