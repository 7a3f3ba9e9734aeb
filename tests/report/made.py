"""Data sets without files, for what only looks at boxes."""

from pathlib import Path

import numpy as np

from detect.data.detection import DetectionData, ImageRecord


class Made(DetectionData):
    """Images with objects: `contents` has (width, height, [(box xyxy, label), ...]) of each."""

    def __init__(self, contents, names):
        self.source, self.notes = Path("made.json"), []
        self.categories = [{"id": number, "name": name} for number, name in enumerate(names, 1)]
        self.images = []
        for number, (width, height, objects) in enumerate(contents):
            boxes = np.array([box for box, _ in objects], dtype=np.float32).reshape(-1, 4)
            labels = np.array([label for _, label in objects], dtype=np.int64)
            weights = np.ones(len(objects), dtype=np.float32)
            self.images.append(ImageRecord(number, Path(f"{number}.png"), width, height, boxes, labels, weights))


def made_set(contents, names=("cat", "dog", "bird")):
    return Made(contents, names)
