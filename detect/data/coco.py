"""Where the COCO JSON of a split lies in a data folder, and COCO's lists of images without annotations."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detect.data.coco_json import CocoReader
from detect.data.records import ImageTable
from detect.errors import UserError
from detect.files import missing

if TYPE_CHECKING:
    from detect.config.schema import DataSettings

# where a split lies in a data folder, unless data.splits says otherwise (data/README.md)
LAYOUTS = (
    ("annotations/instances_{split}2017.json", "{split}2017"),
    ("annotations/{split}.json", "images/{split}"),
    ("annotations/{split}.json", "images"),
)


def read_image_list(path: Path, folder: Path) -> tuple[ImageTable, list[dict[str, Any]]]:
    """Images, in the file's order, and categories, [] if it names none, of a COCO file without annotations.

    Raises:
        UserError: the file is not COCO JSON, or a record in it cannot be used.
    """
    reader = CocoReader.of_file(path, folder, has_annotations=False)
    for fault in reader.faults():
        raise UserError(reader.message(fault))
    return reader.images, reader.categories


def has_split(data: "DataSettings", split: str) -> bool:
    """Whether the data that `DataSettings` describe names or holds annotations of the split."""
    files = [Path(data.root, annotations.format(split=split)) for annotations, _ in LAYOUTS]
    return split in data.splits or any(map(os.path.isfile, files))


def open_split(data: "DataSettings", split: str) -> CocoReader:
    """The reader of a split of a data folder.  Raises UserError."""
    return CocoReader.of_file(*split_paths(data, split))


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
