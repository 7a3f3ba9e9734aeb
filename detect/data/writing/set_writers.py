"""A data set written into a new folder: images, and annotations in the format of the writer."""

import os
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from detect.data.formats.reader import Reader
from detect.data.writing import annotation_texts as texts
from detect.data.writing.annotation_texts import Box, Item
from detect.errors import UserError
from detect.files import TEMPORARY, cannot_read, cannot_write, printable
from detect.members import open_binary

COPIED = 1 << 20  # bytes at a time


@contextmanager
def new_set(out: Path) -> Iterator[Path]:
    """Yield a new folder beside `out`, which gets its name if the block succeeds, else it is removed.

    Raises:
        UserError: `out` is there already and is no empty folder, or cannot be written.
    """
    if os.path.lexists(out) and not (out.is_dir() and not any(out.iterdir())):
        raise UserError(f"{printable(out)}: is there already; give another folder, or remove it")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=TEMPORARY, dir=out.parent))
    except OSError as error:
        raise cannot_write(out, error) from error
    try:
        yield folder
        os.chmod(folder, 0o755)
        os.replace(folder, out)
    except OSError as error:
        raise cannot_write(out, error) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class SetWriter(ABC):
    """Writes splits into a new folder and counts what the format cannot hold.

    Args:
        folder: empty.
        learn, ignore: where scores cannot be held, a scored box is an object from the first on, a crowd from the
            second on, and left out below.
        copy: copy images instead of linking them (hard links) where the disk allows it.

    Attributes:
        splits: {name: images written}; boxes: their number; categories: `{"id", "name"}` of all splits.
    """

    name: ClassVar[str]
    holds_crowds: ClassVar[bool] = True
    first_id: ClassVar[int | None] = 1  # of the classes, where ids cannot be held; None where they can

    def __init__(self, folder: Path, learn: float = 0.5, ignore: float = 0.2, copy: bool = False) -> None:
        self.folder, self.learn, self.ignore, self.copy = folder, learn, ignore, copy
        self.splits: dict[str, list[Item]] = {}
        self.categories: list[dict[str, Any]] = []
        self.boxes = 0
        self._told: Counter[str] = Counter()
        self._taken: dict[str, set[str]] = {}  # stems that images have already, by their folder

    def add(self, split: str, reader: Reader, indices: Sequence[int] | None = None) -> None:
        """Write images of a reader that was run through, all by default, and their annotations."""
        labels = [self._label_of(category, reader) for category in reader.categories]
        boxes = _boxes_of(reader, labels)
        items = self.splits.setdefault(split, [])
        for index in range(len(reader.images)) if indices is None else indices:
            record = reader.images[index]
            item = Item(record.id, record.path.name, record.width, record.height, self._held(boxes[index]))
            if self.first_id is not None:
                self._told[f"images whose id is lost: {self.name} numbers them"] += item.id != len(items) + 1
            items.append(self._place(split, record.path, item))
            self.boxes += len(item.boxes)

    @abstractmethod
    def finish(self) -> None:
        """Write what is of whole splits, or of all of them."""

    def notes(self) -> list[str]:
        """Sentences on what is not as it was."""
        return [f"{count} {what}" for what, count in self._told.items() if count]

    @abstractmethod
    def _place(self, split: str, path: Path, item: Item) -> Item:
        """Write an image, and its annotations where they have a file of their own; the item with its new name."""

    def _label_of(self, category: dict[str, Any], reader: Reader) -> int:
        """The label of a class of a reader here; classes of several splits are one by their names."""
        names = [known["name"] for known in self.categories]
        if [each["name"] for each in reader.categories].count(category["name"]) > 1:
            raise UserError(f"{reader.source}: two classes are called '{category['name']}'; rename one")
        if category["name"] in names:
            return names.index(category["name"])
        ids = {known["id"] for known in self.categories}
        is_free = category["id"] not in ids
        self.categories.append(category if is_free else category | {"id": max(ids) + 1})
        self._told["classes with a new id, as splits number them differently"] += not is_free
        return len(names)

    def _held(self, boxes: list[Box]) -> list[Box]:
        """Boxes as the format holds them: without scores, and without crowds where it has none."""
        held = []
        for one in boxes:
            _, _, w, h = one.box
            self._told[f"areas other than their box's: {self.name} has none"] += abs(one.area - w * h) > 0.5
            if one.score is not None:
                self._told[f"scores: {self.name} has none; learned from {self.learn:g} on"] += 1
                if one.score < self.ignore:
                    continue
                one = one._replace(score=None, crowd=one.crowd or one.score < self.learn)
            if one.crowd and not self.holds_crowds:
                self._told[f"crowds and ignore regions left out: {self.name} has none"] += 1
                continue
            held.append(one)
        return held

    def _free_name(self, folder: str, name: str) -> str:
        """`name`, or with a number if an image of that stem is in the folder already."""
        stem, suffix = os.path.splitext(name)
        taken = self._taken.setdefault(folder, set())
        free, number = stem, 2
        while free.casefold() in taken:
            free, number = f"{stem}_{number}", number + 1
        taken.add(free.casefold())
        self._told["images with a new name, as another has theirs"] += free != stem
        return free + suffix

    def _put_image(self, folder: str, source: Path, name: str) -> None:
        target = self._made(folder) / name
        if not self.copy and os.path.exists(source):  # not within a tar file
            with suppress(OSError):  # another disk, or one without links
                os.link(source.resolve(), target)
                return
        try:
            file = open_binary(source)
        except OSError as error:
            raise cannot_read(source, error) from error
        with file, open(target, "wb") as copied:
            shutil.copyfileobj(file, copied, COPIED)

    def _write(self, path: str, text: str) -> None:
        (self._made(os.path.dirname(path)) / os.path.basename(path)).write_text(text, encoding="utf-8", newline="\n")

    def _made(self, folder: str) -> Path:
        path = self.folder / folder
        path.mkdir(parents=True, exist_ok=True)
        return path

    def _names(self) -> list[str]:
        """The classes' names for a file with one a line.  Raises UserError: one does not fit into a line."""
        names = [category["name"] for category in self.categories]
        lost = sum(category["id"] != number for number, category in enumerate(self.categories, self.first_id or 0))
        self._told[f"classes whose id is lost: {self.name} numbers them from {self.first_id} on"] = lost
        for name in names:
            if name != name.strip() or not name or printable(name) != name:
                raise UserError(f"the class '{printable(name)}' has a name that {self.name} cannot hold; rename it")
        return names


def _boxes_of(reader: Reader, labels: Sequence[int]) -> list[list[Box]]:
    """The boxes of each image of a reader; `labels` are the new ones of its labels."""
    boxes: list[list[Box]] = [[] for _ in range(len(reader.images))]
    for place, label, box, area, crowd, score in zip(*(c.tolist() for c in reader.annotations), strict=True):
        boxes[place].append(Box(labels[label], box, area, crowd, None if np.isnan(score) else score))
    return boxes


class CocoWriter(SetWriter):
    """annotations/SPLIT.json and images/SPLIT/: all is held but outlines and the ids of annotations."""

    name = "coco"
    first_id = None

    def finish(self) -> None:
        for split, items in self.splits.items():
            if len({item.id for item in items}) < len(items):
                items = [item._replace(id=number) for number, item in enumerate(items, 1)]
                self._told["images with a new id, as several had the same"] += len(items)
            self._write(f"annotations/{split}.json", texts.coco_json(items, self.categories))

    def _held(self, boxes: list[Box]) -> list[Box]:
        return boxes

    def _place(self, split: str, path: Path, item: Item) -> Item:
        item = item._replace(name=self._free_name(f"images/{split}", item.name))
        self._put_image(f"images/{split}", path, item.name)
        return item


class YoloWriter(SetWriter):
    """data.yaml, images/SPLIT/ and labels/SPLIT/: boxes and classes in their order are held."""

    name = "yolo"
    holds_crowds = False
    first_id = 0

    def finish(self) -> None:
        for split in self.splits:
            self._made(f"labels/{split}")
        self._write("data.yaml", texts.yolo_yaml(self._names(), list(self.splits)))

    def _place(self, split: str, path: Path, item: Item) -> Item:
        item = item._replace(name=self._free_name(f"images/{split}", item.name))
        self._put_image(f"images/{split}", path, item.name)
        self._write(f"labels/{split}/{os.path.splitext(item.name)[0]}.txt", texts.yolo_text(item))
        return item


class VocWriter(SetWriter):
    """Annotations/, JPEGImages/, ImageSets/Main/SPLIT.txt and labels.txt: crowds are difficult objects."""

    name = "voc"

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._there: dict[tuple[str, str], str] = {}  # names of images by their path and annotations

    def finish(self) -> None:
        for split, items in self.splits.items():
            lines = texts.name_lines([os.path.splitext(item.name)[0] for item in items])
            self._write(f"ImageSets/Main/{split}.txt", lines)
        self._write("labels.txt", texts.name_lines(self._names()))

    def _place(self, split: str, path: Path, item: Item) -> Item:
        names = self._names()
        key = str(path), texts.voc_xml(item, names)
        if key not in self._there:
            name = self._free_name("JPEGImages", item.name)
            self._put_image("JPEGImages", path, name)
            xml = texts.voc_xml(item._replace(name=name), names)
            self._write(f"Annotations/{os.path.splitext(name)[0]}.xml", xml)
            self._there[key] = name
        return item._replace(name=self._there[key])
