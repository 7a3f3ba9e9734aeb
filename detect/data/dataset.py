"""The images of one split with their boxes, whatever format they were read from: what training learns and is told."""

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from detect.data.detection import DetectionData
from detect.data.formats.coco_json import CocoReader
from detect.data.formats.opening import open_split
from detect.data.formats.reader import Reader
from detect.data.ground_truth import GroundTruth, class_names
from detect.errors import UserError
from detect.files import printable
from detect.ops.boxes import xywh_to_xyxy

if TYPE_CHECKING:
    from detect.config.schema import DataSettings, SetSettings


class Dataset(DetectionData):
    """The images of one split, in the order of their ids.

    Category ids are the files' own, whatever they are; label k is the k-th of them in ascending order. A box with a
    `score` was found by a detector (`detect label` writes such files): it is an object from the score `learn` on, an
    ignore region from `ignore` on, and left out below. Crowds are ignore regions too.

    Attributes: see `DetectionData`; the notes tell of boxes that were dropped, and of ignore regions.

    Args:
        reader: of the split, not read yet.
        bad_boxes: "stop" or "drop", what a box does that nothing can be learned from.
        learn, ignore: scores, 0..1.
        weighted: boxes with a score count by it.

    Raises:
        UserError: an annotation cannot be used.
    """

    def __init__(
        self,
        reader: Reader,
        bad_boxes: str = "stop",
        learn: float = 0.5,
        ignore: float = 0.2,
        weighted: bool = False,
    ) -> None:
        self.source = reader.source
        self.notes = []
        self._read(reader, bad_boxes)
        reader.release()
        self.categories = reader.categories
        self._annotations, self._image_ids = reader.annotations, reader.images.ids
        self._weights = self._weigh(reader.bad, learn, ignore, weighted)
        self._place_boxes(reader)
        self.images = reader.images.take(np.argsort(self._image_ids, kind="stable"))

    @classmethod
    def of_split(cls, data: "DataSettings", split: str) -> "Dataset":
        """The split `split` of the data that `DataSettings` describe.  Raises UserError."""
        return cls.of_reader(open_split(data, split), data)

    @classmethod
    def of_reader(cls, reader: Reader, data: "SetSettings") -> "Dataset":
        """Of a reader, with what the settings say of its set.  Raises UserError."""
        return cls(reader, data.bad_boxes, data.pseudo.learn, data.pseudo.ignore, data.pseudo.weighted)

    @classmethod
    def of_coco(cls, annotations: str | PathLike[str], images: str | PathLike[str], **options: Any) -> "Dataset":
        """Of a COCO JSON file and a folder of images; `options` as of the class.  Raises UserError."""
        return cls(CocoReader.of_file(Path(annotations), Path(images)), **options)

    def ground_truth(self) -> GroundTruth:
        """See `DetectionData`. The boxes are those of the file: uncut, bad ones and crowds among them.

        Boxes with a score are objects, crowds (which COCO's evaluation ignores) or left out, as in training. Image and
        category ids stay. Where `area` or `iscrowd` is missing, the box's area and 0 stand in. Boxes without extent are
        left to pycocotools, which finds no match for them.
        """
        told = self._weights >= 0
        places, labels, boxes, areas, _, _ = (column[told] for column in self._annotations)
        image_ids, sizes = (column.astype(np.int64) for column in (self.images.ids, self.images.sizes))
        category_ids = np.array([category["id"] for category in self.categories], dtype=np.int64)
        images, crowds = np.searchsorted(image_ids, self._image_ids[places]), self._weights[told] == 0
        columns = (images, labels.astype(np.int64), boxes, areas, crowds)
        return GroundTruth(image_ids, sizes, category_ids, class_names(self.categories), *columns)

    def _read(self, reader: Reader, bad_boxes: str) -> None:
        """Raise the first fault as a UserError, or note how many bad boxes are dropped."""
        bad = []
        for fault in reader.faults():
            if not fault.is_bad_box:
                raise UserError(reader.message(fault))
            bad.append(fault)
        if bad and bad_boxes == "stop":
            more = f" (and {len(bad) - 1} more like it)" if len(bad) > 1 else ""
            raise UserError(f"{reader.message(bad[0])}{more}; remove it, or set data.bad_boxes=drop")
        if bad:
            first = reader.message(bad[0]).removeprefix(f"{printable(self.source)}: ")
            self.notes.append(f"{self.source}: dropped {len(bad)} bad boxes, the first: {first}")
        self.notes += reader.notes

    def _weigh(self, bad: np.ndarray, learn: float, ignore: float, weighted: bool) -> np.ndarray:
        """The weight of each annotation, float32 [n] as of a `Sample`; -1: it is left out. `bad` ones are not noted."""
        scores, crowds = self._annotations.scores, self._annotations.crowds
        weights = np.where(np.isnan(scores) | (scores >= learn), 1.0, np.where(scores >= ignore, 0.0, -1.0))
        if weighted:
            weights = np.where(scores >= learn, scores, weights)
        weights[crowds] = 0
        scored = weights[~np.isnan(scores) & ~crowds & ~bad]
        if len(scored):
            self.notes.append(
                f"{self.source}: of {len(scored)} boxes with a score, {(scored > 0).sum()} are learned (from {learn:g}"
                f" on{', by their score' if weighted else ''}), {(scored == 0).sum()} are ignore regions (from "
                f"{ignore:g} on), {(scored < 0).sum()} are left out"
            )
        if crowds.any():
            self.notes.append(f"{self.source}: {crowds.sum()} crowds are ignore regions")
        return weights.astype(np.float32)

    def _place_boxes(self, reader: Reader) -> None:
        """Give every image its boxes, cut at its borders; bad ones and those without a weight are left out."""
        rows = np.flatnonzero((self._weights >= 0) & ~reader.bad)
        places, labels, boxes, *_ = (column[rows] for column in reader.annotations)
        weights, limits = self._weights[rows], reader.images.sizes[places]
        boxes = np.clip(xywh_to_xyxy(boxes.astype(np.float32)), 0, np.tile(limits, 2).astype(np.float32))
        has_extent = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)  # crowds may be anything
        reader.images.place_boxes(*(column[has_extent] for column in (places, boxes, labels, weights)))
