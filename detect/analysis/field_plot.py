"""Fields of view as an image: a row per detector, a column per stride."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch.nn.functional as F

from detect.analysis.field_of_view import Field, Measured
from detect.errors import UserError
from detect.report.figures import new_figure, write_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage
    from matplotlib.lines import Line2D
    from matplotlib.patches import Rectangle

PANEL = 3.3  # inches
SMOOTH = 5  # px of the input that a pixel of the image is the mean of, on each side
DARKEST = 1e-3  # share of the largest gradient
ANCHORS, HALF, MOST = "#4fd1ff", "#ffffff", "#ffd23f"


def check_plot(path: str | Path) -> None:
    """Raise UserError unless an image can be drawn and `path` is a PNG file's; to be asked before long work."""
    if Path(path).suffix.lower() != ".png":
        raise UserError(f"{path}: must end in .png", argument="plot")
    if not Path(path).absolute().parent.is_dir():
        raise UserError(f"{path}: its folder is not there; make it first", argument="plot")
    new_figure(1, 1)


def plot_fields(path: str | Path, detectors: Sequence[Measured]) -> None:
    """Write the image of `Measured` detectors to the PNG file `path`.  Raises UserError."""
    write_figure(path, fields_figure(detectors))


def fields_figure(detectors: Sequence[Measured]) -> "Figure":
    """Each field as a heat map around its cell's centre, with the anchors and the squares that hold 50% and 95% of it.

    The panels of a column show the same px, so that detectors can be compared; grey is outside of the input.
    """
    fields = [field for measured in detectors for field in measured.fields]
    strides = sorted({field.stride for field in fields})
    figure = new_figure(PANEL * len(strides) + 1, PANEL * len(detectors) + 1)
    panels = figure.subplots(len(detectors), len(strides), squeeze=False)
    for axes in panels.flat:
        axes.set_visible(False)
    half = {stride: max(_reach(field) for field in fields if field.stride == stride) / 2 for stride in strides}
    for row, measured in zip(panels, detectors, strict=True):
        for number, field in enumerate(measured.fields):
            axes = row[strides.index(field.stride)]
            image = _draw(axes, field, half[field.stride])
            if number == 0:
                axes.set_ylabel(f"{measured.name}\n{measured.weights} weights, {measured.size} px", fontsize=10)
    figure.colorbar(image, ax=panels, shrink=0.6, aspect=40, label="mean |gradient|, share of its maximum")
    figure.legend(handles=_handles(), loc="outside lower center", ncols=3, facecolor="#555555", labelcolor="white")
    figure.suptitle("What the centre cell of each detection scale sees (axes: px from its centre)", fontsize=12)
    return figure


def _reach(field: Field) -> float:
    """px that a panel must show at least."""
    return 1.06 * max(field.side(0.95), *(side for anchor in field.anchors for side in anchor))


def _draw(axes: "Axes", field: Field, half: float) -> "AxesImage":
    """One panel, from -half to half px around the cell's centre; returns the image."""
    from matplotlib.colors import LogNorm

    height, width = field.gradient.shape
    x, y = field.centre
    heat = F.avg_pool2d(field.gradient[None], SMOOTH, 1, SMOOTH // 2, count_include_pad=False)[0]
    heat = (heat / heat.max()).clamp(min=DARKEST)
    image = axes.imshow(heat.numpy(), cmap="inferno", norm=LogNorm(DARKEST, 1), extent=(-x, width - x, height - y, -y))
    for box_width, box_height in field.anchors:
        axes.add_patch(_box(box_width, box_height, ANCHORS))
    for share, colour, style in ((0.5, HALF, "--"), (0.95, MOST, "-")):
        axes.add_patch(_box(field.side(share), field.side(share), colour, style))
    axes.set(visible=True, xlim=(-half, half), ylim=(half, -half), facecolor="#bbbbbb")
    axes.tick_params(labelsize=8)
    sizes = f"50%: {field.side(0.5)} px, 95%: {field.side(0.95)} px"
    axes.set_title(f"stride {field.stride}, anchors about {field.anchor_side:.0f} px\n{sizes}", fontsize=9)
    return image


def _box(width: float, height: float, colour: str, style: str = "-") -> "Rectangle":
    """The outline of a box around the origin."""
    from matplotlib.patches import Rectangle

    return Rectangle((-width / 2, -height / 2), width, height, fill=False, edgecolor=colour, linestyle=style, lw=1.4)


def _handles() -> list["Line2D"]:
    """The legend's lines."""
    from matplotlib.lines import Line2D

    lines = ((ANCHORS, "-", "anchors"), (HALF, "--", "50% of the gradient"), (MOST, "-", "95% of the gradient"))
    return [Line2D([], [], color=colour, linestyle=style, label=label) for colour, style, label in lines]
