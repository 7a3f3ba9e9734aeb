"""A data set written anew: in another format, `convert`, or divided into train and val, `split`."""

from pathlib import Path
from typing import Any

from detect import config
from detect.api.load import AnyPath
from detect.data import convert as sets
from detect.data.writing.writers import WRITERS
from detect.errors import UserError, nearest


def convert(data: AnyPath, to: str, out: AnyPath, *, copy: bool = False) -> dict[str, Any]:
    """Write all splits of a data set in another format of annotations, as a new folder, whole or not at all.

    Boxes stay as they are, bad ones too. What the format cannot hold is left out and told.

    Args:
        data: data folder, data YAML, or the file that describes the data, in any format that is read.
        to: coco, yolo, voc or webdataset (shards).
        out: the folder; it must not be there yet, or be empty.
        copy: copy the images; hard links where the disk allows it by default.

    Returns:
        {"folder", "format", "images" and "boxes": their numbers, "splits": number of images by name, "notes": sentences
        on what is not as it was}

    Raises:
        UserError: annotations or images cannot be used, or `out` is there already or cannot be written.
    """
    _check_format(to)
    return sets.convert(config.read_data(data), to, Path(out), copy)


def split(
    data: AnyPath, out: AnyPath, *, val: float = 0.2, to: str | None = None, copy: bool = False
) -> dict[str, Any]:
    """Write a data set as a new folder with its images divided anew into train and val.

    The side of an image is told by a hash of its file's name, so it stays where it is when others are added; images
    that look the same come to one side. A split `test` stays as it is.

    Args:
        val: share of the images that are to be val, 0 to 1; with few images it comes out otherwise.
        to: coco, yolo, voc or webdataset; the format of the data by default, coco for a CSV.
        data, out, copy: as of `convert`.

    Returns:
        As `convert`, and "near_duplicates": number of images that went where one that looks the same went.

    Raises:
        UserError: as `convert`, or a side would be empty.
    """
    if to:
        _check_format(to)
    return sets.divide(config.read_data(data), Path(out), val, to, copy)


def _check_format(name: str) -> None:
    if name not in WRITERS:
        raise UserError(f"{name}: no format that is written{nearest(name, WRITERS)}", argument="to")
