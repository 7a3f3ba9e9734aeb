"""The formats of annotations that are read in place: one door to a split of a data set, whatever its format."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detect.data.formats import coco, csv_boxes, tar_shards, voc, yolo
from detect.data.formats.reader import Reader
from detect.data.formats.remote import is_address
from detect.errors import UserError
from detect.files import cannot_read, hidden, name_problem, nearest_file, printable

if TYPE_CHECKING:
    from detect.config.schema import SetSettings

# By the names of data.format, in the order in which they are looked for. Each has `found(root)`, whether a file or
# folder looks like it; `places(data)`, {split: where it lies}; `open_place(data, place)`, the reader of such a place;
# `LOOKED_FOR`, words for the user.
FORMATS: dict[str, Any] = {
    "coco": coco,
    "yolo": yolo,
    "voc": voc,
    "csv": csv_boxes,
    "webdataset": tar_shards,
}

USUAL = ("train", "val", "test", "trainval")


def format_of(data: "SetSettings") -> str:
    """The name of the format that the data are in.

    Raises:
        UserError: there are no data, or they look like no format that is known.
    """
    if is_address(data.root):
        return "webdataset"
    root = Path(data.root)
    if not os.path.exists(root):
        hint = nearest_file(root) or "; lay the data out as data/README.md says, or set data.root"
        raise UserError(f"data.root: no such file or folder {printable(root)}{hint}")
    if data.format != "auto" or data.splits:
        return "coco" if data.splits else data.format
    with _told_by_name(root):
        for name, module in FORMATS.items():
            if module.found(root):
                return name
    looked = "; ".join(f"{name}: {module.LOOKED_FOR}" for name, module in FORMATS.items())
    raise UserError(f"{printable(root)}: holds no annotations that are known; looked for {looked} (data/README.md)")


def is_data_set(root: Path) -> bool:
    """Whether a file or folder looks like data in one of the formats.  Raises UserError: it cannot be looked into."""
    with _told_by_name(root):
        return os.path.exists(root) and any(module.found(root) for module in FORMATS.values())


def splits_of(data: "SetSettings") -> list[str]:
    """Names of the splits of the data: the usual ones, if there are any.  Raises UserError: there are no data."""
    names = list(_places(data, format_of(data)))
    return [name for name in names if name in USUAL or name in data.splits] or names


def has_split(data: "SetSettings", split: str) -> bool:
    """Whether the data have that split.  Raises UserError: there are no data."""
    return split in _places(data, format_of(data))


def open_split(data: "SetSettings", split: str) -> Reader:
    """The reader of a split of the data that `DataSettings` describe.

    Raises:
        UserError: there is no such split, or a file cannot be read.
    """
    name = format_of(data)
    module, root = FORMATS[name], Path(data.root)
    places = _places(data, name)
    if split not in places:
        if data.splits:
            hint = f"data.splits names {', '.join(data.splits)}"
        elif places:
            hint = f"there is {printable(', '.join(places))}"
        else:
            hint = f"looked for {module.LOOKED_FOR}"
        advice = "name others in data.splits" if name == "coco" else "`detect split` makes train and val"
        raise UserError(f"{printable(hidden(data.root))}: no split '{split}' ({name}); {hint}; {advice}")
    with _told_by_name(root):
        others = [other for other, its in FORMATS.items() if other != name and its.found(root)]
        reader: Reader = module.open_place(data, places[split])
    if others and data.format == "auto" and not data.splits:
        reader.notes.append(f"{root}: read as {name}, could be {' or '.join(others)} too; data.format says which")
    return reader


def _places(data: "SetSettings", name: str) -> dict[str, Any]:
    """{split: where it lies, as the format `name` knows it}.  Raises UserError."""
    with _told_by_name(Path(data.root)):
        places = dict(FORMATS[name].places(data))
    for split in places:  # which become names of folders where a set is written anew
        if name_problem(split) or split in (".", "..") or "\\" in split or Path(split).name != split:
            where = printable(hidden(data.root))
            raise UserError(f"{where}: '{printable(split)}' can be no split's name, as it is no name of a folder")
    return places


@contextmanager
def _told_by_name(root: Path) -> Iterator[None]:
    """Raise a `UserError` where a folder at or below `root` does not let us look into it."""
    try:
        yield
    except OSError as error:
        raise cannot_read(error.filename or root, error) from error
