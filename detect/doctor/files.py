"""Checks of the images' files: whether they are there, whole, and as large as they are recorded."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from detect.data.check_files import MISSING, missing_file
from detect.doctor.checks import Found, check, images_found
from detect.doctor.description import DataSet, Split
from detect.files import printable


@check(
    MISSING,
    "error",
    "image files that are not there",
    "put the files where they are looked for, or take the images out",
)
def missing(data: DataSet) -> Iterator[Found]:
    for split in data.splits:
        yield images_found(split, problem_places(split, MISSING), partial(missing_text, split))


def missing_text(split: Split, place: int) -> str:
    """What is said of a file that is not there: with the nearest name."""
    path = split.images.paths[place]
    return missing_file(Path(path)).sentence.removeprefix(f"{printable(path)}: ")


def with_problem(problem_id: str, data: DataSet) -> Iterator[Found]:
    for split in data.splits:
        yield images_found(split, problem_places(split, problem_id), partial(_sentence, split))


for _id, _says, _advice in (
    ("image.corrupt", "image files that cannot be decoded", "save them again or take the images out"),
    ("image.truncated", "image files that are cut off", "copy them again or take the images out"),
    (
        "image.other_size",
        "images of another size than their record",
        "if the images were resized, their boxes must be scaled as well; else correct width and height",
    ),
    (
        "image.turned",
        "images whose record has width and height exchanged",
        "records and boxes are those of the upright image: export again, or save the images without EXIF orientation",
    ),
):
    check(_id, "error", _says, _advice)(partial(with_problem, _id))


@check(
    "image.exif",
    "note",
    "images that EXIF turns upright",
    "the boxes must be those of the upright image: look at some (the page shows them as they are trained)",
)
def exif(data: DataSet) -> Iterator[Found]:
    for split in data.splits:
        turned_places = [place for place, look in enumerate(split.looks) if look.is_turned and not look.problem]
        yield images_found(split, turned_places, lambda _: "is stored turned and shown upright")


@check("image.empty", "note", "images without an object", "fine if there is none in them; else label them")
def empty(data: DataSet) -> Iterator[Found]:
    for split in data.splits:
        yield images_found(split, np.flatnonzero(split.object_counts == 0).tolist(), lambda _: "has no box")


def problem_places(split: Split, problem_id: str) -> list[int]:
    """The images whose files have this problem."""
    return [place for place, look in enumerate(split.looks) if look.problem and look.problem.id == problem_id]


def _sentence(split: Split, place: int) -> str:
    problem = split.looks[place].problem
    assert problem
    return problem.sentence.removeprefix(f"{printable(split.images.paths[place])}: ")
