"""The trap of yolov3-tiny: its published weights were trained with other anchors than its common .cfg gives them.

The last [yolo] of the common yolov3-tiny.cfg says mask = 0,1,2; with the 1,2,3 that the weights fit, AP on the 384
photos of coco3k val is 0.165 instead of 0.098. Only the published file is corrected, known by its SHA-256, wherever it
comes from: weights that somebody trained on with the common .cfg fit that .cfg.
"""

import os
from pathlib import Path

from detect.darknet.cfg import Cfg, Section, parse
from detect.weights import zoo
from detect.weights.fetch import sha256_of


def with_trained_mask(cfg: Cfg, weights: str | os.PathLike[str]) -> Cfg:
    """`cfg` with the mask that `weights` were trained with, and a note; as it is where nothing is known against it."""
    found = _wrong_mask(cfg, weights)
    if not found:
        return cfg
    head, classic, trained = found
    lines = cfg.text.split("\n")
    lines[head.lines["mask"] - 1] = f"mask={_text(trained)}"
    corrected = parse("\n".join(lines), cfg.source)
    note = f"{_sentence(head, classic, trained)}, and that is taken"
    return Cfg(corrected.text, cfg.source, corrected.net, corrected.layers, (*corrected.notes, note))


def mask_warning(cfg: Cfg, weights: str | os.PathLike[str]) -> str:
    """A sentence where `weights`, just read into the network of `cfg`, were trained with another mask, else nothing."""
    found = _wrong_mask(cfg, weights)
    return f"{_sentence(*found)}; write that there" if found else ""


def _wrong_mask(cfg: Cfg, weights: str | os.PathLike[str]) -> tuple[Section, zoo.Classic, tuple[int, ...]] | None:
    """(the [yolo], what the weights are, the mask they were trained with) where the .cfg has the known wrong one."""
    heads = [section for section in cfg.layers if section.type == "yolo" and "mask" in section.lines]
    for classic in zoo.CLASSICS if heads else ():
        if classic.mask is None or tuple(heads[-1]["mask"] or ()) != classic.mask[0]:
            continue
        if Path(weights).stat().st_size == classic.weights.bytes and sha256_of(weights) == classic.weights.sha256:
            return heads[-1], classic, classic.mask[1]
    return None


def _sentence(head: Section, classic: zoo.Classic, trained: tuple[int, ...]) -> str:
    where = f"{head.source}:{head.lines['mask']}"
    return f"{where}: mask={_text(head['mask'])}, but {classic.name}'s weights were trained with {_text(trained)}"


def _text(mask: tuple[int, ...]) -> str:
    return ",".join(map(str, mask))
