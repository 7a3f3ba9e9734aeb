"""`tools/teacher_labels.py`: what another detector found goes beside the true boxes, where they have none."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from detect.data.coco import CocoDataset
from detect.ops.image import write_image

TOOL = Path(__file__).parents[1] / "tools" / "teacher_labels.py"


def test_boxes_that_are_there_stay_and_the_teacher_adds_the_others(tmp_path):
    write_image(tmp_path / "a.png", np.zeros((60, 80, 3), np.uint8))
    images = {
        "images": [{"id": 4, "file_name": "a.png", "width": 80, "height": 60}],
        "annotations": [{"id": 1, "image_id": 4, "category_id": 7, "bbox": [10, 10, 20, 20]}],
        "categories": [{"id": 7, "name": "dog"}],
    }
    classes = {"categories": [{"id": 7, "name": "dog"}, {"id": 2, "name": "cup"}]}
    labels = {"a.png": [[11, 11, 31, 31, 0.9, 1], [50, 5, 70, 25, 0.8, 0], [40, 40, 50, 50, 0.3, 1]]}
    for name, content in (("images", images), ("classes", classes), ("labels", labels)):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    paths = {name: str(tmp_path / f"{name}.json") for name in ("images", "classes", "labels", "out")}
    command = [paths["labels"], "--images", paths["images"], "--categories", paths["classes"], "--out", paths["out"]]
    subprocess.run([sys.executable, TOOL, *command], check=True)

    dataset = CocoDataset(paths["out"], tmp_path)
    assert [category["name"] for category in dataset.categories] == ["cup", "dog"]
    (image,) = dataset.images
    assert image.boxes.tolist() == [[10, 10, 30, 30], [50, 5, 70, 25], [40, 40, 50, 50]]
    assert image.labels.tolist() == [1, 0, 1] and image.weights.tolist() == [1, 1, 0]
