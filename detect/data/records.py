"""The images of a set with their boxes, in a few large arrays that the loader's processes share instead of copying."""

import os
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, overload

import numpy as np

from detect.errors import UserError
from detect.files import printable
from detect.ops.image import read_image


@dataclass
class ImageRecord:
    """One image of a set; boxes float32 [n, 4] xyxy in image px, labels int64 [n], weights float32 [n].

    The weights are those of a `Sample`; crowds are ignore regions, of weight 0.
    """

    id: int
    path: Path
    width: int
    height: int
    boxes: np.ndarray = field(default_factory=lambda: np.zeros((0, 4), np.float32))
    labels: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    weights: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))

    @property
    def objects(self) -> np.ndarray:
        """Indices [m] of the boxes that are objects and no ignore regions."""
        return np.flatnonzero(self.weights > 0)

    def read(self) -> np.ndarray:
        """The image, uint8 RGB [height, width, 3].  Raises UserError, also when its size is not the recorded one."""
        image = read_image(self.path)
        height, width = image.shape[:2]
        self.check_size(width, height)
        return image

    def check_size(self, width: int, height: int) -> None:
        """Raise UserError if the upright image has another size than the recorded one."""
        if (width, height) == (self.width, self.height):
            return
        advice = f"correct the record of image {self.id}"
        if (width, height) == (self.height, self.width):
            advice += " and its boxes, or, if EXIF turns the image, save it without"
        raise UserError(
            f"{printable(self.path)}: is {width}x{height} px upright, but its annotation says "
            f"{self.width}x{self.height}; {advice}"
        )


class Paths(Sequence[str]):
    """Paths in one block of bytes: a list of Python's would be copied by every process that looks at it."""

    def __init__(self, paths: Sequence[str] = ()) -> None:
        self._bytes, self._ends = bytearray(), array("q", [0])
        for path in paths:
            self.append(path)

    def append(self, path: str | os.PathLike[str]) -> None:
        self._bytes += os.fsencode(path)
        self._ends.append(len(self._bytes))

    def take(self, order: np.ndarray) -> "Paths":
        """The paths with these indices, in that order."""
        ends = np.array(self._ends)
        rows, lengths = _rows_of(ends, order)
        taken = Paths()
        taken._bytes = bytearray(np.frombuffer(self._bytes, dtype=np.uint8)[rows].tobytes())
        taken._ends = array("q", np.append(0, np.cumsum(lengths)).tobytes())
        return taken

    @classmethod
    def joined(cls, parts: Sequence["Paths"]) -> "Paths":
        """The paths of all parts, end to end."""
        made = cls()
        for part in parts:
            shift = len(made._bytes)
            made._bytes += part._bytes
            made._ends.frombytes((np.array(part._ends)[1:] + shift).tobytes())
        return made

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        index = range(len(self))[index]
        return os.fsdecode(bytes(self._bytes[self._ends[index] : self._ends[index + 1]]))


class ImageTable(Sequence[ImageRecord]):
    """The `ImageRecord`s of a set, which are made when they are asked for out of columns.

    Attributes:
        paths: `Paths` [N].
        starts: int64 [N + 1]; the boxes of image i are rows starts[i] to starts[i + 1] of the columns
        boxes: float32 [M, 4], labels: int64 [M], weights: float32 [M], as of an `ImageRecord`.
    """

    def __init__(self) -> None:
        self._ids, self._sizes, self.paths = array("q"), array("i"), Paths()
        self._set_boxes(None, np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, np.float32))

    def append(self, image_id: int, path: str | os.PathLike[str], width: int, height: int) -> None:
        """Add an image without boxes."""
        self._ids.append(image_id)
        self._sizes.extend((width, height))
        self.paths.append(path)

    def place_boxes(self, places: np.ndarray, boxes: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> None:
        """Give the images their boxes, row by row with the index of its image in `places`, in any order."""
        order = np.argsort(places, kind="stable")
        starts = np.searchsorted(places[order], np.arange(len(self) + 1))
        self._set_boxes(starts, boxes[order], labels[order], weights[order])

    def _set_boxes(self, starts: Any, boxes: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> None:
        self._starts = starts
        self.boxes = np.ascontiguousarray(boxes, dtype=np.float32)
        self.labels = np.ascontiguousarray(labels, dtype=np.int64)
        self.weights = np.ascontiguousarray(weights, dtype=np.float32)

    def __len__(self) -> int:
        return len(self._ids)

    @overload
    def __getitem__(self, index: int) -> ImageRecord: ...
    @overload
    def __getitem__(self, index: slice) -> list[ImageRecord]: ...
    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        index = range(len(self))[index]
        width, height = self._sizes[2 * index], self._sizes[2 * index + 1]
        record = ImageRecord(self._ids[index], Path(self.paths[index]), width, height)
        if self._starts is not None:
            rows = slice(self._starts[index], self._starts[index + 1])
            record.boxes, record.labels, record.weights = self.boxes[rows], self.labels[rows], self.weights[rows]
        return record

    @property
    def ids(self) -> np.ndarray:
        """int64 [N]."""
        return np.array(self._ids, dtype=np.int64)

    @property
    def sizes(self) -> np.ndarray:
        """int64 [N, 2]: width and height, px."""
        return np.array(self._sizes, dtype=np.int64).reshape(-1, 2)

    @property
    def starts(self) -> np.ndarray:
        return np.zeros(len(self) + 1, dtype=np.int64) if self._starts is None else self._starts

    @property
    def object_counts(self) -> np.ndarray:
        """int64 [N]: boxes of each image that are objects and no ignore regions."""
        return np.diff(np.append(0, np.cumsum(self.weights > 0))[self.starts])

    def class_counts(self, classes: int) -> np.ndarray:
        """int64 [classes]: boxes of each label, from 0 on, that are objects and no ignore regions."""
        return np.bincount(self.labels[self.weights > 0], minlength=classes)

    def names(self) -> Iterator[str]:
        """The files' names without their folders."""
        return (path.rpartition(os.sep)[2] for path in self.paths)

    def take(self, order: np.ndarray | Sequence[int]) -> "ImageTable":
        """A table of the images with these indices, in that order."""
        order = np.asarray(order, dtype=np.int64)
        rows, counts = _rows_of(self.starts, order)
        taken = ImageTable()
        taken._ids, taken.paths = array("q", self.ids[order].tobytes()), self.paths.take(order)
        taken._sizes = array("i", self.sizes[order].astype(np.int32).tobytes())
        starts = np.append(0, np.cumsum(counts))
        taken._set_boxes(starts, self.boxes[rows], self.labels[rows], self.weights[rows])
        return taken

    @classmethod
    def joined(cls, tables: Sequence["ImageTable"], labels: Sequence[np.ndarray]) -> "ImageTable":
        """Tables end to end; `labels` [K] of each are the new ones of its labels."""
        made = cls()
        for table in tables:
            made._ids += table._ids
            made._sizes += table._sizes
        made.paths = Paths.joined([table.paths for table in tables])
        counts = np.concatenate([np.diff(table.starts) for table in tables])
        new_labels = np.concatenate([new[table.labels] for table, new in zip(tables, labels, strict=True)])
        boxes, weights = (np.concatenate([getattr(table, name) for table in tables]) for name in ("boxes", "weights"))
        made._set_boxes(np.append(0, np.cumsum(counts)), boxes, new_labels, weights)
        return made


def _rows_of(starts: np.ndarray, order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(rows, counts [n]) of the groups with the indices `order` [n]; group i is rows starts[i] to starts[i + 1]."""
    counts = np.diff(starts)[order]
    firsts = starts[order] - (np.cumsum(counts) - counts)
    return np.repeat(firsts, counts) + np.arange(counts.sum()), counts
