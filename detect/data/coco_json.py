"""COCO's JSON, read and checked record by record: what can be used of a file, and every fault in it."""

import itertools
import math
from array import array
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from detect.data.detection import ImageRecord
from detect.data.image_files import ImageFiles
from detect.errors import UserError, nearest
from detect.files import name_problem, printable, read_json

MAX_SIDE = 100_000  # px
SMALLEST_SIDE = 0.01  # px; less than that vanishes in float32
MAX_NUMBER = 1e9  # no coordinate or area of a sane file is beyond
MAX_ID = 2**63  # COCO's evaluation sorts ids as 64-bit numbers
ID_FIELDS = ("id", "image_id", "category_id")
SINGULAR = {"images": "image", "categories": "category", "annotations": "box"}
BAD_BOXES = {
    "box.width": "has width {box[2]:g}",
    "box.height": "has height {box[3]:g}",
    "box.outside": "lies outside its image of {image.width}x{image.height} px",
    "box.shares": "lies in the first px of its image of {image.width}x{image.height}: {box} look like shares of the "
    "image's sides; a bbox is [left, top, width, height] in px",
    "box.tiny": f"has less than {SMALLEST_SIDE} px of width or height within its image",
}


@dataclass(frozen=True)
class Fault:
    """One mistake in a file of annotations.

    id: what is wrong, as a dotted name;  where: the list or record, such as "annotations[12]";  sentence: for the
    user, to follow the file's name;  is_bad_box: nothing can be learned from that box, all else can be used.
    """

    id: str
    where: str
    sentence: str
    is_bad_box: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "sentence", printable(self.sentence))  # it tells what a stranger wrote


class Annotations(NamedTuple):
    """The annotations of a file in its order, boxes as they are written there.

    places: int32 [n], of their images in the list of images;  labels: int32 [n];  boxes: float64 [n, 4] xywh in image
    px;  areas: float64 [n] px², the box's own where the file gives none;  crowds: bool [n];  scores: float64 [n], 0..1
    where a detector found the box, nan where nothing is said.
    """

    places: np.ndarray
    labels: np.ndarray
    boxes: np.ndarray
    areas: np.ndarray
    crowds: np.ndarray
    scores: np.ndarray


def read_object(path: Path) -> dict[str, Any]:
    """What a COCO file holds, unchecked.  Raises UserError when it is no JSON or no object."""
    content = read_json(path)
    if not isinstance(content, dict):
        raise UserError(f"{path}: is no COCO file; it must be an object with images, annotations and categories")
    return content


class CocoReader:
    """A COCO file's content, checked as it is read: run through `faults`, then take what is left.

    Args:
        content: from `read_object`.
        folder: the images' folder, which no file name may leave.
        has_annotations: False for a list of images (test-dev's): no annotations, categories if there are any.

    Attributes:
        images: list of `ImageRecord`, without boxes, in the file's order.
        categories: list of `{"id", "name"}` by ascending id.
        annotations: `Annotations`.
        bad: bool [n], the annotations nothing can be learned from; crowds are not among them.
        files: `ImageFiles`, which found the images.
    """

    def __init__(self, content: dict[str, Any], folder: Path, has_annotations: bool = True) -> None:
        self.content, self.has_annotations = content, has_annotations
        self.files = ImageFiles(folder)
        self.images: list[ImageRecord] = []
        self.categories: list[dict[str, Any]] = []
        self._places: dict[int, int | None] = {}  # by image id; None for a record with a fault

    def faults(self) -> Iterator[Fault]:
        """Read all, yielding every fault: records that cannot be used, then bad boxes."""
        if self.has_annotations or self.content.get("categories"):
            yield from self._read_categories()
        yield from self._read_images()
        if self.has_annotations:
            numbers = yield from self._read_annotations()
            yield from self._find_bad_boxes(numbers)

    def _records(self, key: str, *required: str) -> Generator[Fault, None, Iterator[tuple[int, dict[str, Any]]]]:
        """Yield the faults in the form of the records under `key`; return the other records, numbered."""
        records = self.content.get(key)
        if not isinstance(records, list):
            sentence = f"has no list '{key}'; a COCO file holds images, annotations and categories"
            yield Fault(f"{key}.list", key, sentence)
            return iter(())
        if not records and key != "annotations":
            yield Fault(f"{key}.empty", key, f"lists no {key}")
        broken = set()
        for number, record in enumerate(records):
            for fault in _form_faults(key, number, record, required):
                broken.add(number)
                yield fault
        return ((number, record) for number, record in enumerate(records) if number not in broken)

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
                self.images.append(ImageRecord(record["id"], path, record["width"], record["height"]))

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

    def _read_annotations(self) -> Generator[Fault, None, np.ndarray]:
        """Fill `annotations`; return the place [n] of each in the file's list."""
        labels = {category["id"]: label for label, category in enumerate(self.categories)}
        columns = numbers, places, found_labels, boxes, areas, crowds, scores = [array(code) for code in "iiiddbd"]
        for number, record in (yield from self._records("annotations", "image_id", "category_id", "bbox")):
            faults = self._annotation_faults(number, record, labels)
            yield from faults
            place, label = self._places.get(record["image_id"]), labels.get(record["category_id"])
            if faults or place is None or label is None:
                continue
            box, area = record["bbox"], record.get("area")
            numbers.append(number)
            places.append(place)
            found_labels.append(label)
            boxes.extend(box)
            areas.append(box[2] * box[3] if area is None else area)
            crowds.append(bool(record.get("iscrowd")))
            score = record.get("score")
            scores.append(math.nan if score is None else score)
        numbers, places, found_labels, boxes, areas, crowds, scores = map(np.asarray, columns)
        self.annotations = Annotations(places, found_labels, boxes.reshape(-1, 4), areas, crowds.view(bool), scores)
        return numbers

    def _annotation_faults(self, number: int, record: dict[str, Any], labels: dict[int, int]) -> list[Fault]:
        """What makes it useless to everyone; images and categories are looked up where there are any."""
        problems = []
        image_id, category_id, box = record["image_id"], record["category_id"], record["bbox"]
        if image_id not in self._places and self._places:
            problems.append(("box.image_id", f": there is no image {image_id} in 'images'"))
        if category_id not in labels and labels:
            problems.append(("box.category_id", f" has category {category_id}{nearest(category_id, labels)}"))
        if not (isinstance(box, list) and len(box) == 4 and all(map(_is_number, box))):
            hint = _outline_hint(record) or "a bbox is [left, top, width, height] in px"
            problems.append(("box.bbox", f" is {str(box)[:60]}; {hint}"))
        score = record.get("score", 0)
        if score is not None and not (_is_number(score) and 0 <= score <= 1):
            problems.append(("box.score", f" has the score {short(score)}; a detector's score is from 0 to 1"))
        area, crowd = record.get("area"), record.get("iscrowd")
        if area is not None and not (_is_number(area) and area >= 0):
            problems.append(("box.area", f" has area {short(area)}; it must be the object's area in px²"))
        if crowd is not None and crowd not in (0, 1):
            problems.append(("box.iscrowd", f" has iscrowd {short(crowd)}; it must be 0 or 1"))
        return [
            Fault(fault_id, f"annotations[{number}]", f"{_name(number, record)}{problem}")
            for fault_id, problem in problems
        ]

    def _find_bad_boxes(self, numbers: np.ndarray) -> Iterator[Fault]:
        sizes = np.array([(image.width, image.height) for image in self.images], dtype=np.int64).reshape(-1, 2)
        problems = box_problems(self.annotations.boxes, sizes[self.annotations.places])
        problems[self.annotations.crowds] = -1
        self.bad = problems >= 0
        ids = list(BAD_BOXES)
        for row in np.flatnonzero(self.bad):
            number, fault_id = int(numbers[row]), ids[problems[row]]
            box, image = self.annotations.boxes[row].tolist(), self.images[self.annotations.places[row]]
            problem = BAD_BOXES[fault_id].format(box=box, image=image)
            name = _name(number, self.content["annotations"][number])
            yield Fault(fault_id, f"annotations[{number}]", f"{name} {problem}", is_bad_box=True)


def box_problems(boxes: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """What makes boxes [n, 4] xywh unfit to learn from, as indices [n] into BAD_BOXES; -1 where nothing does.

    Args:
        sizes: [n, 2], width and height of each box's image, px.
    """
    left_top, width_height = boxes[:, :2], boxes[:, 2:]
    cut = np.minimum(left_top + width_height, sizes) - np.maximum(left_top, 0)  # [n, 2], what lies within the image
    are_shares = (boxes >= 0).all(axis=1) & (boxes <= 1).all(axis=1) & (sizes > 2).all(axis=1)
    conditions = [*(width_height <= 0).T, (cut <= 0).any(axis=1), are_shares, (cut < SMALLEST_SIDE).any(axis=1)]
    return np.select(conditions, range(len(conditions)), -1)


def short(value: object) -> str:
    """`repr(value)`, at most 40 characters of it: what a stranger wrote goes into an error text."""
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


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


def _is_number(value: object) -> bool:
    """Whether it is a finite number of sane size."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < MAX_NUMBER
