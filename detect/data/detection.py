"""What a data set for detection is, whatever the format of its files."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from detect.data.sample import Sample
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


class DetectionData(Protocol):
    """What training, evaluation and crops ask of a data set. A format fills the attributes and `ground_truth`.

    Attributes:
        source: where the annotations come from, for messages.
        images: list of `ImageRecord`.
        categories: list of `{"id", "name"}` by label; its length is K.
        notes: sentences on what was changed in reading, for the log.
    """

    source: Path
    images: list[ImageRecord]
    categories: list[dict[str, Any]]
    notes: list[str]

    def ground_truth(self) -> dict[str, list[dict[str, Any]]]:
        """What the referee compares detections with: a mapping in COCO's form.

        images: id, width, height;  categories: id, name;  annotations: id from 1 on, image_id, category_id, bbox
        [left, top, width, height] in image px, area in px², iscrowd 0 or 1.
        """
        ...

    def __len__(self) -> int:
        return len(self.images)

    def fingerprint(self) -> str:
        """What a run knows the set by: counts to read, and a hash of the names, sizes, boxes, labels and classes."""
        digest = hashlib.sha256(repr(self.categories).encode())
        for image in self.images:
            digest.update(repr((image.id, image.path.name, image.width, image.height)).encode())
            for values in (image.boxes, image.labels, image.weights):
                digest.update(values.tobytes())
        boxes = sum(len(image.boxes) for image in self.images)
        return f"{len(self)} images with {boxes} boxes, SHA-256 {digest.hexdigest()}"

    def sample(self, index: int) -> Sample:
        """Image `index` read from disk, with its boxes, as a `Sample`."""
        image = self.images[index]
        return Sample(image.read(), image.boxes, image.labels, image.weights, image.id)
