"""`tools/teacher_labels.py`: what another detector found goes beside the true boxes, where they have none."""

import json
import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from detect.data.dataset import Dataset
from detect.ops.image import write_image

TOOL = Path(__file__).parents[1] / "tools" / "teacher_labels.py"
IMAGES = {
    "images": [{"id": 4, "file_name": "a.png", "width": 80, "height": 60}],
    "annotations": [{"id": 1, "image_id": 4, "category_id": 7, "bbox": [10, 10, 20, 20]}],
    "categories": [{"id": 7, "name": "dog"}],
}
CLASSES = {"categories": [{"id": 7, "name": "dog"}, {"id": 2, "name": "cup"}]}
LABELS = {"a.png": [[11, 11, 31, 31, 0.9, 1], [50, 5, 70, 25, 0.8, 0], [40, 40, 50, 50, 0.3, 1]]}


@pytest.fixture
def teach(tmp_path, monkeypatch, capsys):
    """Run the tool on contents (None: no such file) in an empty folder; returns (status, out, err)."""
    monkeypatch.chdir(tmp_path)

    def run(labels=LABELS, images=IMAGES, classes=CLASSES, out="out.json"):
        for name, content in (("labels", labels), ("images", images), ("classes", classes)):
            if content is not None:
                Path(f"{name}.json").write_text(content if isinstance(content, str) else json.dumps(content))
        words = ["labels.json", "--images", "images.json", "--categories", "classes.json", "--out", out]
        monkeypatch.setattr(sys, "argv", [str(TOOL), *words])
        monkeypatch.setattr(sys, "path", ["", *sys.path])
        with pytest.raises(SystemExit) as stopped:
            runpy.run_path(str(TOOL), run_name="__main__")
        return stopped.value.code, *capsys.readouterr()

    return run


def test_boxes_that_are_there_stay_and_the_teacher_adds_the_others(teach, tmp_path):
    write_image(tmp_path / "a.png", np.zeros((60, 80, 3), np.uint8))
    assert teach() == (0, "out.json: 2 boxes of the teacher added in 1 images\n", "")
    dataset = Dataset.of_coco("out.json", tmp_path)
    assert [category["name"] for category in dataset.categories] == ["cup", "dog"]
    (image,) = dataset.images
    assert image.boxes.tolist() == [[10, 10, 30, 30], [50, 5, 70, 25], [40, 40, 50, 50]]
    assert image.labels.tolist() == [1, 0, 1] and image.weights.tolist() == [1, 1, 0]


def test_a_score_that_is_there_stays(teach):
    teach(images=IMAGES | {"annotations": [IMAGES["annotations"][0] | {"score": 0.4}]})
    assert [box["score"] for box in json.loads(Path("out.json").read_text())["annotations"]] == [0.4, 0.8, 0.3]


def test_images_without_annotations_and_categories_get_the_teachers(teach):
    assert teach(images={"images": IMAGES["images"]})[0] == 0
    assert len(json.loads(Path("out.json").read_text())["annotations"]) == 3


def test_names_that_no_image_has_are_counted(teach):
    status, _, err = teach(LABELS | {"photos/a.png": [], "b.png": []})
    assert status == 0
    assert err == "labels.json: 2 of its 3 file names, 'b.png' the first, are of no image\n"


def row(*values):
    return {"a.png": [[11, 11, 31, 31, 0.9, 0], list(values)]}


FORM = r"it must be \[left, top, right, bottom, score, label\] in px, the score from 0 to 1"
DISAGREE = "is not in classes.json; give both files the same ids and names"


@pytest.mark.parametrize(
    ("contents", "sentence"),
    [
        ({"labels": None}, "labels.json: no such file"),
        ({"images": None}, "images.json: no such file"),
        ({"classes": "{"}, "classes.json:1:2: not JSON"),
        ({"labels": []}, "labels.json: must be an object with a list of boxes for each file name"),
        ({"labels": {"a.png": 3}}, "labels.json: must be an object with a list of boxes for each file name"),
        ({"labels": row(50, 5, 70, 25, 0.8, -1)}, "labels.json: box 1 of 'a.png' has the label -1; there are 2"),
        ({"labels": row(50, 5, 70, 25, 0.8, 2)}, "labels.json: box 1 of 'a.png' has the label 2; there are 2"),
        ({"labels": row(50, 5, 70, 25, 0.8, 0.5)}, "labels.json: box 1 of 'a.png' has the label 0.5; there are"),
        ({"labels": row(50, 5, 70, 25, 0.8)}, rf"labels.json: box 1 of 'a.png' is \[50, 5, 70, 25, 0.8\]; {FORM}"),
        ({"labels": row(50, 5, 70, 25, 1.8, 0)}, rf"labels.json: box 1 of 'a.png' is .*; {FORM}"),
        ({"labels": row(float("nan"), 5, 70, 25, 0.8, 0)}, rf"labels.json: box 1 of 'a.png' is .*; {FORM}"),
        ({"labels": row(10**400, 5, 70, 25, 0.8, 0)}, rf"labels.json: box 1 of 'a.png' is .*; {FORM}"),
        ({"labels": row("50", 5, 70, 25, 0.8, 0)}, rf"labels.json: box 1 of 'a.png' is .*; {FORM}"),
        ({"labels": {"x/a.png": []}}, "labels.json: names no image of images.json; .* 'a.png', not 'x/a.png'"),
        ({"labels": {}}, "labels.json: names no image of images.json; names there: 'a.png'"),
        ({"images": {"annotations": []}}, "images.json: has no list 'images'"),
        ({"images": {"images": [3]}}, r"images.json: images\[0\] is no object"),
        ({"images": IMAGES | {"annotations": [{"image_id": 4}]}}, r"images.json: annotations\[0\] has no 'category"),
        ({"classes": {}}, "classes.json: has no list 'categories'"),
        ({"classes": {"categories": [{"id": 7, "name": "cat"}]}}, f"images.json: its category 7, 'dog', {DISAGREE}"),
        ({"classes": {"categories": [{"id": 1, "name": "dog"}]}, "images": IMAGES | {"annotations": []}},
         f"images.json: its category 7, 'dog', {DISAGREE}"),
        ({"out": "labels.json"}, "--out labels.json: is one of the files to read; give another name"),
        ({"out": "./images.json"}, "--out images.json: is one of the files to read; give another name"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_one_sentence_and_nothing_is_written(teach, contents, sentence):
    status, out, err = teach(**contents)
    assert (status, out) == (1, "") and err.startswith("error: ") and err.count("\n") == 1
    assert re.match(f"error: {sentence}", err), err
    assert not Path("out.json").exists()
