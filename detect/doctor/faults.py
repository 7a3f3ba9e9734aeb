"""The faults that readers of annotations collect, as findings: what each id counts, how bad it is, what to do."""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from detect.data.formats.reader import Fault
from detect.doctor.checks import SHOWN, Example, Finding, box_example, located
from detect.doctor.description import DataSet, Split

CORRECT = "correct the records in the labelling tool or the file"
REMOVE = "remove these boxes, or leave them out with data.bad_boxes: drop; a cleaned copy is without them"
IDS = "ids are whole numbers below 2^63; write them without quotes"
LISTS = "a COCO file holds images, annotations and categories"

SHARDS = "write the shards anew"


class Kind(NamedTuple):
    """What a fault's id counts, in the plural, and what to do."""

    says: str
    advice: str


FAULTS = {
    "box.area": Kind("boxes whose area is no number from 0 on", "correct it, or leave 'area' out"),
    "box.bbox": Kind("boxes that are not four finite numbers", "a bbox is [left, top, width, height] in px"),
    "box.category_id": Kind("boxes of a class that is not listed", "list the class, or correct the box's"),
    "box.form": Kind("annotations that are no objects", CORRECT),
    "box.height": Kind("boxes of height 0 or less", REMOVE),
    "box.id": Kind("boxes whose id is no whole number", IDS),
    "box.image_id": Kind("boxes of an image that is not listed", "list the image, or remove the boxes"),
    "box.iscrowd": Kind("boxes whose iscrowd is neither 0 nor 1", CORRECT),
    "box.outside": Kind("boxes outside their image", REMOVE),
    "box.score": Kind("boxes whose score is not from 0 to 1", CORRECT),
    "box.shares": Kind(
        "boxes in shares of the image's sides", "export again with boxes in px, or convert YOLO's text files"
    ),
    "box.tiny": Kind("boxes of less than 0.01 px within their image", REMOVE),
    "box.width": Kind("boxes of width 0 or less", REMOVE),
    "box.pixels": Kind(
        "boxes in px where the format has shares of the image's sides", "a line is: class x y w h, in 0..1"
    ),
    "category.form": Kind("classes that are no objects", CORRECT),
    "category.id": Kind("classes whose id is no whole number", IDS),
    "category.name": Kind("classes without a name", "give every class a name"),
    "category.name_twice": Kind("class names that are listed twice", "join the two classes or rename one"),
    "category.twice": Kind("class ids that occur twice", "give every class an id of its own"),
    "image.file_name": Kind("images whose file_name leads to no file within the folder", "correct the names"),
    "image.form": Kind("image records that are no objects", CORRECT),
    "image.height": Kind("images without a height", "write the height of the upright image in px"),
    "image.id": Kind("images whose id is no whole number", IDS),
    "image.size": Kind(
        "images without a size", "record whole px from 1 on; where none is recorded, the file must tell it"
    ),
    "image.twice": Kind("image ids that occur twice", "give every image an id of its own"),
    "image.width": Kind("images without a width", "write the width of the upright image in px"),
    "annotations.list": Kind("files without a list of annotations", LISTS),
    "categories.empty": Kind("files without a class", "list the classes in 'categories'"),
    "categories.list": Kind("files without a list of classes", LISTS),
    "images.empty": Kind("files without an image", "list the images in 'images'"),
    "csv.form": Kind("tables without the columns that are needed", "name filename, class and the box in the first row"),
    "labels.form": Kind("files of labels that cannot be read", "export them again"),
    "shard.annotations": Kind("images in shards without their annotations", SHARDS),
    "shard.form": Kind("shards that are no tar files that can be read", "copy them again, or write them anew"),
    "shard.images": Kind("shards with another number of images than the index says", SHARDS),
    "shard.size": Kind("shards of another size than the index says", "copy them again, or write them anew"),
    "xml.form": Kind("XML files that cannot be read", "export them again"),
    "images.list": Kind("files without a list of images", LISTS),
}
OTHER = Kind("records that cannot be used", CORRECT)


def fault_findings(data: DataSet) -> Iterator[Finding]:
    """A finding for each id of a fault in any split.

    They are errors, but for boxes that the data's settings say to drop: those are warnings.
    """
    ids = sorted({fault_id for split in data.splits for fault_id in split.faults})
    for fault_id in ids:
        splits = [split for split in data.splits if fault_id in split.faults]
        kind = FAULTS.get(fault_id, OTHER)
        dropped = all(split.bad_boxes == "drop" and split.faults[fault_id].first[0].is_bad_box for split in splits)
        examples = [_example(split, fault) for split in splits for fault in split.faults[fault_id].first]
        count = sum(split.faults[fault_id].count for split in splits)
        severity = "warning" if dropped else "error"
        yield Finding(fault_id, severity, kind.says, kind.advice, count, examples[:SHOWN])


def _example(split: Split, fault: Fault) -> Example:
    """With the box on its image, where there is one that has four numbers."""
    bad = np.flatnonzero(split.reader.bad).tolist() if fault.is_bad_box else []
    row = next((row for row in bad if split.reader.where(row) == fault.where), None)
    if row is None:
        return Example(*located(split, fault.where), fault.sentence)
    return replace(box_example(split, row, ""), text=fault.sentence)
