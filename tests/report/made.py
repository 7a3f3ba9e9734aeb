"""Data sets and evaluations without files, for what only looks at boxes."""

from pathlib import Path

import numpy as np

from detect.data.detection import DetectionData
from detect.data.records import ImageTable
from detect.evaluation.detections import Detections
from detect.evaluation.fast import evaluate
from tests.coco_mapping import truth_of


class Made(DetectionData):
    """Images with objects: `contents` has (width, height, [(box xyxy, label), ...]) of each."""

    def __init__(self, contents, names):
        self.source, self.notes = Path("made.json"), []
        self.categories = [{"id": number, "name": name} for number, name in enumerate(names, 1)]
        self.images = ImageTable()
        for number, (width, height, _) in enumerate(contents):
            self.images.append(number, f"{number}.png", width, height)
        rows = [(number, box, label) for number, (_, _, objects) in enumerate(contents) for box, label in objects]
        boxes = np.array([box for _, box, _ in rows], dtype=np.float32).reshape(-1, 4)
        places, labels = (np.array([row[column] for row in rows], dtype=np.int64) for column in (0, 2))
        self.images.place_boxes(places, boxes, labels, np.ones(len(rows), dtype=np.float32))


def made_set(contents, names=("cat", "dog", "bird")):
    return Made(contents, names)


def made_evaluation(objects, found, names=("cat", "dog", "bird"), images=2):
    """`objects` are (image, class name, box xywh, or crowd beside), `found` (image, class name, box xywh, score)."""
    ids = {name: number for number, name in enumerate(names, 1)}
    annotations = [
        {"id": number, "image_id": image, "category_id": ids[name], "bbox": box, "area": box[2] * box[3]}
        | {"iscrowd": int(bool(crowd))}
        for number, (image, name, box, *crowd) in enumerate(objects, 1)
    ]
    truth = {
        "images": [{"id": image, "width": 640, "height": 480} for image in range(images)],
        "categories": [{"id": number, "name": name} for name, number in ids.items()],
        "annotations": annotations,
    }
    results = [
        {"image_id": image, "category_id": ids[name], "bbox": box, "score": score} for image, name, box, score in found
    ]
    return evaluate(truth_of(truth), Detections.of(results))


def random_evaluation(seed, classes=4, images=12):
    """Objects and detections of all kinds: near and far, of wrong classes, double, equal scores, crowds."""
    rng = np.random.default_rng(seed)
    names = tuple(f"class {number}" for number in range(classes))
    objects, found = [], []
    for image in range(images):
        for _ in range(rng.integers(0, 6)):
            name = names[rng.integers(0, classes - 1)]  # the last class has no objects
            box = [float(v) for v in (*rng.integers(0, 300, 2), *rng.integers(8, 120, 2))]
            objects.append((image, name, box, rng.random() < 0.08))
            for _ in range(rng.integers(0, 4)):
                near = [a + b for a, b in zip(box, rng.normal(0, 8, 4), strict=True)]
                near[2:] = [max(side, 2.0) for side in near[2:]]
                other = name if rng.random() < 0.7 else names[rng.integers(0, classes)]
                found.append((image, other, near, round(float(rng.random()), 1)))
        for _ in range(rng.integers(0, 4)):
            box = [float(v) for v in (*rng.integers(0, 300, 2), *rng.integers(8, 120, 2))]
            found.append((image, names[rng.integers(0, classes)], box, round(float(rng.random()), 1)))
    return made_evaluation(objects, found, names, images)
