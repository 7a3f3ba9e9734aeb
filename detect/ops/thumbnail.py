"""Small grey copies of image files, decoded no larger than they need to be."""

import os
from contextlib import suppress

import numpy as np
from PIL import Image

from detect.ops.image import ORIENTATION, TURNS, open_image, opened, to_rgb
from detect.ops.image_cost import check_cost


def read_thumbnail(path: str | os.PathLike[str], side: int) -> np.ndarray:
    """The upright image stretched to a grey square, uint8 [side, side].

    Raises:
        UserError: as `detect.ops.image.read_image`.
    """
    with opened(path) as file:
        image = open_image(file)
        check_cost(image, path)
        if image.mode not in ("L", "RGB"):
            image = Image.fromarray(to_rgb(image, path)[0])
        image.draft("L", (2 * side, 2 * side))  # a JPEG is decoded at an eighth of its size
        small = image.convert("L").resize((side, side), Image.Resampling.BOX)
        turn = None
        with suppress(Exception):  # damaged EXIF data; asked for now, as Pillow turns a TIFF while it decodes it
            turn = TURNS.get(image.getexif().get(ORIENTATION, 1))
        return np.asarray(small if turn is None else small.transpose(turn))
