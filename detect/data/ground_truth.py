"""What is annotated in a set of images, as columns: what evaluators compare detections with."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """What is annotated in I images, in K classes: n objects and crowds, in the order of their file.

    image_ids: int64 [I], ascending;  sizes: int64 [I, 2], width and height of each image, px;  category_ids: int64 [K],
    ascending;  names: [K], of the classes, each its own;  images: int64 [n], index of each object's image;  labels:
    int64 [n], index of its class;  boxes: float64 [n, 4] xywh in image px;  areas: float64 [n] px², those of the file;
    crowds: bool [n].
    """

    image_ids: np.ndarray
    sizes: np.ndarray
    category_ids: np.ndarray
    names: list[str]
    images: np.ndarray
    labels: np.ndarray
    boxes: np.ndarray
    areas: np.ndarray
    crowds: np.ndarray

    def __len__(self) -> int:
        return len(self.boxes)

    def of_images(self, image_ids: Collection[int]) -> "GroundTruth":
        """The part of these images; ids that are not there are left out."""
        kept = np.isin(self.image_ids, np.array(list(image_ids), dtype=np.int64))
        rows = kept[self.images]
        images = (np.cumsum(kept) - 1)[self.images[rows]]
        columns = (column[rows] for column in (self.labels, self.boxes, self.areas, self.crowds))
        return GroundTruth(self.image_ids[kept], self.sizes[kept], self.category_ids, self.names, images, *columns)

    @cached_property
    def instances(self) -> np.ndarray:
        """Objects of each class, crowds not counted, int64 [K]."""
        return np.bincount(self.labels[~self.crowds], minlength=len(self.category_ids))


def class_names(categories: Sequence[Mapping[str, Any]]) -> list[str]:
    """The names of `{"id", "name"}`, with the id where several have one name."""
    count = Counter(category["name"] for category in categories)
    return [c["name"] if count[c["name"]] == 1 else f"{c['name']} (id {c['id']})" for c in categories]
