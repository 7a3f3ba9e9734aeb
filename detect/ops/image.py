"""The one decoder of image files: EXIF orientation applied, uint8 RGB, whatever the file holds."""

import os
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from detect.errors import UserError, nearest
from detect.files import cannot_read, cannot_write, printable, replacing

MAX_PIXELS = 200_000_000
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


def read_image(path: str | os.PathLike[str]) -> np.ndarray:
    """The image in the file `path` as a viewer shows it: uint8 RGB [height, width, 3].

    EXIF orientation is applied, transparency is laid on white, 16-bit and float images are scaled to 8 bits, an
    animation gives its first image. The size is checked in the file's header, before memory is taken.

    Raises:
        UserError: there is no such file, it is no image, it is cut off, or it has more than `MAX_PIXELS`.
    """
    try:
        with open(path, "rb") as file:
            return to_rgb(open_image(file), path)
    except UserError:
        raise
    except OSError as error:
        if error.errno is None:  # Pillow's own, about what the file holds
            raise unreadable(path, error) from error
        raise cannot_read(path, error) from error
    except Image.DecompressionBombError as error:  # Pillow's own limit, kept by its WebP opener
        raise too_large(path, "its size") from error
    except MemoryError as error:
        raise UserError(f"{printable(path)}: not enough memory for this image; make it smaller") from error
    except Exception as error:  # a damaged file makes Pillow's decoders raise nearly anything
        raise unreadable(path, error) from error


def is_image(path: str | os.PathLike[str]) -> bool:
    """Whether the file `path` begins like an image, whatever its name."""
    try:
        with open(path, "rb") as file:
            return open_image(file) is not None
    except Exception:  # as in read_image
        return False


def to_rgb(image: Image.Image, name: str | os.PathLike[str] = "image") -> np.ndarray:
    """A Pillow image -> uint8 RGB [height, width, 3], by the rules of `read_image`; `name` is for the error."""
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise too_large(name, f"{width}x{height} px")
    image.load()
    orientation = 1
    with suppress(Exception):  # damaged EXIF data is no reason to refuse the image
        orientation = image.getexif().get(ORIENTATION, 1)
    if orientation in TURNS:
        image = image.transpose(TURNS[orientation])
    if image.mode[0] in "IF":
        return np.repeat(_to_8_bits(np.asarray(image))[..., None], 3, axis=2)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=image)
        image = white
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def write_image(path: str | os.PathLike[str], rgb: np.ndarray) -> None:
    """Write `rgb` uint8 [height, width, 3] to `path`, whose suffix names the format; whole or not at all."""
    suffix = Path(path).suffix.lower()
    if suffix not in WRITE_FORMATS:
        raise UserError(f"{printable(path)}: cannot write '{suffix}' images{nearest(suffix, WRITE_FORMATS)}")
    options = {"quality": 95} if WRITE_FORMATS[suffix] in ("JPEG", "WEBP") else {}
    try:
        with replacing(path) as temporary:
            Image.fromarray(np.ascontiguousarray(rgb)).save(temporary, format=WRITE_FORMATS[suffix], **options)
    except (OSError, ValueError) as error:
        raise cannot_write(path, error) from error


def too_large(name: str | os.PathLike[str], size: str) -> UserError:
    """The `UserError` for an image of more than `MAX_PIXELS`."""
    limit = f"the limit of {MAX_PIXELS // 1_000_000} megapixels"
    return UserError(f"{printable(name)}: {size} is more than {limit}; make the image smaller")


def unreadable(path: str | os.PathLike[str], error: Exception) -> UserError:
    """The `UserError` for a file that is no image or a damaged one."""
    reason = str(error).split(" (")[0].split("\n")[0] or type(error).__name__
    return UserError(f"{printable(path)}: not a readable image ({printable(reason)}); remove it or save it again")


def open_image(file: BinaryIO) -> Image.Image:
    """Pillow's image of an open file, only its header read.

    `Image.open` compares the size with a limit of its own that is global to the process; asking the formats' openers
    directly leaves that global alone and the limit to `to_rgb`.
    """
    Image.init()
    start = file.read(16)
    if not start:
        raise OSError("the file is empty")
    for name in READ_FORMATS:
        opener, accepts = Image.OPEN.get(name, (None, None))
        if opener is None or (accepts and accepts(start) is not True):
            continue
        file.seek(0)
        return opener(file, None)  # type: ignore[arg-type]
    raise OSError("not a known image format")


def _to_8_bits(grey: np.ndarray) -> np.ndarray:
    """Grey levels of 16 or 32 bits or floats [h, w] -> uint8 [h, w].

    Integers are taken as 16-bit, or by their largest value if that is larger; floats as 0..1, or else as 0..255.
    """
    if grey.dtype.kind == "f":
        grey = np.nan_to_num(grey, posinf=255, neginf=0)
        white = 1.0 if grey.max() <= 1 else 255.0
    else:
        white = max(65535.0, float(grey.max()))
    return np.clip(np.rint(grey * np.float32(255 / white)), 0, 255).astype(np.uint8)
