"""What the files of a split's images are: looked at once, by their headers or by all that they hold."""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import compress
from pathlib import Path
from typing import NamedTuple

from detect.data.check_files import (
    CHUNK,
    READERS,
    Problem,
    header_problem,
    missing_file,
    size_problem,
    unreadable_image,
)
from detect.data.records import ImageRecord, ImageTable
from detect.errors import UserError
from detect.members import is_file, open_binary
from detect.ops.image import read_image
from detect.ops.image_header import read_header


class Look(NamedTuple):
    """What one image's file is.

    problem: what is wrong with it;  is_turned: EXIF turns it;  digest: of its bytes, if it was decoded.
    """

    problem: Problem | None = None
    is_turned: bool = False
    digest: bytes = b""


def look_at_all(images: ImageTable, thoroughly: bool) -> list[Look]:
    """The `Look` at each image: at its header and its end, or thoroughly, at all of it."""
    look = partial(_look, thoroughly=thoroughly)
    looks: list[Look] = []
    with ThreadPoolExecutor(min(READERS, 2 * (os.cpu_count() or 1))) as readers:
        for start in range(0, len(images), CHUNK):
            places = range(start, min(start + CHUNK, len(images)))
            paths = [images.paths[place] for place in places]
            is_there = [is_file(path) for path in paths]
            found = readers.map(look, (images[place] for place in compress(places, is_there)))
            for path, there in zip(paths, is_there, strict=True):
                looks.append(next(found) if there else Look(missing_file(Path(path), with_hint=False)))
    return looks


def _look(record: ImageRecord, thoroughly: bool) -> Look:
    try:
        header = read_header(record.path)
    except UserError as error:
        return Look(Problem("image.corrupt", str(error)))
    if not thoroughly:
        return Look(header_problem(record, header), header.is_turned)
    try:
        image = read_image(record.path)
    except UserError as error:
        return Look(unreadable_image(header, error), header.is_turned)
    height, width = image.shape[:2]
    return Look(size_problem(record, width, height), header.is_turned, digest(record.path))


def digest(path: str | os.PathLike[str]) -> bytes:
    """SHA-256 of a file's bytes; nothing where it cannot be read."""
    with suppress(OSError, UserError), open_binary(path) as file:
        return hashlib.file_digest(file, "sha256").digest()
    return b""
