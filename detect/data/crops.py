"""Images of single objects out of images with boxes: a set for a classifier, made from one for a detector."""

import os
import re
from collections import Counter
from collections.abc import Collection, Iterable
from pathlib import Path

import numpy as np
from tqdm import tqdm

from detect.data.check_files import check_files
from detect.data.detection import DetectionData
from detect.data.records import ImageRecord
from detect.errors import UserError, nearest
from detect.ops.image import write_image

LONGEST = 80  # bytes of a folder's name
RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)$")  # no file names on Windows


def crop_boxes(
    dataset: DetectionData,
    folder: Path,
    classes: Collection[str] | None = None,
    min_side: int = 32,
    limit: int | None = None,
    margin: float = 0.1,
    show_progress: bool = False,
) -> dict[str, int]:
    """Write every box of a set for a detector as `folder`/CLASS/IMAGE_NUMBER.jpg.

    Args:
        dataset: the images, in whose order crops are taken; crowds are no boxes there.
        folder: where the class folders appear; it must not be there yet, or be empty.
        classes: names of the classes to take; all by default.
        min_side: smallest width and height of a box that is taken, px.
        limit: largest number of crops of a class.
        margin: share of the box's width and height that is added on every side, as far as the image goes.

    Returns:
        Number of crops by class name; classes without any are left out.

    Raises:
        UserError: a class is unknown, no box is left, images cannot be used, or a file cannot be written.
    """
    names = [category["name"] for category in dataset.categories]
    for name in classes or ():
        if name not in names:
            raise UserError(f"{dataset.source}: has no class '{name}'{nearest(name, names)}")
    if os.path.exists(folder) and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder}: is there already; give another folder, or remove it", argument="out")
    check_files(dataset.source, dataset.images)
    folders = folder_names(names)
    counts = dict.fromkeys(classes or names, 0)
    for record in tqdm(dataset.images, unit="image", disable=not show_progress):
        image = None
        for number in _large_enough(record, min_side):
            name = names[record.labels[number]]
            if name not in counts or (limit and counts[name] >= limit):
                continue
            image = record.read() if image is None else image
            path = folder / folders[name] / f"{record.id}_{number}.jpg"
            if not counts[name]:
                _make(path.parent)
            left, top, right, bottom = with_margin(record.boxes[number], margin, record.width, record.height)
            write_image(path, image[top:bottom, left:right])
            counts[name] += 1
    if not sum(counts.values()):
        sentence = f"{dataset.source}: no box of these classes has sides of {min_side} px; allow smaller ones"
        raise UserError(sentence, argument="min_side")
    return {name: count for name, count in counts.items() if count}


def _large_enough(record: ImageRecord, min_side: int) -> list[int]:
    """Numbers of the image's objects whose sides have at least `min_side` px."""
    sides = record.boxes[:, 2:] - record.boxes[:, :2]
    return [number for number in record.objects.tolist() if min(sides[number]) >= min_side]


def with_margin(box: np.ndarray, margin: float, width: int, height: int) -> tuple[int, int, int, int]:
    """A box xyxy in px, grown on every side and cut at the image's borders, as whole px: left, top, right, bottom."""
    left, top, right, bottom = (float(value) for value in box)
    more_x, more_y = (right - left) * margin, (bottom - top) * margin
    left, top = max(round(left - more_x), 0), max(round(top - more_y), 0)
    return (
        left,
        top,
        max(min(round(right + more_x), width), left + 1),
        max(min(round(bottom + more_y), height), top + 1),
    )


def folder_names(names: Iterable[str]) -> dict[str, str]:
    """{class name: folder name} with letters, digits, "_", "-" and "." only; different names get different folders."""
    folders: dict[str, str] = {}
    used: set[str] = set()
    count: Counter[str] = Counter()  # of the names that come out the same, else every one would try all before it
    for name in names:
        safe = re.sub(r"[^\w.-]+", "_", name).strip("._").encode()[:LONGEST].decode(errors="ignore") or "class"
        safe = f"{safe}_" if RESERVED.match(safe) else safe
        unique = safe
        while unique.lower() in used:  # file systems may not tell cases apart
            count[safe.lower()] += 1
            unique = f"{safe}_{count[safe.lower()] + 1}"
        used.add(unique.lower())
        folders[name] = unique
    return folders


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: cannot be made ({error.strerror}); give another folder", argument="out") from error
