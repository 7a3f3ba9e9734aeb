"""One description of a data set that all checks look at: its splits as columns, and what it is to be trained with."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from detect.data.formats.reader import Fault, Reader
from detect.data.near_duplicates import Looks, look_at
from detect.data.records import ImageTable
from detect.doctor.looks import Look, look_at_all
from detect.ops.boxes import xywh_to_xyxy

TRAIN = "train"  # the name of splits that are learned from
KEPT = 3  # faults of a kind that are kept beside their number


@dataclass
class Faults:
    """The faults of one id in a split: how many, and the first of them."""

    count: int
    first: list[Fault]


class Split:
    """One split of a data set as its reader gives it, and columns that several checks need.

    Args:
        name: train, val, ...
        reader: whose `faults` were run through.
        faults: what they were, by id.
        bad_boxes: "stop" or "drop", what a training does at a box that nothing can be learned from.
        learn: score from which on a box that a detector found is an object.
    """

    def __init__(
        self,
        name: str,
        reader: Reader,
        faults: dict[str, Faults] | None = None,
        bad_boxes: str = "stop",
        learn: float = 0.5,
    ) -> None:
        self.name, self.reader, self.faults = name, reader, faults or {}
        self.bad_boxes, self.learn = bad_boxes, learn
        self.places, self.labels, self.boxes, self.areas, self.crowds, self.scores = reader.annotations
        self.looks: list[Look] = []  # at the images' files, once `look` was called
        self.seen: Looks | None = None  # how those at the places `sound` look, once it was called thoroughly
        self.sound = np.zeros(0, dtype=np.int64)

    @classmethod
    def read(cls, name: str, reader: Reader, bad_boxes: str = "stop", learn: float = 0.5) -> "Split":
        """Of a reader that has not read yet: all its faults are collected."""
        faults: dict[str, Faults] = {}
        for fault in reader.faults():
            known = faults.setdefault(fault.id, Faults(0, []))
            known.count += 1
            if len(known.first) < KEPT:
                known.first.append(fault)
        return cls(name, reader, faults, bad_boxes, learn)

    @property
    def source(self) -> Path | str:
        return self.reader.source

    @property
    def images(self) -> ImageTable:
        return self.reader.images

    @property
    def categories(self) -> list[dict[str, Any]]:
        return self.reader.categories

    @cached_property
    def names(self) -> list[str]:
        """Of the classes, by label."""
        return [category["name"] for category in self.categories]

    @cached_property
    def paths(self) -> list[str]:
        """Of the images' files."""
        return list(self.images.paths)

    @cached_property
    def sizes(self) -> np.ndarray:
        """int64 [N, 2]: width and height of the images as they are recorded, px."""
        return self.images.sizes

    @cached_property
    def is_object(self) -> np.ndarray:
        """bool [n]: annotations that are single objects with a box that can be learned."""
        return ~(self.crowds | self.reader.bad | (self.scores < self.learn))

    @cached_property
    def corners(self) -> np.ndarray:
        """float32 [n, 4]: the boxes as xyxy, not cut."""
        return xywh_to_xyxy(self.boxes.astype(np.float32))

    @cached_property
    def limits(self) -> np.ndarray:
        """float32 [n, 2]: width and height of each annotation's image, px."""
        return self.sizes[self.places].astype(np.float32)

    @cached_property
    def cut(self) -> np.ndarray:
        """float32 [n, 4]: the boxes as xyxy, cut at the borders of their images."""
        return np.clip(self.corners, 0, np.tile(self.limits, 2))

    @cached_property
    def class_counts(self) -> np.ndarray:
        """int64 [K]: objects of each class."""
        return np.bincount(self.labels[self.is_object], minlength=len(self.categories))

    @cached_property
    def object_counts(self) -> np.ndarray:
        """int64 [N]: objects in each image."""
        return np.bincount(self.places[self.is_object], minlength=len(self.images))

    def rows_of(self, place: int) -> np.ndarray:
        """The annotations of an image."""
        return np.flatnonzero(self.places == place)

    def look(self, thoroughly: bool) -> None:
        """Look at the images' files: at their headers, or at all that they hold."""
        self.looks = look_at_all(self.images, thoroughly)
        if thoroughly:
            self.sound = np.array([place for place, look in enumerate(self.looks) if not look.problem], dtype=np.int64)
            self.seen = look_at(self.paths[place] for place in self.sound.tolist())


@dataclass
class DataSet:
    """What a check is asked about.

    splits: in the order train, val, others; `TRAIN` several times where several sets are joined;  anchors: float64
    [A, 2], width and height in px of the network's input, or None;  size: side of that input in px, or None;
    accept: ids of checks that are not asked.
    """

    splits: Sequence[Split]
    anchors: np.ndarray | None = None
    size: int | None = None
    accept: Collection[str] = ()

    @property
    def trains(self) -> list[Split]:
        """The splits that are learned from; the first gives the classes."""
        return [split for split in self.splits if split.name == TRAIN]

    def split(self, name: str) -> Split | None:
        """The split of this name, if there is one."""
        return next((split for split in self.splits if split.name == name), None)


def objects_by_class(splits: Sequence[Split]) -> dict[str, int]:
    """Objects of each class in these splits together, classes in the order of their ids; those of one name are one."""
    counts: dict[str, int] = {}
    for split in splits:
        for name, count in zip(split.names, split.class_counts.tolist(), strict=True):
            counts[name] = counts.get(name, 0) + count
    return counts
