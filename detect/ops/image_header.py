"""What an image file's header says, and whether the file goes on to its end, without decoding it."""

import os
from contextlib import suppress
from typing import BinaryIO, NamedTuple

from PIL import Image

from detect.ops.image import ORIENTATION, SIDEWAYS, TURNS, open_image, opened
from detect.ops.image_cost import check_cost

STRIP_PLACES, STRIP_BYTES = 273, 279  # TIFF's tags of where each part of the image lies and of its length
TURNED_IN_HEADER = ("JPEG", "MPO", "WEBP", "AVIF")  # where Pillow reads EXIF without decoding
ENDS = {"JPEG": b"\xff\xd9", "MPO": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82", "GIF": b";"}


class Header(NamedTuple):
    """Width and height of the upright image, px.

    is_whole: the file ends as its format ends; where it does not, only decoding tells whether it is cut off.
    is_certain: the header says how the image is turned; where it does not, only decoding tells.
    is_turned: the header says that the image is stored otherwise than it stands upright.
    """

    width: int
    height: int
    is_whole: bool
    is_certain: bool
    is_turned: bool = False


def read_header(path: str | os.PathLike[str]) -> Header:
    """The `Header` of an image file.

    Raises:
        UserError: there is no such file, it is no image, or it takes more than any image may.
    """
    with opened(path) as file:
        image = open_image(file)
        width, height = image.size
        check_cost(image, path)
        is_certain = image.format in TURNED_IN_HEADER or (image.format == "PNG" and "exif" in image.info)
        orientation = _orientation(image) if is_certain else 1
        if orientation in SIDEWAYS:
            width, height = height, width
        return Header(width, height, _is_whole(image, file), is_certain, orientation in TURNS)


def _orientation(image: Image.Image) -> int:
    with suppress(Exception):  # damaged EXIF data is no reason to refuse the image
        return image.getexif().get(ORIENTATION, 1)
    return 1


def _is_whole(image: Image.Image, file: BinaryIO) -> bool:
    """Whether the file is as long as its format says; False for formats that do not say it."""
    size = file.seek(0, os.SEEK_END)
    if image.format in ENDS:
        end = ENDS[image.format]
        file.seek(max(size - len(end), 0))
        return file.read() == end
    if image.format == "WEBP":
        return True  # else Pillow could not have opened it
    if image.format == "TIFF":
        tags = image.tag_v2  # type: ignore[attr-defined]
        ends = list(map(sum, zip(tags.get(STRIP_PLACES, ()), tags.get(STRIP_BYTES, ()), strict=True)))
        return bool(ends) and max(ends) <= size
    return False
