"""What decoding an image takes, known from its file's header before it is taken: pixels, bytes of all copies, scans."""

import os
import re
from typing import IO

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from detect.errors import UserError
from detect.files import printable

MAX_PIXELS = 200_000_000  # the largest phone cameras have as many
MAX_MEMORY = 1_500_000_000  # bytes; a JPEG or PNG of `MAX_PIXELS` needs 1.4 GB
MAX_SCANS = 100  # of a JPEG: encoders make up to 20, a few bytes each cost a walk over the whole image

RESULT = 3  # bytes a pixel of what we give
BY_MODE = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2}  # bytes a pixel in Pillow's copy; 4 in all others
# bytes a pixel that Pillow's decoders take beside until they are done, as measured; the others go line by line
BY_FORMAT = {"WEBP": 12, "JPEG2000": 15, "AVIF": 5}
COEFFICIENT = 2  # bytes that a JPEG of several scans keeps for each of its numbers


def check_cost(image: Image.Image, name: str | os.PathLike[str]) -> None:
    """Raise `UserError` if a Pillow image that is not loaded yet has too many pixels, or takes too much to decode."""
    width, height = image.size
    check_pixels(width, height, name)
    decoder = float(BY_FORMAT.get(image.format or "", 0))
    if isinstance(image, JpegImageFile) and image.fp:
        scans = count_scans(image.fp)
        if scans > MAX_SCANS:
            raise UserError(f"{printable(name)}: has more than {MAX_SCANS} scans, as no camera writes; save it again")
        sides = [across * down for _, across, down, _ in image.layer]
        decoder = COEFFICIENT * sum(sides) / max(sides) if scans > 1 else 0.0
    needed = width * height * (BY_MODE.get(image.mode, 4) + max(RESULT, decoder))
    if needed > MAX_MEMORY:
        raise UserError(
            f"{printable(name)}: {width}x{height} px of this kind ({image.format}, {image.mode}) take "
            f"{needed / 1e9:.1f} GB to decode, more than {MAX_MEMORY / 1e9:g}; make the image smaller"
        )


def check_pixels(width: int, height: int, name: str | os.PathLike[str]) -> None:
    """Raise `UserError` if an image of this size has more than `MAX_PIXELS`."""
    if width * height > MAX_PIXELS:
        raise UserError(
            f"{printable(name)}: {width}x{height} px are {width * height / 1e6:.0f} megapixels, more than "
            f"{MAX_PIXELS // 1_000_000}; make the image smaller"
        )


MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # of a JPEG; FF 00 is a number, D0 to D7 are its counters
END, START_OF_SCAN, ALONE = 0xD9, 0xDA, (0x01, 0xD8)  # ALONE: markers that no segment follows


def count_scans(file: IO[bytes]) -> int:
    """Number of scans of the first image in an open JPEG, up to `MAX_SCANS` + 1; the file's place stays."""
    place = file.tell()
    file.seek(0)
    data = file.read()
    file.seek(place)
    scans = at = 0
    while scans <= MAX_SCANS and (found := MARKER.search(data, at)):
        at, marker = found.end(), data[found.end() - 1]
        if marker == END:
            break
        scans += marker == START_OF_SCAN
        if marker not in ALONE:
            at += int.from_bytes(data[at : at + 2])  # its segment, which may hold a whole preview
    return scans
