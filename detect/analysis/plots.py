"""The CSPNet paper's Fig. 7 and Fig. 8, drawn from what our models count."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detect.analysis.paper import EFM_SAM, PRN, Published
from detect.analysis.profile import Profile, profile
from detect.errors import UserError
from detect.report.figures import BLUE, GREEN, RED, new_figure, write_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

YOLO = {"name": "TinyFPN", "widths": (128, 256), "joined": True}
FIG_7 = {
    "PeleeNet-YOLO": Published("", "", 416, {"name": "PeleeNet"}, "", YOLO, anchors="coco6_tiny"),
    "PeleeNet-PRN": Published("", "", 416, {"name": "PeleeNet"}, "", PRN, anchors="coco6_tiny"),
    "CSPPeleeNet-EFM": Published("", "", 416, {"name": "CSPPeleeNet"}, "", EFM_SAM),
}
FIG_8 = {name: Published("", "", 256, {"name": name}, "") for name in ("ResNeXt50", "CSPResNeXt50")}


def plot_figures(folder: str | Path) -> dict[str, Any]:
    """Draw fig_7.png and fig_8.png in `folder`, which is made if need be.

    Returns `files`, `bottlenecks` (BFLOPs of the largest layer by model), `reductions` (of CSPPeleeNet-EFM's largest
    layer against the others'), `cio` (elements by model) and `lines`, which say all that.

    Raises:
        UserError: matplotlib is not installed, or the files cannot be written.
    """
    counted_7, counted_8 = ({n: profile(m.model(), m.size) for n, m in models.items()} for models in (FIG_7, FIG_8))
    files = _write(folder, {"fig_7.png": figure_7(counted_7), "fig_8.png": figure_8(counted_8)})
    bottlenecks = {name: bottleneck(counted) for name, counted in counted_7.items()}
    cuts = reductions(bottlenecks)
    cio = {name: counted.cio for name, counted in counted_8.items()}
    lines = [f"largest layer of {name}: {bflops:.4f} BFLOPs" for name, bflops in bottlenecks.items()]
    lines += [f"CSPPeleeNet-EFM against {name}: {cut:+.0%}" for name, cut in cuts.items()]
    lines += [f"CIO of {name}: {value / 1e6:.1f} M (convolutions and poolings)" for name, value in cio.items()]
    return {"files": files, "bottlenecks": bottlenecks, "reductions": cuts, "cio": cio, "lines": [*lines, *files]}


def _write(folder: str | Path, figures: Mapping[str, "Figure"]) -> list[str]:
    """Write the figures by their file names, each whole or not at all; returns the paths.  Raises UserError."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: cannot be made ({error.strerror})", argument="plot") from error
    for name, figure in figures.items():
        write_figure(Path(folder, name), figure)
    return [str(Path(folder, name)) for name in figures]


def bottleneck(counted: Profile) -> float:
    """BFLOPs of the largest layer of a `Profile`."""
    return max(layer.bflops for layer in counted.layers)


def reductions(bottlenecks: Mapping[str, float]) -> dict[str, float]:
    """Relative change from each model's largest layer to the last model's."""
    *others, last = bottlenecks
    return {name: bottlenecks[last] / bottlenecks[name] - 1 for name in others}


def figure_7(profiles: Mapping[str, Profile]) -> "Figure":
    """BFLOPs per layer of named `Profile`s, the last of them compared with the others by their largest layers."""
    figure = new_figure(15, 5)
    axes = figure.add_subplot()
    colours = dict(zip(profiles, (GREEN, RED, BLUE), strict=True))
    longest = max(len(counted.layers) for counted in profiles.values())
    for number, (name, counted) in enumerate(profiles.items()):
        places = [layer + (number - 1) * 0.3 for layer in range(len(counted.layers))]
        label = f"{name}: {counted.bflops:.2f} BFLOPs in {len(counted.layers)} layers"
        axes.bar(places, [layer.bflops for layer in counted.layers], width=0.3, color=colours[name], label=label)
        axes.axhline(bottleneck(counted), color=colours[name], linestyle="--", linewidth=1.5)
    _mark_reductions(axes, profiles, colours, longest)
    size = next(iter(profiles.values())).size
    axes.set_title(f"Computation of each layer, input {size}x{size} px (Fig. 7 of arXiv 1911.11929)")
    axes.set_xlabel("layer, in the order of execution")
    axes.set_ylabel("BFLOPs")
    axes.set_xlim(-2, longest + 1)
    axes.set_ylim(0, 1.08 * max(map(bottleneck, profiles.values())))
    axes.legend(loc="upper left", bbox_to_anchor=(0.01, 0.94), frameon=False)
    return figure


def _mark_reductions(axes: "Axes", profiles: Mapping[str, Profile], colours: Mapping[str, str], longest: int) -> None:
    """An arrow from each largest layer to the last model's, with the relative change; `longest`: layers on the axis."""
    lowest = bottleneck(profiles[list(profiles)[-1]])
    cuts = reductions({name: bottleneck(counted) for name, counted in profiles.items()})
    for number, (name, cut) in enumerate(cuts.items()):
        place, top = longest * (0.62 - 0.17 * number), bottleneck(profiles[name])
        arrow = {"arrowstyle": "-|>", "color": colours[name], "linewidth": 2, "shrinkA": 0, "shrinkB": 0}
        axes.annotate("", xy=(place, lowest), xytext=(place, top), arrowprops=arrow)
        middle = (top + lowest) / 2
        axes.text(place + 1, middle, f"{cut:+.0%}", color=colours[name], fontsize=15, weight="bold", va="center")


def figure_8(profiles: Mapping[str, Profile]) -> "Figure":
    """Elements read and written per layer of two named `Profile`s: their convolutions and poolings."""
    figure = new_figure(13, 8)
    panels = figure.subplots(2, 1, sharex=True)
    for axes, what in zip(panels, ("input", "output"), strict=True):
        for number, (name, counted) in enumerate(profiles.items()):
            layers = [layer for layer in counted.layers if layer.cio]
            sizes = [math.prod(getattr(layer, what)) for layer in layers]
            places = [layer + (0.5 - number) * 0.4 for layer in range(len(layers))]
            label = f"{name}: {sum(sizes) / 1e6:.2f} M in all, CIO {counted.cio / 1e6:.1f} M"
            axes.bar(places, [size / 1e6 for size in sizes], width=0.4, color=(GREEN, BLUE)[number], label=label)
        axes.set_ylabel(f"{what} size (million elements)")
        axes.legend(frameon=False)
    size = next(iter(profiles.values())).size
    panels[0].set_title(f"Memory traffic of each layer, input {size}x{size} px (Fig. 8 of arXiv 1911.11929)")
    panels[1].set_xlabel("layer: convolutions and poolings, in the order of execution")
    return figure
