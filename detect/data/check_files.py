"""The files of a data set looked at before they are needed: all that cannot be used is found at once, by headers."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from detect.data.records import ImageRecord
from detect.errors import UserError
from detect.files import nearest_file, printable
from detect.members import is_file
from detect.ops.image import read_image
from detect.ops.image_header import Header, read_header

HINTS = 10  # missing files for which the nearest name is looked up
CHUNK = 4096  # images looked at before the next are made of the set's columns
READERS = 8  # threads; mostly they wait for the disk
MISSING = "image.missing"


class Problem(NamedTuple):
    """What is wrong with an image's file: a dotted name, and a sentence for the user."""

    id: str
    sentence: str


def check_files(source: Path | str, records: Sequence[ImageRecord]) -> None:
    """Look at the header and the end of every image's file.

    Only files that look cut short are decoded.

    Raises:
        UserError: files are not there, are no images, are cut off or of another size than recorded; its `details` have
            a sentence for each of them.
    """
    problems: list[Problem | None] = []
    with ThreadPoolExecutor(READERS) as readers:
        for start in range(0, len(records), CHUNK):
            problems += readers.map(problem_of, records[start : start + CHUNK])
    cannot_use(source, [record.path for record in records] if any(problems) else [], problems)


def cannot_use(source: Path | str, paths: Sequence[str | Path], problems: Sequence[Problem | None]) -> None:
    """Raise the `UserError` of `check_files` if any of the images has a problem."""
    absent = [path for path, problem in zip(paths, problems, strict=False) if problem and problem.id == MISSING]
    sentences = [missing_file(Path(path), n < HINTS).sentence for n, path in enumerate(absent)]
    sentences += [problem.sentence for problem in problems if problem and problem.id != MISSING]
    if sentences:
        raise UserError(
            f"{source}: {len(sentences)} of its {len(problems)} images cannot be used; {sentences[0]}",
            details=sentences,
        )


def missing_file(path: Path, with_hint: bool = True) -> Problem:
    """The `Problem` of a file that is not there, with the nearest name in its folder, or in the next above it."""
    folder = path.parent
    while with_hint and not folder.is_dir():
        folder = folder.parent
    hint = nearest_file(folder / path.name) if with_hint else ""
    return Problem(MISSING, f"{printable(path)}: is not there{hint}")


def problem_of(record: ImageRecord) -> Problem | None:
    """What is wrong with an image's file; None if it can be used."""
    try:
        if not is_file(record.path):
            return missing_file(record.path, with_hint=False)
        return header_problem(record, read_header(record.path))
    except UserError as error:
        return Problem("image.corrupt", str(error))


def header_problem(record: ImageRecord, header: Header) -> Problem | None:
    """`problem_of` an image whose header is read."""
    width, height = header.width, header.height
    try:
        if not header.is_whole or not (header.is_certain or (width, height) == (record.width, record.height)):
            height, width = read_image(record.path).shape[:2]
    except UserError as error:
        return unreadable_image(header, error)
    return size_problem(record, width, height)


def unreadable_image(header: Header, error: UserError) -> Problem:
    """The `Problem` of an image that cannot be decoded."""
    return Problem("image.corrupt" if header.is_whole else "image.truncated", str(error))


def size_problem(record: ImageRecord, width: int, height: int) -> Problem | None:
    """The `Problem` of an image that stands upright with another size than the recorded one."""
    try:
        record.check_size(width, height)
    except UserError as error:
        is_turned = (width, height) == (record.height, record.width)
        return Problem("image.turned" if is_turned else "image.other_size", str(error))
    return None
