"""Darknet's .names files: one class name a line."""

from collections import Counter
from os import PathLike
from pathlib import Path

from detect.errors import UserError
from detect.files import printable, read_bounded, wrong_characters

MAX_BYTES = 1 << 20
# what Darknet's lists say, and what COCO's annotations say
COCO = {
    "motorbike": "motorcycle",
    "aeroplane": "airplane",
    "sofa": "couch",
    "pottedplant": "potted plant",
    "diningtable": "dining table",
    "tvmonitor": "tv",
}


def modern(name: str) -> str:
    """The class name as COCO's annotations have it, where Darknet's lists have an older one."""
    return COCO.get(name, name)


def read_names(path: str | PathLike[str], count: int) -> list[str]:
    """The `count` names in the file; those of Darknet's coco.names as COCO's annotations have them.

    Raises:
        UserError: the file cannot be read or holds another number of names.
    """
    lines = [line.strip(" \t\r") for line in _read_text(Path(path)).split("\n")]
    names = [line for line in lines if line]
    for name in filter(wrong_characters, names):
        raise UserError(f"{printable(path)}: '{printable(name[:60])}' {wrong_characters(name)}; take them out")
    if len(names) != count:
        raise UserError(f"{printable(path)}: holds {len(names)} names, but the .cfg has {count} classes")
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise UserError(f"{printable(path)}: '{twice[0]}' is listed twice; give every class a name of its own")
    if count == 80 and COCO.keys() <= set(names):
        return [modern(name) for name in names]
    return names


def _read_text(path: Path) -> str:
    content = read_bounded(path, MAX_BYTES, "is this a list of class names?")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{printable(path)}: is no UTF-8 text; write one class name a line") from error
