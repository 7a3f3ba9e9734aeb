"""Columns of COCO's annotations, filled many records at once: a file of 860,000 of them is checked in seconds."""

import math
from array import array
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np

from detect.data.formats.reader import MAX_NUMBER, Annotations

MAX_ID = 2**63  # COCO's evaluation sorts ids as 64-bit numbers
NUMBERS = {int, float}


class AnnotationColumns:
    """`Annotations` in the making; `numbers`: the place of each in the file's list."""

    def __init__(self) -> None:
        self.numbers, self._places, self._labels = array("i"), array("i"), array("i")
        self._boxes, self._areas, self._crowds, self._scores = array("d"), array("d"), array("b"), array("d")
        self.outlines = 0

    def add(self, number: int, record: Mapping[str, Any], place: int, label: int) -> None:
        """Add a record that has no fault."""
        box, area, score = record["bbox"], record.get("area"), record.get("score")
        self.numbers.append(number)
        self._places.append(place)
        self._labels.append(label)
        self._boxes.extend(box)
        self._areas.append(box[2] * box[3] if area is None else area)
        self._crowds.append(bool(record.get("iscrowd")))
        self._scores.append(math.nan if score is None else score)
        self.outlines += bool(record.get("segmentation"))

    def add_plain(
        self, start: int, records: Sequence[Any], places: Mapping[Any, Any], labels: Mapping[Any, int]
    ) -> bool:
        """Add records, numbered from `start` on, if none of them can have a fault; returns whether it did.

        Args:
            places, labels: of images and categories by their ids; a place is None where an image has a fault.
        """
        try:
            if set(map(type, records)) != {dict}:
                return False
            image_ids, category_ids, boxes = ([record[key] for record in records] for key in KEYS)
            if set(map(type, chain(image_ids, category_ids, (record.get("id", 0) for record in records)))) != {int}:
                return False
            if any(abs(record.get("id", 0)) >= MAX_ID for record in records):
                return False
            found_places, found_labels = [places[i] for i in image_ids], [labels[i] for i in category_ids]
            if None in found_places or set(map(type, boxes)) != {list} or set(map(len, boxes)) != {4}:
                return False
            if not set(map(type, chain.from_iterable(boxes))) <= NUMBERS:
                return False
            sides = np.fromiter(chain.from_iterable(boxes), np.float64, 4 * len(boxes))
            areas, scores = (_numbers([record.get(key) for record in records]) for key in ("area", "score"))
            crowds = [record.get("iscrowd") for record in records]
            if areas is None or scores is None or not {None, 0, 1} >= set(crowds):
                return False
        except (KeyError, TypeError, OverflowError):  # a field that is missing, a value that is no number
            return False
        if not (np.abs(sides) < MAX_NUMBER).all() or (areas < 0).any() or (scores < 0).any() or (scores > 1).any():
            return False
        own = sides[2::4] * sides[3::4]
        self.numbers.extend(range(start, start + len(records)))
        self._places.extend(found_places)
        self._labels.extend(found_labels)
        self._boxes.frombytes(sides.tobytes())
        self._areas.frombytes(np.where(np.isnan(areas), own, areas).tobytes())
        self._crowds.extend(map(bool, crowds))
        self._scores.frombytes(scores.tobytes())
        self.outlines += sum(bool(record.get("segmentation")) for record in records)
        return True

    def in_order(self) -> tuple[np.ndarray, Annotations]:
        """(numbers [n], annotations) of all that was added, in the order of the file."""
        columns = (self._places, self._labels, self._boxes, self._areas, self._crowds, self._scores)
        places, labels, boxes, areas, crowds, scores = map(np.asarray, columns)
        numbers = np.asarray(self.numbers)
        annotations = Annotations(places, labels, boxes.reshape(-1, 4), areas, crowds.view(bool), scores)
        if (np.diff(numbers) > 0).all():
            return numbers, annotations
        order = np.argsort(numbers)
        return numbers[order], Annotations(*(column[order] for column in annotations))


KEYS = ("image_id", "category_id", "bbox")


def _numbers(values: Sequence[Any]) -> np.ndarray | None:
    """float64 [n], nan for None; None if one of them is neither that nor a finite number of sane size."""
    types = set(map(type, values))
    if types == {type(None)}:
        return np.full(len(values), math.nan)
    if not types <= NUMBERS | {type(None)}:
        return None
    numbers = np.array([math.nan if value is None else value for value in values], dtype=np.float64)
    given = ~np.isnan(numbers)
    is_sane = given.sum() == sum(value is not None for value in values) and (np.abs(numbers[given]) < MAX_NUMBER).all()
    return numbers if is_sane else None
