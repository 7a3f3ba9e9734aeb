"""COCO's JSON, read and checked record by record: what can be used of a file, and every fault in it."""

import itertools
import os
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from detect.data.formats.coco_columns import KEYS, MAX_ID, AnnotationColumns
from detect.data.formats.image_files import ImageFiles
from detect.data.formats.reader import MAX_SIDE, Fault, Reader, is_number, short
from detect.errors import UserError, nearest
from detect.files import missing, name_problem, read_json

CHUNK = 10_000  # annotations that are checked together, as long as none has a fault
ID_FIELDS = ("id", "image_id", "category_id")
SINGULAR = {"images": "image", "categories": "category", "annotations": "box"}


def read_object(path: Path, keep_outlines: bool = True) -> dict[str, Any]:
    """What a COCO file holds, unchecked; without `keep_outlines`, a `segmentation` is True or False.

    Raises:
        UserError: it is no JSON or no object.
    """
    content = read_json(path, None if keep_outlines else _without_outline)
    if not isinstance(content, dict):
        raise UserError(f"{path}: is no COCO file; it must be an object with images, annotations and categories")
    return content


def _without_outline(record: dict[str, Any]) -> dict[str, Any]:
    """A record as it is read: the outlines of COCO's objects, of no use here, would take most of the memory."""
    if "segmentation" in record:
        record["segmentation"] = bool(record["segmentation"])
    return record


class CocoReader(Reader):
    """A COCO file's content as a `Reader`.

    Args:
        content: from `read_object`.
        folder: the images' folder, which no file name may leave.
        source: the file that the content is of.
        has_annotations: False for a list of images (test-dev's): no annotations, categories if there are any.
        by_end: as of `ImageFiles`.
    """

    def __init__(
        self,
        content: dict[str, Any],
        folder: Path,
        source: Path | str | None = None,
        has_annotations: bool = True,
        by_end: bool = False,
    ) -> None:
        super().__init__(source or folder)
        self.content, self.has_annotations = content, has_annotations
        self.files = ImageFiles(folder, by_end)
        self._places: dict[int, int | None] = {}  # by image id; None for a record with a fault
        self._numbers = np.zeros(0, np.int32)  # of the annotations, in the file's list

    @classmethod
    def of_file(cls, path: Path, folder: Path, **options: bool) -> "CocoReader":
        """Of a file.  Raises UserError when it is no JSON object or `folder` is not there."""
        content = read_object(path, keep_outlines=False)
        if not os.path.isdir(folder):
            raise missing(folder)
        return cls(content, folder, path, **options)

    def release(self) -> None:
        """See `Reader`; it is gigabytes, for COCO's."""
        self.content.clear()
        self._places.clear()

    def where(self, row: int) -> str:
        return f"annotations[{self._numbers[row]}]"

    def told(self, row: int) -> str:
        number = int(self._numbers[row])
        return _name(number, self.content["annotations"][number])

    def _read(self) -> Iterator[Fault]:
        if self.has_annotations or self.content.get("categories"):
            yield from self._read_categories()
        yield from self._read_images()
        self.notes += self.files.notes(self.source)
        if self.has_annotations:
            yield from self._read_annotations()
            self._leave_out_root()

    def _list(self, key: str) -> Generator[Fault, None, list[Any]]:
        """The records under `key`; yields what is wrong with the list as a whole."""
        records = self.content.get(key)
        if not isinstance(records, list):
            sentence = f"has no list '{key}'; a COCO file holds images, annotations and categories"
            yield Fault(f"{key}.list", key, sentence)
            return []
        if not records and key != "annotations":
            yield Fault(f"{key}.empty", key, f"lists no {key}")
        return records

    def _well_formed(
        self, key: str, numbers: Sequence[int], required: tuple[str, ...]
    ) -> Generator[Fault, None, Iterator[tuple[int, dict[str, Any]]]]:
        """Yield the faults in the form of the records with these numbers; return the other ones, numbered."""
        records, broken = self.content.get(key), set()
        for number in numbers:
            for fault in _form_faults(key, number, records[number], required):
                broken.add(number)
                yield fault
        return ((number, records[number]) for number in numbers if number not in broken)

    def _records(self, key: str, *required: str) -> Generator[Fault, None, Iterator[tuple[int, dict[str, Any]]]]:
        """Yield the faults of the list under `key` and in the form of its records; return the others, numbered."""
        records = yield from self._list(key)
        return (yield from self._well_formed(key, range(len(records)), required))

    def _read_categories(self) -> Iterator[Fault]:
        records = yield from self._records("categories", "id", "name")
        for number, record in records:
            self.categories.append({"id": record["id"], "name": str(record["name"])})
            if not isinstance(record["name"], str | int | float):
                sentence = f"category {number} needs a whole number 'id' and a text 'name'; add them"
                yield Fault("category.name", f"categories[{number}]", sentence)
        self.categories.sort(key=lambda category: category["id"])
        for first, second in itertools.pairwise(self.categories):
            if first["id"] == second["id"]:
                sentence = f"category id {first['id']} occurs twice ('{first['name']}', '{second['name']}')"
                yield Fault("category.twice", "categories", sentence)

    def _read_images(self) -> Iterator[Fault]:
        records = yield from self._records("images", "id", "file_name", "width", "height")
        for number, record in records:
            path = self.files.find(record["file_name"])
            faults = self._image_faults(number, record, path)
            yield from faults
            self._places.setdefault(record["id"], None if faults else len(self.images))
            if path and not faults:
                self.images.append(record["id"], path, record["width"], record["height"])

    def _image_faults(self, number: int, record: dict[str, Any], path: Path | None) -> list[Fault]:
        faults = []
        where, image_id, name = f"images[{number}]", record["id"], record["file_name"]
        width, height = record["width"], record["height"]
        if not all(type(side) is int and 0 < side < MAX_SIDE for side in (width, height)):
            size = f"{short(width)} x {short(height)}"
            faults.append(Fault("image.size", where, f"image {image_id} has the size {size}; give whole px from 1 on"))
        if image_id in self._places:
            faults.append(Fault("image.twice", where, f"image id {image_id} occurs twice"))
        if path is None:
            problem, hint = name_problem(name), self.files.hint(name)
            sentence = f"image {image_id}: file_name {short(name)} does not name a file within {self.files.folder}"
            faults.append(Fault("image.file_name", where, sentence + (f": it {problem}" if problem else hint)))
        return faults

    def _read_annotations(self) -> Iterator[Fault]:
        labels = {category["id"]: label for label, category in enumerate(self.categories)}
        columns = AnnotationColumns()
        records = yield from self._list("annotations")
        others = []  # where chunks start that are checked record by record, as they may have a fault
        for start in range(0, len(records), CHUNK):
            if not columns.add_plain(start, records[start : start + CHUNK], self._places, labels):
                others += [start + number for number in range(len(records[start : start + CHUNK]))]
        for number, record in (yield from self._well_formed("annotations", others, KEYS)):
            yield from self._add_annotation(number, record, labels, columns)
        self._numbers, self.annotations = columns.in_order()
        self.outlines = columns.outlines

    def _add_annotation(
        self, number: int, record: dict[str, Any], labels: dict[int, int], columns: AnnotationColumns
    ) -> Iterator[Fault]:
        faults = self._annotation_faults(number, record, labels)
        yield from faults
        place, label = self._places.get(record["image_id"]), labels.get(record["category_id"])
        if not faults and place is not None and label is not None:
            columns.add(number, record, place, label)

    def _leave_out_root(self) -> None:
        """Take out a class without boxes whose only use is to stand above all others, as Roboflow writes one."""
        listed = self.content.get("categories")
        records = [record for record in listed if isinstance(record, dict)] if isinstance(listed, list) else []
        above = {str(record.get("supercategory")) for record in records}
        for label, category in enumerate(self.categories):
            is_root = above == {category["name"], "none"} and len(records) > 1
            own = [record for record in records if record.get("id") == category["id"]]
            if is_root and own[0].get("supercategory") == "none" and label not in self.annotations.labels:
                others = self.annotations.labels
                self.annotations = self.annotations._replace(labels=others - (others > label))
                del self.categories[label]
                self.notes.append(f"{self.source}: the class '{category['name']}' stands above the others; left out")
                return

    def _annotation_faults(self, number: int, record: dict[str, Any], labels: dict[int, int]) -> list[Fault]:
        """What makes it useless to everyone; images and categories are looked up where there are any."""
        problems = []
        image_id, category_id, box = record["image_id"], record["category_id"], record["bbox"]
        if image_id not in self._places and self._places:
            problems.append(("box.image_id", f": there is no image {image_id} in 'images'"))
        if category_id not in labels and labels:
            problems.append(("box.category_id", f" has category {category_id}{nearest(category_id, labels)}"))
        if not (isinstance(box, list) and len(box) == 4 and all(map(is_number, box))):
            hint = _outline_hint(record) or "a bbox is [left, top, width, height] in px"
            problems.append(("box.bbox", f" is {str(box)[:60]}; {hint}"))
        score = record.get("score", 0)
        if score is not None and not (is_number(score) and 0 <= score <= 1):
            problems.append(("box.score", f" has the score {short(score)}; a detector's score is from 0 to 1"))
        area, crowd = record.get("area"), record.get("iscrowd")
        if area is not None and not (is_number(area) and area >= 0):
            problems.append(("box.area", f" has area {short(area)}; it must be the object's area in px²"))
        if crowd is not None and crowd not in (0, 1):
            problems.append(("box.iscrowd", f" has iscrowd {short(crowd)}; it must be 0 or 1"))
        return [
            Fault(fault_id, f"annotations[{number}]", f"{_name(number, record)}{problem}")
            for fault_id, problem in problems
        ]


def _form_faults(key: str, number: int, record: Any, required: tuple[str, ...]) -> list[Fault]:
    """Faults of a record that is no mapping, lacks a field or has ids that are none."""
    one = SINGULAR[key]
    if not isinstance(record, dict):
        return [Fault(f"{one}.form", f"{key}[{number}]", f"{key}[{number}] is no object")]
    faults = []
    for name in required:
        if name not in record:
            hint = (name == "bbox" and _outline_hint(record)) or nearest(name, record)
            sentence = f"{key}[{number}] has no '{name}'; {hint.removeprefix('; ')}"
            faults.append(Fault(f"{one}.{name}", f"{key}[{number}]", sentence))
    for name in ID_FIELDS:
        value = record.get(name, 0)
        if type(value) is not int or abs(value) >= MAX_ID:  # True is an int to isinstance
            sentence = f"{key}[{number}] has the {name} {short(value)}; ids are whole numbers below 2^63"
            faults.append(Fault(f"{one}.{name}", f"{key}[{number}]", sentence))
    return faults


def _outline_hint(record: dict[str, Any]) -> str:
    """How to get the box of a record that has an outline instead, else nothing."""
    if not record.get("segmentation"):
        return ""
    return (
        "it has a segmentation only: its box is the outline's [smallest x, smallest y, width, height], as "
        "pycocotools.mask.toBbox(coco.annToRLE(annotation)) gives it"
    )


def _name(number: int, record: dict[str, Any]) -> str:
    return f"box {record.get('id', number)} of image {record['image_id']}"
