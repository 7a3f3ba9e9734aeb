"""A data set written anew in another format, or divided anew into splits."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from detect.data.formats.opening import format_of, open_split, splits_of
from detect.data.formats.reader import Reader
from detect.data.near_duplicates import groups_of, look_at, near_duplicates
from detect.data.writing.set_writers import SetWriter, new_set
from detect.data.writing.writers import WRITERS
from detect.errors import UserError

if TYPE_CHECKING:
    from detect.config.schema import SetSettings

FAR = 0.1  # from the share of val that was asked for: worth a word


def convert(data: "SetSettings", to: str, out: Path, copy: bool = False) -> dict[str, Any]:
    """Write all splits of a data set in the format `to` as the new folder `out`, whole or not at all.

    Boxes stay as they are, bad ones too. What the format cannot hold is left out and told
    (`detect.data.writing.set_writers`). Images are hard links where the disk allows it, else copies.

    Args:
        to: a key of `WRITERS`.
        out: must not be there yet, or be an empty folder.
        copy: copy all images.

    Returns:
        "folder", "format", "images" and "boxes": their numbers, "splits": {name: number of images}, "notes": what is
        not as it was.

    Raises:
        UserError: annotations or images cannot be used, or `out` is there already or cannot be written.
    """
    readers = {split: read(data, split) for split in splits_of(data)}
    with new_set(out) as folder:
        writer = WRITERS[to](folder, data.pseudo.learn, data.pseudo.ignore, copy)
        for split, reader in readers.items():
            writer.add(split, reader)
        writer.finish()
    return _summary(writer, out, list(readers.values()))


def divide(
    data: "SetSettings", out: Path, val: float = 0.2, to: str | None = None, copy: bool = False
) -> dict[str, Any]:
    """Write a data set as the new folder `out` with its images divided anew into train and val.

    A hash of its file's name says where an image goes, so that it stays there when others are added; images that look
    the same go where the first of them by name goes. A split `test` stays as it is.

    Args:
        val: share of the images that are to be val, from 0 to 1; with few images it comes out otherwise.
        to: a key of `WRITERS`; the format of the data by default, COCO for a CSV.
        out, copy: as of `convert`.

    Returns:
        As `convert`, and "near_duplicates": number of images that went where one that looks the same went.

    Raises:
        UserError: as `convert`, or a split would be empty.
    """
    names = splits_of(data)
    readers = {name: read(data, name) for name in names}
    pool, indices = _pool({name: reader for name, reader in readers.items() if name != "test"})
    group = groups_of(len(pool), near_duplicates(look_at(pool)))
    is_val = to_val(pool, group, val)
    if is_val.all() or not is_val.any():
        empty = "train" if is_val.any() else "val"
        raise UserError(f"{data.root}: none of its {len(pool)} images would be in {empty}; choose another share")
    wanted = to or format_of(data)
    with new_set(out) as folder:
        writer = WRITERS[wanted if wanted in WRITERS else "coco"](folder, data.pseudo.learn, data.pseudo.ignore, copy)
        for split, chosen in (("train", ~is_val), ("val", is_val)):
            for name, (start, rows) in indices.items():
                writer.add(split, readers[name], rows[chosen[start : start + len(rows)]].tolist())
        if "test" in readers:
            writer.add("test", readers["test"])
        writer.finish()
    result = _summary(writer, out, list(readers.values()))
    if abs(is_val.mean() - val) > FAR:
        got = f"{is_val.mean():.0%} of the images instead of {val:.0%}"
        result["notes"].append(f"val has {got}, as they are few or many look the same")
    return result | {"near_duplicates": int(len(pool) - len(np.unique(group)))}


def _pool(readers: dict[str, Reader]) -> tuple[list[str], dict[str, tuple[int, np.ndarray]]]:
    """(paths of all images, {split: (place of its first in them, its indices [n])}), each file of one split only."""
    pool: list[str] = []
    indices = {}
    for name, reader in readers.items():
        before = set(pool)
        rows = [index for index, path in enumerate(reader.images.paths) if path not in before]
        indices[name] = (len(pool), np.array(rows, dtype=np.int64))
        pool += [reader.images.paths[row] for row in rows]
    return pool, indices


def to_val(paths: Sequence[str], group: np.ndarray, share: float) -> np.ndarray:
    """bool [n]: which images go to val, by a hash of the name of the first of their group by name."""
    names = [Path(path).name for path in paths]
    first: dict[int, str] = {}
    for name, number in sorted(zip(names, group.tolist(), strict=True)):
        first.setdefault(number, name)
    shares = {number: _share_of(name) for number, name in first.items()}
    return np.array([shares[number] < share for number in group.tolist()], dtype=bool)


def _share_of(name: str) -> float:
    """A number from 0 to below 1, as good as random, that a name always gives."""
    return int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()[:8]) / 2**64


def read(data: "SetSettings", split: str) -> Reader:
    """The reader of a split, run through.  Raises UserError: something of it cannot be used."""
    reader = open_split(data, split)
    for fault in reader.faults():
        if not fault.is_bad_box:
            raise UserError(reader.message(fault))
    if reader.bad.any():
        reader.notes.append(f"{reader.source}: {reader.bad.sum()} boxes that teach nothing are kept as they are")
    return reader


def _summary(writer: SetWriter, out: Path, readers: Sequence[Reader]) -> dict[str, Any]:
    counts = {split: len(items) for split, items in writer.splits.items()}
    notes = [*dict.fromkeys(note for reader in readers for note in reader.notes), *writer.notes()]
    if outlines := sum(reader.outlines for reader in readers):
        notes.append(f"{outlines} outlines left out, their boxes are kept")
    numbers = {"images": sum(counts.values()), "boxes": writer.boxes, "splits": counts}
    return {"folder": str(out), "format": writer.name} | numbers | {"notes": notes}
