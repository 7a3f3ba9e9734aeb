"""labels.png: what a data set's boxes are like, so that a strange set is seen before hours are spent on it."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from detect.data.detection import DetectionData
from detect.files import printable
from detect.report.figures import BLUE, FAINT, INK, RED, new_figure, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAMED = 80  # classes with a bar of their own
ASPECTS = (1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8)
CELLS = 40  # of the map of places, along each side


class Boxes(NamedTuple):
    """The n objects of a set; ignore regions are left out."""

    labels: np.ndarray  # int64 [n]
    sizes: np.ndarray  # float64 [n, 2], width and height in px of the letterboxed image
    centres: np.ndarray  # float64 [n, 2], x and y as shares 0..1 of the image


def boxes_of(images: DetectionData, size: int) -> Boxes:
    """The objects as the network sees them, in a square of `size` px."""
    table = images.images
    chosen = table.weights > 0
    owner = np.repeat(np.arange(len(table)), np.diff(table.starts))[chosen]
    boxes, sides = table.boxes[chosen].astype(np.float64), table.sizes[owner].astype(np.float64)
    sizes = (boxes[:, 2:] - boxes[:, :2]) * size / sides.max(axis=1, keepdims=True)
    return Boxes(table.labels[chosen], sizes, (boxes[:, 2:] + boxes[:, :2]) / 2 / sides)


def labels_figure(train: DetectionData, val: DetectionData | None, size: int) -> "Figure":
    """Objects by class (train, and val as dots), and the sizes, aspects and places of train's.

    Args:
        val: the set that is evaluated, with the same class names in any order, or None.
        size: side of the network's input, px.
    """
    boxes = boxes_of(train, size)
    names = [category["name"] for category in train.categories]
    shown = min(len(names), NAMED + 1)
    figure = new_figure(12 if shown <= 40 else 10, max(5.5, 0.15 * shown + 1))
    left, right = figure.subfigures(1, 2, width_ratios=(1, 1.25))
    counts = np.bincount(boxes.labels, minlength=len(names))
    _draw_classes(left.subplots(), names, counts, _counts_by_name(val, names) if val else None)
    panels = right.subplots(*((4, 1) if shown > 40 else (2, 2))).flat  # beside a long list, below each other
    _draw_sizes(next(panels), boxes.sizes, size)
    _draw_relative(next(panels), boxes.sizes, size)
    _draw_aspects(next(panels), boxes.sizes)
    _draw_places(next(panels), boxes.centres)
    return figure


def _counts_by_name(images: DetectionData, names: list[str]) -> np.ndarray:
    """Objects [K] of the classes of these names."""
    table, categories = images.images, [category["name"] for category in images.categories]
    counts = table.class_counts(len(categories)).tolist()
    by_name = dict(zip(categories, counts, strict=True))
    return np.array([by_name.get(name, 0) for name in names])


def _draw_classes(axes: "Axes", names: list[str], counts: np.ndarray, val_counts: np.ndarray | None) -> None:
    """A bar for each class, the largest on top; of very many, the rarest are those that are left out last."""
    order = np.argsort(-counts, kind="stable")
    left_out = len(order) - NAMED
    if left_out > 0:
        order = np.concatenate([order[: NAMED // 2], order[-(NAMED // 2) :]])
    more = f", {left_out} in the middle not shown" if left_out > 0 else ""
    plain(axes, f"{counts.sum():,} objects of {len(names)} classes{more}", grid="x")
    places = np.arange(len(order))
    axes.barh(places, counts[order], height=0.7, color=BLUE)
    small = {"fontsize": 8 if len(order) <= 40 else 6.5, "va": "center"}
    for place, count in zip(places, counts[order].tolist(), strict=True):
        axes.text(count, place, f" {count:,}", color=INK if count else RED, **small)
    if val_counts is not None:
        axes.plot(val_counts[order], places, "o", color=RED, markersize=3.5, label="of split val")
        axes.legend(frameon=False, fontsize=8, loc="lower right")
    axes.set_yticks(places, [_short(names[label]) for label in order], fontsize=small["fontsize"])
    axes.set_ylim(max(len(order), 8) - 0.4, -0.6)
    axes.set_xlim(0, max(1, counts.max(initial=0)) * 1.12)
    if counts.max(initial=0) > 50 * max(np.median(counts), 1):
        axes.set_xscale("symlog", linthresh=10)
        axes.set_xlim(0, counts.max() * 2)
        axes.set_xlabel("logarithmic", fontsize=8, color=FAINT)


def _short(name: str) -> str:
    """A class name that a bar's label has room for; dollars are no formulas."""
    name = printable(name)
    return (name if len(name) <= 22 else name[:21] + "…").replace("$", r"\$")


def _draw_sizes(axes: "Axes", sizes: np.ndarray, size: int) -> None:
    plain(axes, f"width x height, px at {size}", grid="both")
    axes.hist2d(*sizes.clip(0, size).T, bins=np.linspace(0, size, CELLS + 1), cmap=_blues(), cmin=1, norm=_log(sizes))
    axes.set_aspect("equal")
    axes.set_xlabel("width", fontsize=8, color=FAINT)
    axes.set_ylabel("height", fontsize=8, color=FAINT)


def _draw_relative(axes: "Axes", sizes: np.ndarray, size: int) -> None:
    plain(axes, f"size: √(width x height), px at {size}")
    edges = 2.0 ** np.arange(1, np.log2(size) + 0.5, 0.5)
    axes.hist(np.sqrt(sizes.prod(axis=1)).clip(edges[0], edges[-1]), bins=edges, color=BLUE, rwidth=0.9)
    axes.set_xscale("log", base=2)
    ticks = [tick for tick in (4, 8, 16, 32, 64, 128, 256, 512, 1024) if tick <= size]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])


def _draw_aspects(axes: "Axes", sizes: np.ndarray) -> None:
    plain(axes, "aspect: width / height")
    aspects = sizes[:, 0] / np.maximum(sizes[:, 1], 1e-6)
    edges = 2.0 ** np.arange(-3, 3.01, 0.25)
    axes.hist(aspects.clip(edges[0], edges[-1]), bins=edges, color=BLUE, rwidth=0.9)
    axes.set_xscale("log", base=2)
    axes.set_xticks(ASPECTS, [f"1:{round(1 / a)}" if a < 1 else f"{a}:1" for a in ASPECTS])


def _draw_places(axes: "Axes", centres: np.ndarray) -> None:
    plain(axes, "places: centres in the image", grid="both")
    axes.hist2d(*centres.clip(0, 1).T, bins=np.linspace(0, 1, CELLS + 1), cmap=_blues(), cmin=1, norm=_log(centres))
    axes.set_ylim(1, 0)
    axes.set_aspect("equal")
    axes.set_xticks([0, 0.5, 1], ["left", "", "right"])
    axes.set_yticks([0, 0.5, 1], ["top", "", "bottom"])


def _blues():
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("blues", ["#c9d6f2", BLUE, "#0b1f4f"])


def _log(values: np.ndarray):
    """Many and few both show."""
    from matplotlib.colors import LogNorm

    return LogNorm(1, max(len(values) / 20, 2))
