"""Detection data in COCO's JSON format: a checked list of images with boxes, labels 0..K-1 inside."""

import itertools
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from detect.data.sample import Sample
from detect.errors import UserError, nearest
from detect.files import missing, read_json, stays_inside
from detect.ops.boxes import clip, xywh_to_xyxy
from detect.ops.image import read_image

# where a split lies in a data folder, unless data.splits says otherwise (data/README.md)
LAYOUTS = (
    ("annotations/instances_{split}2017.json", "{split}2017"),
    ("annotations/{split}.json", "images/{split}"),
    ("annotations/{split}.json", "images"),
)
MAX_SIDE = 100_000  # px
SMALLEST_SIDE = 0.01  # px; less than that vanishes in float32


@dataclass
class ImageRecord:
    """One image of a set; boxes float32 [n, 4] xyxy in image px, labels int64 [n]; crowds are left out."""

    id: int
    path: Path
    width: int
    height: int
    boxes: np.ndarray = field(default_factory=lambda: np.zeros((0, 4), np.float32))
    labels: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))

    def read(self):
        """The image, uint8 RGB [height, width, 3].  Raises UserError, also when its size is not the recorded one."""
        image = read_image(self.path)
        height, width = image.shape[:2]
        if (width, height) != (self.width, self.height):
            raise UserError(
                f"{self.path}: is {width}x{height} px upright, but its annotation says {self.width}x{self.height}; "
                f"correct the record of image {self.id}"
            )
        return image


class CocoDataset:
    """The images of one COCO JSON file, in the order of their ids.

    Category ids are the file's own, whatever they are; label k is the k-th of them in ascending order.

    Attributes:
        annotations: path of the JSON file.
        images: list of `ImageRecord`.
        categories: list of `{"id", "name"}` by ascending id; its length is K.
        notes: sentences on boxes that were cut or dropped, for the log.

    Raises:
        UserError: the file is not COCO JSON, or a record in it cannot be used.
    """

    def __init__(self, annotations, images, bad_boxes="stop"):
        self.annotations = Path(annotations)
        self.folder = Path(images)
        self.notes = []
        content = read_json(self.annotations)
        if not isinstance(content, dict):
            self._fail("is no COCO file; it must be an object with images, annotations and categories")
        if not self.folder.is_dir():
            raise missing(self.folder)
        self.categories = self._read_categories(content)
        images = self._read_images(content)
        self._read_boxes(content, images, bad_boxes)
        self.images = [images[i] for i in sorted(images)]

    @classmethod
    def of_split(cls, data, split):
        """The split `split` of a data folder described by `DataSettings`."""
        annotations, images = split_paths(data, split)
        return cls(annotations, images, data.bad_boxes)

    def check_files(self):
        """Raise UserError unless every image's file is there."""
        absent = [image.path for image in self.images if not image.path.is_file()]
        if absent:
            raise UserError(f"{self.annotations}: {len(absent)} of its images are not there, the first: {absent[0]}")

    def __len__(self):
        return len(self.images)

    def sample(self, index):
        """Image `index` read from disk, with its boxes, as a `Sample`."""
        image = self.images[index]
        return Sample(image.read(), image.boxes, image.labels, image.id)

    def _fail(self, sentence):
        raise UserError(f"{self.annotations}: {sentence}")

    def _records(self, content, key, required):
        records = content.get(key)
        if not isinstance(records, list):
            self._fail(f"has no list '{key}'; a COCO file holds images, annotations and categories")
        for number, record in enumerate(records):
            if not isinstance(record, dict):
                self._fail(f"{key}[{number}] is no object")
            for name in required:
                if name not in record:
                    self._fail(f"{key}[{number}] has no '{name}'{nearest(name, record)}")
            for name in {"id", "image_id", "category_id"} & record.keys():
                if isinstance(record[name], bool) or not isinstance(record[name], int):
                    self._fail(f"{key}[{number}] has the {name} {record[name]!r}; ids are whole numbers")
        return records

    def _read_categories(self, content):
        records = self._records(content, "categories", ("id", "name"))
        if not records:
            self._fail("lists no categories")
        categories = sorted(({"id": r["id"], "name": str(r["name"])} for r in records), key=lambda c: c["id"])
        for first, second in itertools.pairwise(categories):
            if first["id"] == second["id"]:
                self._fail(f"category id {first['id']} occurs twice ('{first['name']}', '{second['name']}')")
        return categories

    def _read_images(self, content):
        images = {}
        folder = self.folder.resolve()
        for record in self._records(content, "images", ("id", "file_name", "width", "height")):
            size = record["width"], record["height"]
            if not all(isinstance(s, int) and not isinstance(s, bool) and 0 < s < MAX_SIDE for s in size):
                self._fail(f"image {record['id']} has the size {size[0]!r} x {size[1]!r}; give whole px from 1 on")
            if record["id"] in images:
                self._fail(f"image id {record['id']} occurs twice")
            name = record["file_name"]
            if not stays_inside(name) or not (folder / name).resolve().is_relative_to(folder):
                self._fail(f"image {record['id']}: file_name {name!r} does not name a file within {self.folder}")
            images[record["id"]] = ImageRecord(record["id"], folder / name, *size)
        if not images:
            self._fail("lists no images")
        return images

    def _read_boxes(self, content, images, bad_boxes):
        labels = {category["id"]: label for label, category in enumerate(self.categories)}
        found = {image_id: [] for image_id in images}
        bad, cut = [], 0
        for number, record in enumerate(self._records(content, "annotations", ("image_id", "category_id", "bbox"))):
            name = f"box {record.get('id', number)} of image {record['image_id']}"
            if record["image_id"] not in images:
                self._fail(f"{name}: there is no image {record['image_id']} in 'images'")
            if record["category_id"] not in labels:
                self._fail(f"{name} has category {record['category_id']}{nearest(record['category_id'], labels)}")
            box = record["bbox"]
            if not (isinstance(box, list) and len(box) == 4 and all(_is_number(v) for v in box)):
                self._fail(f"{name} is {str(box)[:60]}; a bbox is [left, top, width, height] in px")
            if record.get("iscrowd"):
                continue
            image = images[record["image_id"]]
            problem = _box_problem(box, image)
            if problem:
                bad.append(f"{name} {problem}")
                continue
            left, top, width, height = box
            beyond = max(-left, -top, left + width - image.width, top + height - image.height)
            cut += beyond > 1
            found[record["image_id"]].append((box, labels[record["category_id"]]))

        if bad and bad_boxes == "stop":
            more = f" (and {len(bad) - 1} more like it)" if len(bad) > 1 else ""
            self._fail(f"{bad[0]}{more}; remove it, or set data.bad_boxes=drop")
        if bad:
            self.notes.append(f"{self.annotations}: dropped {len(bad)} bad boxes, the first: {bad[0]}")
        if cut:
            self.notes.append(f"{self.annotations}: cut {cut} boxes that reach beyond their image")
        for image_id, boxes in found.items():
            if boxes:
                image = images[image_id]
                xyxy = xywh_to_xyxy([box for box, _ in boxes])
                image.boxes = clip(xyxy, image.width, image.height)
                image.labels = np.array([label for _, label in boxes], dtype=np.int64)


def has_split(data, split):
    """Whether the data that `DataSettings` describe names or holds annotations of the split."""
    files = [Path(data.root, annotations.format(split=split)) for annotations, _ in LAYOUTS]
    return split in data.splits or any(path.is_file() for path in files)


def split_paths(data, split):
    """(annotations file, image folder) of a split of a data folder described by `DataSettings`.  Raises UserError."""
    root = Path(data.root)
    if not root.is_dir():
        raise UserError(f"data.root: no such folder {root}; lay the data out as data/README.md says, or set data.root")
    if split in data.splits:
        return root / data.splits[split].annotations, root / data.splits[split].images
    tried = []
    for annotations, images in LAYOUTS:
        annotations, images = root / annotations.format(split=split), root / images.format(split=split)
        if annotations.is_file() and images.is_dir():
            return annotations, images
        tried.append(f"{annotations.relative_to(root)} with {images.relative_to(root)}/")
    raise UserError(f"{root}: no split '{split}'; looked for {', '.join(tried)}; name others in data.splits")


def paths_of_test_dev(data):
    """(image list, image folder) of COCO's test-dev in the data that `DataSettings` describe.  Raises UserError."""
    if "test-dev" in data.splits:
        split = data.splits["test-dev"]
        return Path(data.root, split.annotations), Path(data.root, split.images)
    info = Path(data.root, "annotations", "image_info_test-dev2017.json")
    images = Path(data.root, "test2017")
    for path in (info, images):
        if not path.exists():
            raise missing(path)
    return info, images


def _is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e9


def _box_problem(box, image):
    """What makes [left, top, width, height] unfit to learn from, or None."""
    left, top, width, height = box
    if width <= 0:
        return f"has width {width:g}"
    if height <= 0:
        return f"has height {height:g}"
    cut_width = min(left + width, image.width) - max(left, 0)
    cut_height = min(top + height, image.height) - max(top, 0)
    if cut_width <= 0 or cut_height <= 0:
        return f"lies outside its image of {image.width}x{image.height} px"
    if min(cut_width, cut_height) < SMALLEST_SIDE:
        return f"has less than {SMALLEST_SIDE} px of width or height within its image"
    return None
