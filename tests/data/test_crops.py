"""A set for a classifier out of one for a detector: every box once, in a folder with a safe name."""

import json

import numpy as np
import pytest

from detect.data.crops import crop_boxes, folder_names, with_margin
from detect.data.dataset import Dataset
from detect.errors import UserError
from detect.ops.image import read_image, write_image

RED, BLUE = (230, 20, 20), (20, 20, 230)


@pytest.fixture
def dataset(tmp_path):
    """Three images: two red cars and a blue bus, a red car of 10 px, and a crowd of cars."""
    (tmp_path / "images").mkdir()
    boxes = [
        {"image_id": 7, "category_id": 3, "bbox": [10, 20, 40, 32]},
        {"image_id": 7, "category_id": 9, "bbox": [60, 0, 36, 36]},
        {"image_id": 7, "category_id": 3, "bbox": [0, 56, 40, 40]},
        {"image_id": 8, "category_id": 3, "bbox": [10, 10, 40, 10]},
        {"image_id": 9, "category_id": 3, "bbox": [0, 0, 96, 96], "iscrowd": 1},
    ]
    for image_id in (7, 8, 9):
        image = np.full((96, 96, 3), 90, np.uint8)
        for box in boxes:
            left, top, width, height = box["bbox"]
            if box["image_id"] == image_id:
                image[top : top + height, left : left + width] = RED if box["category_id"] == 3 else BLUE
        write_image(tmp_path / "images" / f"{image_id}.png", image)
    images = [{"id": i, "file_name": f"{i}.png", "width": 96, "height": 96} for i in (7, 8, 9)]
    categories = [{"id": 3, "name": "car"}, {"id": 9, "name": "bus / coach"}, {"id": 11, "name": "cat"}]
    content = {"images": images, "annotations": boxes, "categories": categories}
    (tmp_path / "set.json").write_text(json.dumps(content))
    return Dataset.of_coco(tmp_path / "set.json", tmp_path / "images")


def files_in(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_every_box_becomes_an_image_of_its_class(dataset, tmp_path):
    out = tmp_path / "out" / "train"
    assert crop_boxes(dataset, out, margin=0) == {"car": 2, "bus / coach": 1}
    assert files_in(out) == ["bus_coach/7_1.jpg", "car/7_0.jpg", "car/7_2.jpg"]
    for name, shape, colour in (("car/7_0.jpg", (32, 40, 3), RED), ("bus_coach/7_1.jpg", (36, 36, 3), BLUE)):
        image = read_image(out / name)
        assert image.shape == shape and np.abs(image.mean((0, 1)) - colour).max() < 4


def test_images_that_cannot_be_used_are_listed_before_the_first_is_cut(dataset, tmp_path):
    path = tmp_path / "images" / "9.png"
    path.write_bytes(path.read_bytes()[:120])
    (tmp_path / "images" / "8.png").unlink()
    with pytest.raises(
        UserError, match=r"set\.json: 2 of its 3 images cannot be used; .*8\.png: is not there"
    ) as caught:
        crop_boxes(dataset, tmp_path / "out")
    assert len(caught.value.details) == 2 and not (tmp_path / "out").exists()


def test_options_choose(dataset, tmp_path):
    assert crop_boxes(dataset, tmp_path / "a", classes=["car"], min_side=10) == {"car": 3}
    assert crop_boxes(dataset, tmp_path / "b", limit=1) == {"car": 1, "bus / coach": 1}
    crop_boxes(dataset, tmp_path / "c", classes=["car"], margin=0.25)
    assert read_image(tmp_path / "c" / "car" / "7_0.jpg").shape == (48, 60, 3)


def test_a_margin_ends_at_the_image():
    box = np.array([10, 0, 30, 40], np.float32)
    assert with_margin(box, 0.1, 100, 41) == (8, 0, 32, 41)
    assert with_margin(box, 3, 50, 45) == (0, 0, 50, 45)
    assert with_margin(np.array([5.2, 5.2, 5.4, 5.4], np.float32), 0, 100, 100) == (5, 5, 6, 6)


def test_folder_names_are_safe_and_different():
    names = ["../etc", "a/b", "a b", "A_B", "con", "..", "", "großer Hund", "x" * 300, "\U0001d4b3" * 80, "C:\\x"]
    folders = folder_names(names)
    assert list(folders) == names
    values = list(folders.values())
    assert len({value.lower() for value in values}) == len(values)
    for value in values:
        assert value and len(value.encode()) <= 90 and not value.startswith(".")
        assert not {"/", "\\", ":", " "} & set(value)
    assert (folders["../etc"], folders["a/b"], folders["con"]) == ("etc", "a_b", "con_")
    assert folders["großer Hund"] == "großer_Hund"


def test_mistakes_are_named(dataset, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    (tmp_path / "file").touch()
    for options, words in (
        ({"classes": ["cars"]}, "has no class 'cars'; did you mean 'car'"),
        ({"min_side": 80}, "no box of these classes has sides of 80 px"),
        ({"classes": ["cat"]}, "no box of these classes"),
        ({"folder": tmp_path / "full"}, "is there already"),
        ({"folder": tmp_path / "file" / "x"}, "cannot be made"),
    ):
        with pytest.raises(UserError, match=words):
            crop_boxes(dataset, **{"folder": tmp_path / "out"} | options)
    (tmp_path / "images" / "7.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"7\.png"):
        crop_boxes(dataset, tmp_path / "out2")


def test_folder_names_of_letters_of_four_bytes_fit_a_file_system(tmp_path):
    names = ["\U00020000" * 80, "\U00020000" * 81, "\U0001d400" * 300]
    folders = folder_names(names)
    assert len(set(folders.values())) == 3
    for folder in folders.values():
        assert len(folder.encode()) < 90
        (tmp_path / folder).mkdir()


def test_ten_thousand_names_that_come_out_the_same_are_numbered_at_once(monkeypatch):
    names = [chr(0x2200 + i % 200) * (1 + i // 200) for i in range(10_000)]  # signs, no letters
    folders = folder_names(["class_3", *names])
    assert folders[names[0]] == "class" and folders[names[1]] == "class_2" and folders[names[2]] == "class_4"
    assert len(set(folders.values())) == 10_001
