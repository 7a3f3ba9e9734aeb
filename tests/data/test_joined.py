"""Several sets are learned from as one, with the classes of the first."""

import json

import numpy as np
import pytest

from detect.data.dataset import Dataset
from detect.data.joined import JoinedDataset
from detect.errors import UserError
from detect.ops.image import write_image


@pytest.fixture
def make(tmp_path):
    """A set of as many images as classes, image k with a box of class k; `names` are by category id."""

    def make(folder, names):
        (tmp_path / folder).mkdir()
        images, boxes = [], []
        for k, category_id in enumerate(names):
            write_image(tmp_path / folder / f"{k}.png", np.full((20, 30, 3), k, np.uint8))
            images.append({"id": k, "file_name": f"{k}.png", "width": 30, "height": 20})
            boxes.append({"image_id": k, "category_id": category_id, "bbox": [k, 2, 9, 9]})
        categories = [{"id": category_id, "name": name} for category_id, name in names.items()]
        path = tmp_path / f"{folder}.json"
        path.write_text(json.dumps({"images": images, "annotations": boxes, "categories": categories}))
        return Dataset.of_coco(path, tmp_path / folder)

    return make


def test_classes_are_matched_by_name(make):
    joined = JoinedDataset([make("a", {1: "cup", 5: "dog", 7: "cat"}), make("b", {2: "cat", 3: "cup"})])
    assert [category["name"] for category in joined.categories] == ["cup", "dog", "cat"]
    assert [joined.sample(i).labels.tolist() for i in range(5)] == [[0], [1], [2], [2], [0]]
    assert [joined.sample(i).image[0, 0, 0] for i in range(5)] == [0, 1, 2, 0, 1]
    assert joined.sizes == [3, 2] and len(joined) == 5


def test_a_class_that_the_first_set_lacks_is_named(make):
    first, second = make("a", {1: "cup", 5: "dog"}), make("b", {1: "cups"})
    with pytest.raises(UserError, match=r"b\.json: has a class .*a\.json.* has not: 'cups'; did you mean 'cup'"):
        JoinedDataset([first, second])


def test_the_sets_stay_as_they_are(make):
    first, second = make("a", {1: "cup", 5: "dog"}), make("b", {1: "dog", 2: "cup"})
    once, again = JoinedDataset([first, second]), JoinedDataset([first, second])
    assert [once.sample(i).labels.tolist() for i in range(4)] == [[0], [1], [1], [0]]
    assert [again.sample(i).labels.tolist() for i in range(4)] == [[0], [1], [1], [0]]
    assert second.sample(0).labels.tolist() == [0]


def test_two_classes_of_one_name_are_refused(make):
    with pytest.raises(UserError, match=r"a\.json: two classes are called 'cup'"):
        JoinedDataset([make("a", {1: "cup", 2: "cup"}), make("b", {1: "cup"})])
