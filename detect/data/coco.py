"""Detection data in COCO's JSON format: a checked list of images with boxes, labels 0..K-1 inside."""

import itertools
import os
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from detect.data.coco_json import CocoReader, read_object
from detect.data.detection import DetectionData, ImageRecord
from detect.errors import UserError
from detect.files import missing
from detect.ops.boxes import xywh_to_xyxy

if TYPE_CHECKING:
    from detect.config.schema import DataSettings

# where a split lies in a data folder, unless data.splits says otherwise (data/README.md)
LAYOUTS = (
    ("annotations/instances_{split}2017.json", "{split}2017"),
    ("annotations/{split}.json", "images/{split}"),
    ("annotations/{split}.json", "images"),
)


class CocoDataset(DetectionData):
    """The images of one COCO JSON file, in the order of their ids.

    Category ids are the file's own, whatever they are; label k is the k-th of them in ascending order. A box with a
    `score` was found by a detector (`detect label` writes such files): it is an object from the score `learn` on, an
    ignore region from `ignore` on, and left out below. Crowds are ignore regions too.

    Attributes: see `DetectionData`; the notes tell of boxes that were cut or dropped, and of ignore regions.

    Args:
        annotations: path of the JSON file.
        images: folder of the images.
        bad_boxes: "stop" or "drop", what a box does that nothing can be learned from.
        learn, ignore: scores, 0..1.
        weighted: boxes with a score count by it.

    Raises:
        UserError: the file is not COCO JSON, or a record in it cannot be used.
    """

    def __init__(
        self,
        annotations: str | PathLike[str],
        images: str | PathLike[str],
        bad_boxes: str = "stop",
        learn: float = 0.5,
        ignore: float = 0.2,
        weighted: bool = False,
    ) -> None:
        self.source = Path(annotations)
        self.notes = []
        reader = open_reader(self.source, Path(images))
        self._read(reader, bad_boxes)
        reader.content.clear()  # gigabytes, for COCO's
        self.categories = reader.categories
        self.images = sorted(reader.images, key=lambda image: image.id)
        self._annotations = reader.annotations
        self._image_ids = [image.id for image in reader.images]
        self._weights = self._weigh(reader.bad, learn, ignore, weighted)
        self._place_boxes(reader)
        self._note_twins()

    @classmethod
    def of_split(cls, data: "DataSettings", split: str) -> "CocoDataset":
        """The split `split` of a data folder described by `DataSettings`."""
        annotations, images = split_paths(data, split)
        return cls(annotations, images, data.bad_boxes, data.pseudo.learn, data.pseudo.ignore, data.pseudo.weighted)

    def ground_truth(self) -> dict[str, list[dict[str, Any]]]:
        """See `DetectionData`. The boxes are those of the file: uncut, bad ones and crowds among them.

        Boxes with a score are objects, crowds (which COCO's evaluation ignores) or left out, as in training. Image and
        category ids stay. Annotations are numbered anew from 1: COCOeval takes an id of 0, which several labelling
        tools write, for "not found", and mixes up two of the same id. Where `area` or `iscrowd` is missing, the box's
        area and 0 stand in. Boxes without extent are left to pycocotools, which finds no match for them.

        """
        category_ids = [category["id"] for category in self.categories]
        told = self._weights >= 0
        places, labels, boxes, areas, _, _ = (column[told].tolist() for column in self._annotations)
        crowds = (self._weights[told] == 0).tolist()
        rows = zip(places, labels, boxes, areas, crowds, strict=True)
        annotations = [
            {
                "id": number, "image_id": self._image_ids[place], "category_id": category_ids[label],
                "bbox": box, "area": area, "iscrowd": int(is_crowd),
            }
            for number, (place, label, box, area, is_crowd) in enumerate(rows, 1)
        ]  # fmt: skip
        images = [{"id": image.id, "width": image.width, "height": image.height} for image in self.images]
        return {"images": images, "categories": self.categories, "annotations": annotations}

    def _read(self, reader: CocoReader, bad_boxes: str) -> None:
        """Raise the first fault as a UserError, or note how many bad boxes are dropped."""
        bad = []
        for fault in reader.faults():
            if not fault.is_bad_box:
                raise UserError(f"{self.source}: {fault.sentence}")
            if bad_boxes == "stop":
                others = int(reader.bad.sum()) - 1
                more = f" (and {others} more like it)" if others else ""
                raise UserError(f"{self.source}: {fault.sentence}{more}; remove it, or set data.bad_boxes=drop")
            bad.append(fault)
        if bad:
            self.notes.append(f"{self.source}: dropped {len(bad)} bad boxes, the first: {bad[0].sentence}")
        self.notes += reader.files.notes(self.source)

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

    def _place_boxes(self, reader: CocoReader) -> None:
        """Give every image its boxes, cut at its borders; bad ones and those without a weight are left out."""
        places, labels, boxes, *_ = reader.annotations
        rows = np.flatnonzero((self._weights >= 0) & ~reader.bad)
        rows = rows[np.argsort(places[rows], kind="stable")]
        places, labels, boxes, weights = places[rows], labels[rows].astype(np.int64), boxes[rows], self._weights[rows]
        sizes = np.array([(image.width, image.height) for image in reader.images])
        limits = sizes[places]
        beyond = np.maximum(-boxes[:, :2], boxes[:, :2] + boxes[:, 2:] - limits).max(axis=1)
        cut = int(((beyond > 1) & (weights > 0)).sum())
        if cut:
            self.notes.append(f"{self.source}: cut {cut} boxes that reach beyond their image")
        boxes = np.clip(xywh_to_xyxy(boxes), 0, np.tile(limits, 2).astype(np.float32))
        has_extent = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)  # crowds may be anything
        places, labels, boxes, weights = (column[has_extent] for column in (places, labels, boxes, weights))
        starts = np.searchsorted(places, np.arange(len(sizes) + 1)).tolist()
        for image, (start, end) in zip(reader.images, itertools.pairwise(starts), strict=True):
            if end > start:
                image.boxes, image.labels, image.weights = boxes[start:end], labels[start:end], weights[start:end]

    def _note_twins(self) -> None:
        """Note the files that several records name, each with boxes of its own."""
        first: dict[Path, ImageRecord] = {}
        twins = []
        for image in self.images:
            other = first.setdefault(image.path, image)
            if image is not other and not _same_boxes(image, other):
                twins.append((other, image))
        if twins:
            one, other = twins[0]
            self.notes.append(
                f"{self.source}: {len(twins)} images are listed twice with other boxes, so that each is background "
                f"where the other has objects; the first: {one.path.name}, ids {one.id} and {other.id}; list it once"
            )


def _same_boxes(one: ImageRecord, other: ImageRecord) -> bool:
    rows = (np.column_stack([image.boxes, image.labels, image.weights]).tolist() for image in (one, other))
    return sorted(next(rows)) == sorted(next(rows))


def read_image_list(path: Path, folder: Path) -> tuple[list[ImageRecord], list[dict[str, Any]]]:
    """Images, in the file's order, and categories, [] if it names none, of a COCO file without annotations.

    Raises:
        UserError: the file is not COCO JSON, or a record in it cannot be used.
    """
    reader = open_reader(path, folder, has_annotations=False)
    for fault in reader.faults():
        raise UserError(f"{path}: {fault.sentence}")
    return reader.images, reader.categories


def open_reader(path: Path, folder: Path, has_annotations: bool = True) -> CocoReader:
    """The `CocoReader` of a file.  Raises UserError when it is no JSON object or `folder` is not there."""
    content = read_object(path)
    if not os.path.isdir(folder):
        raise missing(folder)
    return CocoReader(content, folder, has_annotations)


def has_split(data: "DataSettings", split: str) -> bool:
    """Whether the data that `DataSettings` describe names or holds annotations of the split."""
    files = [Path(data.root, annotations.format(split=split)) for annotations, _ in LAYOUTS]
    return split in data.splits or any(map(os.path.isfile, files))


def split_paths(data: "DataSettings", split: str) -> tuple[Path, Path]:
    """(annotations file, image folder) of a split of a data folder described by `DataSettings`.  Raises UserError."""
    root = Path(data.root)
    if not os.path.isdir(root):
        raise UserError(f"data.root: no such folder {root}; lay the data out as data/README.md says, or set data.root")
    if split in data.splits:
        return root / data.splits[split].annotations, root / data.splits[split].images
    tried = []
    for annotations, images in LAYOUTS:
        annotations, images = root / annotations.format(split=split), root / images.format(split=split)
        if os.path.isfile(annotations) and os.path.isdir(images):
            return annotations, images
        tried.append(f"{annotations.relative_to(root)} with {images.relative_to(root)}/")
    raise UserError(f"{root}: no split '{split}'; looked for {', '.join(tried)}; name others in data.splits")


def paths_of_test_dev(data: "DataSettings") -> tuple[Path, Path]:
    """(image list, image folder) of COCO's test-dev in the data that `DataSettings` describe.  Raises UserError."""
    if "test-dev" in data.splits:
        split = data.splits["test-dev"]
        return Path(data.root, split.annotations), Path(data.root, split.images)
    info = Path(data.root, "annotations", "image_info_test-dev2017.json")
    images = Path(data.root, "test2017")
    for path in (info, images):
        if not os.path.exists(path):
            raise missing(path)
    return info, images
