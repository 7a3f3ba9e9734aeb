"""A data set examined before it is trained on: `check`; and anchors that fit it: `anchors`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from detect import config
from detect.api.load import AnyPath, load_weights
from detect.api.say import Say, quiet
from detect.config.build import build_network
from detect.config.schema import Settings
from detect.doctor import anchor_file
from detect.doctor.anchors import fit_of, fitted
from detect.doctor.boxes import input_sides
from detect.doctor.examine import examine, read_set
from detect.doctor.fix import write_copy
from detect.doctor.page import page
from detect.doctor.table import as_values, lines
from detect.errors import UserError
from detect.files import printable, write_text

if TYPE_CHECKING:
    from detect.models.heads.yolo import YOLOv3

COUNT, SIZE, SCALES = 9, 416, 3  # of anchors, where nothing else is said


def check(
    data: AnyPath,
    *,
    configuration: AnyPath | None = None,
    weights: AnyPath | None = None,
    quick: bool = False,
    html: AnyPath | None = None,
    fix: AnyPath | None = None,
    log: Say = quiet,
) -> dict[str, Any]:
    """Examine a data set: its annotations, its images, its classes, its splits, and its boxes beside a model's anchors.

    Args:
        data: a data folder or data YAML.
        configuration: a YAML or .cfg file, or
        weights: as in `load`, whose input size and anchors the boxes are compared with; without either they are not.
        quick: look at the headers of the images only, as every training does; copies among them are found across
            splits only.
        html: file for a page with the findings, thumbnails of the examples in it.
        fix: new folder for a cleaned copy as COCO JSON, which links to the images; the data themselves stay as they
            are.
        log: called with each line of the report.

    Returns:
        {"splits": by name the source, numbers of images and objects, and objects by class; "errors": number of findings
        that make a training useless; "findings": the worst first, each with id, severity, count, says, advice and up to
        three examples (file, where, text); "fixed": what was changed in the copy, a sentence each, or None}

    Raises:
        UserError: there is no such data, a file cannot be read at all, or one cannot be written.
    """
    head, size = _head_of(configuration, weights)
    described = read_set(config.read_data(data), np.array(head.all_anchors) if head else None, size)
    findings = examine(described, not quick)
    for line in lines(described, findings):
        log(line)
    if html:
        write_text(html, page(described, findings, f"Check of {Path(data).name}"))
        log(f"with images: {printable(html)}")
    changes = write_copy(described, fix) if fix else []
    if fix:
        log(f"cleaned copy in {printable(fix)}: {'changed is' if changes else 'nothing had to be changed'}")
    for change in changes:
        log(f"  {change}")
    return as_values(described, findings) | {"fixed": [str(change) for change in changes] if fix else None}


def anchors(
    data: AnyPath,
    *,
    configuration: AnyPath | None = None,
    count: int | None = None,
    scales: int | None = None,
    size: int | None = None,
    write: AnyPath | None = None,
    seed: int = 0,
    log: Say = quiet,
) -> dict[str, Any]:
    """Fit anchors to the boxes of a set's split train, by k-means on their IoU.

    Args:
        data: a data folder or data YAML.
        configuration: a YAML or .cfg file whose anchors are measured beside them, and whose numbers are the defaults.
        count, scales: of anchors in all, and of detection scales that share them; 9 and 3 by default.
        size: side of the network's input, px; 416 by default.
        write: new YAML file, `configuration` with these anchors and this data.
        seed: of the first centres.
        log: called with each line of the report.

    Returns:
        {"anchors": [width, height] in px of the input, scale by scale from small to large; "size"; "boxes": their
        number; "mean_iou": of the boxes with their best anchor, "recall": share of the boxes with one of IoU 0.5 or
        more; "configured": {"mean_iou", "recall"} of the configuration's anchors, or None; "file": what was written}

    Raises:
        UserError: the data cannot be used, has too few different boxes, or the file cannot be written.
    """
    head, configured_size = _head_of(configuration, None)
    size = size or configured_size or SIZE
    scales = scales or (len(head.anchors) if head else SCALES)
    count = count or (sum(map(len, head.anchors)) if head else COUNT)
    if count % scales:
        raise UserError(f"{count} anchors cannot be shared by {scales} scales evenly; take a multiple", "count")
    split = read_set(config.read_data(data)).split("train")
    sides = input_sides(split, size) if split else np.zeros((0, 2))
    sides = sides[(sides > 0).all(axis=1)]
    if len(np.unique(sides, axis=0)) < count:
        faults = [fault for kind in split.faults.values() for fault in kind.first] if split else []
        why = f" ({split.reader.message(faults[0])})" if split and faults else ""
        raise UserError(f"{printable(data)}: split train has fewer than {count} different boxes to fit anchors to{why}")
    found = np.maximum(np.rint(fitted(sides, count, seed)), 1)
    fit, own = fit_of(sides, found), fit_of(sides, np.array(head.all_anchors)) if head else None
    per_scale = found.astype(int).reshape(scales, -1, 2).tolist()
    told = anchor_file.described(len(sides), split.source if split else data, size, fit, own, configuration)
    log(f"{told}\nanchors: {per_scale}")
    if write:
        if configuration is None or head is None:
            raise UserError("name the configuration that gets the anchors", argument="config")
        anchor_file.write(write, configuration, data, per_scale, size, len(head.anchors), told)
        log(f"written: {printable(write)}")
    return {
        "anchors": per_scale,
        "size": size,
        "boxes": len(sides),
        **fit._asdict(),
        "configured": own._asdict() if own else None,
        "file": str(write) if write else None,
    }


def _head_of(configuration: AnyPath | None, weights: AnyPath | None) -> "tuple[YOLOv3 | None, int | None]":
    """(the head with its anchors, the input's side in px) of a configuration or of weights; None of neither."""
    if configuration and weights:
        raise UserError("give a configuration or weights, not both")
    if weights:
        loaded = load_weights(weights)
        return loaded.network.head, loaded.settings.input.size  # type: ignore[return-value]
    if configuration:
        settings: Settings = config.load(configuration, needs_data=False, training=False)
        with torch.device("meta"):
            return build_network(settings, num_classes=1).head, settings.input.size  # type: ignore[return-value]
    return None, None
