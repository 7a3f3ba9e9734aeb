"""The files of a data set looked at before they are needed: all that cannot be used is found at once, by headers."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from detect.data.records import ImageRecord
from detect.errors import UserError
from detect.files import nearest_file, printable
from detect.ops.image_header import read_header

HINTS = 10  # missing files for which the nearest name is looked up
CHUNK = 4096  # images looked at before the next are made of the set's columns
READERS = 8  # threads; mostly they wait for the disk


def check_files(source: Path, records: Sequence[ImageRecord]) -> None:
    """Look at the header and the end of every image's file.

    Only files that look cut short are decoded.

    Raises:
        UserError: files are not there, are no images, are cut off or of another size than recorded; its `details` have
            a sentence for each of them.
    """
    absent, problems = [], []
    with ThreadPoolExecutor(READERS) as readers:
        for start in range(0, len(records), CHUNK):
            chunk = records[start : start + CHUNK]
            for record, problem in zip(chunk, readers.map(problem_of, chunk), strict=True):
                if problem is None:
                    absent.append(record.path)
                elif problem:
                    problems.append(problem)
    problems = [
        f"{printable(path)}: is not there{_hint(path) if n < HINTS else ''}" for n, path in enumerate(absent)
    ] + problems
    if problems:
        raise UserError(
            f"{source}: {len(problems)} of its {len(records)} images cannot be used; {problems[0]}", details=problems
        )


def _hint(path: Path) -> str:
    """`"; did you mean 'x'?"` for a file of nearly its name in its folder, or in the next above it that is there."""
    folder = path.parent
    while not folder.is_dir():
        folder = folder.parent
    return nearest_file(folder / path.name)


def problem_of(record: ImageRecord) -> str | None:
    """What is wrong with an image's file, as a sentence; "" if it can be used, None if it is not there."""
    if not os.path.isfile(record.path):
        return None
    try:
        header = read_header(record.path)
        if header.is_whole and header.is_certain:
            record.check_size(header.width, header.height)
        elif not header.is_whole or (header.width, header.height) != (record.width, record.height):
            record.read()
    except UserError as error:
        return str(error)
    return ""
