"""A configuration file with other anchors: what it is based on, the anchors, and which data they are from."""

import os
from collections.abc import Sequence
from os import PathLike
from pathlib import Path

import yaml

from detect import config
from detect.config.schema import DarknetSettings, Settings
from detect.doctor.anchors import NEAR, Fit
from detect.errors import UserError
from detect.files import printable, write_text

AnyPath = str | PathLike[str]


def described(boxes: int, source: AnyPath, size: int, fit: Fit, own: Fit | None, configuration: AnyPath | None) -> str:
    """The fit in a sentence, beside that of the configuration's anchors."""
    before = f"; those of {printable(configuration)}: {_numbers(own)}" if own else ""
    return f"anchors fitted to {boxes:,} boxes of {printable(source)} at {size} px: {_numbers(fit)}{before}"


def _numbers(fit: Fit) -> str:
    return f"mean best IoU {fit.mean_iou:.3f}, {fit.recall:.1%} of the boxes at {NEAR:g} or more"


def write(
    path: AnyPath,
    configuration: AnyPath,
    data: AnyPath,
    anchors: Sequence[Sequence[Sequence[int]]],
    size: int,
    scales: int,
    comment: str,
) -> None:
    """Write `configuration` with these anchors, input size and data as the new file `path`.

    A configuration without a parent becomes the parent; one that has a parent itself is written out whole.

    Args:
        anchors: [width, height] in px, scale by scale;  scales: how many the configuration's head has.

    Raises:
        UserError: it is there already, cannot be written, or the configuration cannot take the anchors.
    """
    if os.path.lexists(path):
        raise UserError(f"{printable(path)}: is there already; name a new file", argument="write")
    if len(anchors) != scales:
        raise UserError(f"{printable(configuration)}: has {scales} scales, not {len(anchors)}", argument="scales")
    settings = config.load(configuration, needs_data=False, training=False)
    if isinstance(settings, DarknetSettings):
        raise UserError(f"{printable(configuration)}: has its anchors in its [yolo] layers; change anchors= there")
    folder = Path(path).absolute().parent
    place = config.in_one_line(os.path.relpath(data, folder))
    if _has_parent(configuration):
        text = _whole(settings, anchors, size, place)
    else:
        base = config.in_one_line(os.path.relpath(configuration, folder))
        rows = "\n".join(f"      - {row}" for row in anchors)
        text = f"base: {base}\nmodel:\n  head:\n    anchors:\n{rows}\ninput: {{size: {size}}}\ndata: {place}\n"
    write_text(path, f"# {comment}\n{text}")


def _has_parent(configuration: AnyPath) -> bool:
    return "base" in yaml.safe_load(Path(configuration).read_text(encoding="utf-8"))


def _whole(settings: Settings, anchors: Sequence[Sequence[Sequence[int]]], size: int, data: str) -> str:
    """All the settings as YAML, with other anchors, input size and data."""
    settings.model.head["anchors"] = [[list(pair) for pair in scale] for scale in anchors]
    settings.input.size = size
    settings.data = None
    return config.dump(settings).replace("\ndata: null\n", f"\ndata: {data}\n")
