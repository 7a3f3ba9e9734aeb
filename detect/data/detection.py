"""What a data set for detection is, whatever the format of its files."""

import hashlib
from pathlib import Path
from typing import Any, Protocol

from detect.data.ground_truth import GroundTruth
from detect.data.records import ImageTable
from detect.data.sample import Sample


class DetectionData(Protocol):
    """What training, evaluation and crops ask of a data set: `Dataset` of one split, `JoinedDataset` of several sets.

    Attributes:
        source: where the annotations come from, for messages.
        images: `ImageTable`, a sequence of `ImageRecord`.
        categories: list of `{"id", "name"}` by label; its length is K.
        notes: sentences on what was changed in reading, for the log.
    """

    source: Path | str
    images: ImageTable
    categories: list[dict[str, Any]]
    notes: list[str]

    def ground_truth(self) -> GroundTruth:
        """What evaluators compare detections with; its K classes are `categories`, by the same labels."""
        ...

    def __len__(self) -> int:
        return len(self.images)

    def fingerprint(self) -> str:
        """What a run knows the set by: counts to read, and a hash of the names, sizes, boxes, labels and classes."""
        images = self.images
        digest = hashlib.sha256(repr((self.categories, list(images.names()))).encode())
        for column in (images.ids, images.sizes, images.starts, images.boxes, images.labels, images.weights):
            digest.update(column.tobytes())
        return f"{len(self)} images with {len(images.boxes)} boxes, SHA-256 {digest.hexdigest()}"

    def sample(self, index: int) -> Sample:
        """Image `index` read from disk, with its boxes, as a `Sample`."""
        image = self.images[index]
        return Sample(image.read(), image.boxes, image.labels, image.weights, image.id)
