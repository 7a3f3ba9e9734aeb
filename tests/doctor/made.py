"""Tiny sets made up for the doctor, sound until a test spoils them."""

import json

import cv2
import numpy as np
from PIL import Image

from detect.config.schema import DataSettings
from detect.doctor.examine import examine, read_set

CLASSES = ("bolt", "washer", "screwdriver")


def photo(seed, width=120, height=90):
    """A made-up photo that looks like no other."""
    coarse = np.random.default_rng(seed).integers(0, 255, (7, 9, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


class Made:
    """A set in a folder: images a0.jpg .. a3.jpg in train, b0.jpg and b1.jpg in val, each with a box of every class.

    `train` and `val` are the contents of their JSON files, to be changed before `examine` writes them.
    """

    def __init__(self, root):
        self.root, self.images = root, root / "images"
        self.images.mkdir(parents=True)
        self.train, self.val = self._split("a", 4, 0), self._split("b", 2, 100)

    def _split(self, letter, count, seed):
        images, boxes = [], []
        for i in range(count):
            self.save(f"{letter}{i}.jpg", photo(seed + i))
            images.append({"id": 10 + i, "file_name": f"{letter}{i}.jpg", "width": 120, "height": 90})
            for label in range(3):
                box = [5 + 30 * label + i, 10 + 3 * i, 20 + 5 * label, 30 + 2 * i]
                boxes.append({"id": len(boxes) + 1, "image_id": 10 + i, "category_id": 1 + label, "bbox": box})
        categories = [{"id": 1 + label, "name": name} for label, name in enumerate(CLASSES)]
        return {"images": images, "annotations": boxes, "categories": categories}

    def save(self, name, image, **options):
        Image.fromarray(image).save(self.images / name, quality=90, **options)

    def add_class(self, name, split="train", number=9):
        getattr(self, split)["categories"].append({"id": number, "name": name})

    def write(self):
        (self.root / "annotations").mkdir(exist_ok=True)
        for split in ("train", "val"):
            if getattr(self, split):
                (self.root / "annotations" / f"{split}.json").write_text(json.dumps(getattr(self, split)))
        return self.root

    def read(self, anchors=None, size=None, bad_boxes="stop"):
        settings = DataSettings(root=str(self.write()), bad_boxes=bad_boxes)
        return read_set(settings, None if anchors is None else np.array(anchors, dtype=float), size)

    def examine(self, thoroughly=True, **options):
        """{id: `Finding`}"""
        return {finding.id: finding for finding in examine(self.read(**options), thoroughly)}
