"""Where the COCO JSON of each split lies in a data folder, and COCO's lists of images without annotations."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from detect.data.formats.coco_json import CocoReader
from detect.data.formats.splits import named
from detect.data.records import ImageTable
from detect.errors import UserError
from detect.files import missing

if TYPE_CHECKING:
    from detect.config.schema import SetSettings

# JSON file and folder of images, unless data.splits says otherwise (data/README.md)
LAYOUTS = (
    ("annotations/instances_{split}2017.json", "{split}2017"),  # COCO as it is unpacked
    ("annotations/instances_{split}2017.json", "images/{split}2017"),
    ("annotations/instances_{split}.json", "images/{split}"),  # CVAT
    ("annotations/instances_{split}.json", "images"),
    ("annotations/{split}.json", "images/{split}"),
    ("annotations/{split}.json", "images"),
    ("{split}/_annotations.coco.json", "{split}"),  # Roboflow
)
LONE = ("annotations/*.json", "*.json")  # a file that is the only one: Label Studio's result.json, say
PEEK = 1 << 20  # bytes
NO_BOXES = ("captions_", "person_keypoints_", "image_info_", "stuff_", "panoptic_")  # COCO's other files
LOOKED_FOR = "annotations/train.json with images/, or as COCO, CVAT, Roboflow and Label Studio lay it out"


def found(root: Path) -> bool:
    """Whether the file or folder `root` looks like data in this format."""
    return root.suffix == ".json" if os.path.isfile(root) else bool(_laid_out(root) or _lone(root))


class Place(NamedTuple):
    """A JSON file and the folder of its images; by_end: as of `ImageFiles`, for a tool's own idea of that folder."""

    annotations: Path
    images: Path
    by_end: bool = False


def places(data: "SetSettings") -> dict[str, Place]:
    """The files of each split."""
    root = Path(data.root)
    if os.path.isfile(root):
        return {"train": Place(root, _images_of(root.parent, root), by_end=True)}
    own = {name: Place(root / split.annotations, root / split.images) for name, split in data.splits.items()}
    return (_laid_out(root) or _lone(root)) | own


def open_place(data: "SetSettings", place: Place) -> CocoReader:
    """The reader of a split.  Raises UserError."""
    return CocoReader.of_file(place.annotations, place.images, by_end=place.by_end)


def _laid_out(root: Path) -> dict[str, Place]:
    laid_out: dict[str, Place] = {}
    taken: set[Path] = set()
    for annotations, images in LAYOUTS:
        for path, split in _matching(root, annotations):
            folder = root / images.format(split=split)
            if path not in taken and os.path.isdir(folder) and not split.startswith(NO_BOXES):
                laid_out.setdefault(split, Place(path, folder))
                taken.add(path)
    return named(laid_out)


def _matching(root: Path, pattern: str) -> Iterator[tuple[Path, str]]:
    """The files of a layout, each with the name of its split."""
    form = re.compile(re.escape(pattern).replace(r"\{split\}", "([^/]+)"))
    for path in sorted(root.glob(pattern.replace("{split}", "*"))):
        if match := form.fullmatch(path.relative_to(root).as_posix()):
            yield path, match[1]


def _lone(root: Path) -> dict[str, Place]:
    for pattern in LONE:
        files = [path for path in sorted(root.glob(pattern)) if not path.name.startswith(NO_BOXES) and _is_coco(path)]
        if len(files) == 1:
            return {"train": Place(files[0], _images_of(root, files[0]), by_end=True)}
    return {}


def _is_coco(path: Path) -> bool:
    """Whether a JSON file names `images` at its beginning or end, where COCO's lists begin and end."""
    try:
        with open(path, "rb") as file:
            start = file.read(PEEK)
            file.seek(max(os.path.getsize(path) - PEEK, 0))
            return b'"images"' in start or b'"images"' in file.read(PEEK)
    except OSError:
        return False


def _images_of(root: Path, annotations: Path) -> Path:
    """The folder of the images of a lone file of annotations."""
    candidates = [root / "images" / "default", root / "images", annotations.parent]
    return next(folder for folder in candidates if os.path.isdir(folder))


def read_image_list(path: Path, folder: Path) -> tuple[ImageTable, list[dict[str, Any]]]:
    """Images, in the file's order, and categories, [] if it names none, of a COCO file without annotations.

    Raises:
        UserError: the file is not COCO JSON, or a record in it cannot be used.
    """
    reader = CocoReader.of_file(path, folder, has_annotations=False)
    for fault in reader.faults():
        raise UserError(reader.message(fault))
    return reader.images, reader.categories


def paths_of_test_dev(data: "SetSettings") -> tuple[Path, Path]:
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
