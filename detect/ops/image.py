"""The one decoder of image files: EXIF orientation applied, uint8 RGB, whatever the file holds."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

from detect.errors import UserError, nearest
from detect.files import cannot_read, cannot_write, printable, replacing
from detect.members import open_binary
from detect.ops.image_cost import MAX_PIXELS, TooLarge, check_cost, check_pixels

# Only pixel formats: Pillow could also hand a stranger's file to Ghostscript (EPS) or to rarely tried decoders.
READ_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "PPM", "AVIF", "JPEG2000")
WRITE_FORMATS = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".png": "PNG",
    ".bmp": "BMP",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}
IMAGE_SUFFIXES = frozenset(WRITE_FORMATS) | {".jpe", ".gif", ".pbm", ".pgm", ".ppm", ".pnm", ".avif", ".jp2", ".mpo"}

HEIC = tuple(b"ftyp" + brand for brand in (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"))
DEPTHS = (8, 10, 12, 14, 16)  # bits of a camera that a file of 16 bits may hold
BITS_PER_SAMPLE, MAX_SAMPLE_VALUE, S_MAX_SAMPLE_VALUE = 258, 281, 341  # TIFF tags
PNG_START = 512  # bytes in which a PNG states its significant bits, if it does

DARK = "is dark: its colours of 16 bits use less than 14; save it with 8 bits"

STRIP = 1 << 20  # pixels that are converted at a time

ORIENTATION = 0x0112  # the EXIF tag: how the stored image must be turned to stand upright
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIDEWAYS = (5, 6, 7, 8)  # EXIF orientations that exchange width and height
BOTTOM_FIRST = (3, 4, 6, 7)  # those that take the stored rows from the last to the first


def read_image(path: str | os.PathLike[str]) -> np.ndarray:
    """The image in the file `path` as a viewer shows it: uint8 RGB [height, width, 3].

    EXIF orientation is applied, transparency is laid on white, 16-bit and float images are scaled to 8 bits, an
    animation or a file of several pages gives its first image. What it takes to decode is known from the file's header
    and checked before it is taken (`detect.ops.image_cost`).

    Raises:
        UserError: there is no such file, it is no image, it is cut off, or it takes more than any image may.
    """
    return read_noted(path)[0]


def read_noted(path: str | os.PathLike[str]) -> tuple[np.ndarray, str]:
    """`read_image`, and what was chosen for the user where the file leaves a choice: words, or nothing."""
    with opened(path) as file:
        return to_rgb(open_image(file), path)


@contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """The file `path`, also within a tar file, open for Pillow; what goes wrong in the block is one UserError."""
    with decoding(path), open_binary(path) as file:
        yield file


@contextmanager
def decoding(name: str | os.PathLike[str]) -> Iterator[None]:
    """A block in which an image is read; whatever goes wrong is one sentence about `name`, a UserError."""
    try:
        yield
    except UserError:
        raise
    except OSError as error:
        if error.errno is None:  # Pillow's own, about what the file holds
            raise unreadable(name, error) from error
        raise cannot_read(name, error) from error
    except Image.DecompressionBombError as error:  # Pillow's own limit, kept by its WebP opener
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0) / 1e6
        raise TooLarge(
            f"{printable(name)}: has more than {most:.0f} megapixels, the most that Pillow reads of this format; "
            "make the image smaller"
        ) from error
    except MemoryError as error:
        raise UserError(f"{printable(name)}: not enough memory for this image; make it smaller") from error
    except Exception as error:  # a damaged file makes Pillow's decoders raise nearly anything
        raise unreadable(name, error) from error


def decode_image(data: bytes, name: str = "image", max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """The image that a file's bytes are, by the rules of `read_image`; `name` is for the error.

    Raises:
        TooLarge: it has more than `max_pixels`, or takes more to decode than any image may.
        UserError: they are no image, or are cut off.
    """
    with decoding(name):
        image = open_image(BytesIO(data))
        check_pixels(*image.size, name, max_pixels)
        return to_rgb(image, name)[0]


def is_image(path: str | os.PathLike[str]) -> bool:
    """Whether the file `path` begins like an image, whatever its name."""
    try:
        with open(path, "rb") as file:
            return open_image(file) is not None
    except Exception:  # as in read_image
        return False


def to_rgb(image: Image.Image, name: str | os.PathLike[str] = "image") -> tuple[np.ndarray, str]:
    """(uint8 RGB [height, width, 3], note) of a Pillow image, by the rules of `read_noted`; `name` is for the error.

    It goes strip by strip, so that beside Pillow's copy and the result there is never a third.
    """
    check_cost(image, name)
    bits, is_deep = _stated_bits(image), ";16" in str(getattr(image, "tile", ""))
    image.load()
    turn = 1
    with suppress(Exception):  # damaged EXIF data is no reason to refuse the image
        turn = image.getexif().get(ORIENTATION, 1)
    width, height = image.size
    rgb = np.empty((width, height, 3) if turn in SIDEWAYS else (height, width, 3), dtype=np.uint8)
    levels = _levels_of(image, bits) if image.mode[0] in "IF" else None
    for first, last, strip in _strips(image):
        strip = strip.transpose(TURNS[turn]) if turn in TURNS else strip
        place = slice(height - last, height - first) if turn in BOTTOM_FIRST else slice(first, last)
        part = rgb[:, place] if turn in SIDEWAYS else rgb[place]
        part[...] = levels.scaled(np.asarray(strip))[..., None] if levels else np.asarray(_opaque(strip))
    if levels:
        return rgb, _listed(levels.note, _first_of(image))
    return rgb, _listed(DARK if is_deep and 0 < rgb.max() < 64 else "", _first_of(image))


def _strips(image: Image.Image) -> Iterator[tuple[int, int, Image.Image]]:
    """(first row, last row + 1, these rows) of an image, a million pixels at a time."""
    width, height = image.size
    rows = max(STRIP // width, 1)
    for first in range(0, height, rows):
        last = min(first + rows, height)
        yield first, last, image if last - first == height else image.crop((0, first, width, last))


def _opaque(image: Image.Image) -> Image.Image:
    """The image in RGB, what is transparent laid on white."""
    if not image.has_transparency_data:
        return image if image.mode == "RGB" else image.convert("RGB")
    image = image.convert("RGBA")
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=image)
    return white


def write_image(path: str | os.PathLike[str], rgb: np.ndarray) -> None:
    """Write `rgb` uint8 [height, width, 3] to `path`, whose suffix names the format; whole or not at all."""
    suffix = Path(path).suffix.lower()
    if suffix not in WRITE_FORMATS:
        raise UserError(f"{printable(path)}: cannot write '{suffix}' images{nearest(suffix, WRITE_FORMATS)}")
    options = {"quality": 95} if WRITE_FORMATS[suffix] in ("JPEG", "WEBP") else {}
    file = BytesIO()  # some of Pillow's encoders do not notice when a disk is full
    try:
        Image.fromarray(np.ascontiguousarray(rgb)).save(file, format=WRITE_FORMATS[suffix], **options)
        with replacing(path) as temporary:
            temporary.write_bytes(file.getbuffer())
    except (OSError, ValueError) as error:
        raise cannot_write(path, error) from error


def unreadable(path: str | os.PathLike[str], error: Exception) -> UserError:
    """The `UserError` for a file that is no image or a damaged one."""
    reason = str(error).split(" (")[0].split("\n")[0] or type(error).__name__
    return UserError(f"{printable(path)}: not a readable image ({printable(reason)}); remove it or save it again")


def open_image(file: BinaryIO) -> Image.Image:
    """Pillow's image of an open file, only its header read.

    `Image.open` compares the size with a limit of its own that is global to the process; asking the formats' openers
    directly leaves that global alone and the limits to `detect.ops.image_cost`.
    """
    Image.init()
    start = file.read(16)
    if not start:
        raise OSError("the file is empty")
    if start[4:12] in HEIC:
        raise OSError("a HEIC photo, which no decoder here reads: save it as JPEG")
    for name in READ_FORMATS:
        opener, accepts = Image.OPEN.get(name, (None, None))
        if opener is None or (accepts and accepts(start) is not True):
            continue
        file.seek(0)
        return opener(file, None)  # type: ignore[arg-type]
    raise OSError("not a known image format")


class _Levels(NamedTuple):
    """How grey levels become 0..255; `note` says where white had to be guessed."""

    black: float
    white: float
    note: str = ""

    def scaled(self, grey: np.ndarray) -> np.ndarray:
        """uint8 [h, w] of levels [h, w]."""
        if grey.dtype.kind == "f":
            grey = np.nan_to_num(grey, nan=self.black, posinf=self.white, neginf=self.black)
        scaled = (grey - np.float32(self.black)) * np.float32(255 / (self.white - self.black or 1))
        return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)


def _levels_of(image: Image.Image, bits: int | None) -> _Levels:
    """The `_Levels` of an image of 16 or 32 bits or floats.

    White is what the file states, in `bits`; else, for integers, the greatest level of the smallest of `DEPTHS` that
    holds them all, for floats 1, or else 255. Levels that none of this holds are scaled from their least to their
    greatest.
    """
    is_float = image.mode[0] == "F"
    ends: list[float] = []
    for _, _, strip in _strips(image):
        grey = np.asarray(strip)
        finite = grey[np.isfinite(grey)] if is_float else grey
        ends += [float(finite.min()), float(finite.max())] if finite.size else []
    low, high = min(ends, default=0.0), max(ends, default=0.0)
    whites = (1.0, 255.0) if is_float else tuple(2.0**n - 1 for n in ([bits] if bits else DEPTHS))
    white = next((white for white in whites if high <= white), high)
    black = min(low, 0.0)
    if black < 0 or white not in whites:
        return _Levels(black, white, f"its levels, {low:g} to {high:g}, were scaled to 0 to 255")
    if not is_float and not bits and high > 0 and white < 65535:
        return _Levels(black, white, f"its levels, up to {high:g}, were taken for {round(np.log2(white + 1))} bits")
    return _Levels(black, white)


def _stated_bits(image: Image.Image) -> int | None:
    """The bits of its grey levels that a PNG or TIFF file which is not loaded yet states, if it does."""
    with suppress(Exception):  # damaged, or no image of a file
        if isinstance(image, TiffImageFile):
            greatest = image.tag_v2.get(MAX_SAMPLE_VALUE) or image.tag_v2.get(S_MAX_SAMPLE_VALUE)
            greatest = greatest[0] if isinstance(greatest, tuple) else greatest
            return int(greatest).bit_length() if greatest else (12 if image.tag_v2[BITS_PER_SAMPLE] == (12,) else None)
        if isinstance(image, PngImageFile) and image.fp:
            place = image.fp.tell()
            image.fp.seek(0)
            _, found, rest = image.fp.read(PNG_START).partition(b"\0\0\0\1sBIT")
            image.fp.seek(place)
            return rest[0] if found and 1 <= rest[0] <= 16 else None
    return None


def _first_of(image: Image.Image) -> str:
    """A note on an image that is the first of several: of an animation, or of pages."""
    with suppress(Exception):  # the second is damaged
        if image.format != "MPO" and getattr(image, "is_animated", False):  # MPO: a photo with previews
            return "the first of its images was taken"
    return ""


def _listed(*notes: str) -> str:
    return "; ".join(filter(None, notes))
