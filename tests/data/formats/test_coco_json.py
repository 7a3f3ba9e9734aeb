"""Every fault of a file of annotations is found, by one check for data sets, evaluation and lists of images."""

import json

import numpy as np
import pytest

from detect.data.dataset import Dataset
from detect.data.formats.coco import read_image_list
from detect.data.formats.coco_json import CocoReader
from detect.data.formats.reader import box_problems
from detect.errors import UserError
from detect.evaluation.coco import evaluate_detections
from detect.evaluation.detections import Detections
from tests.coco_mapping import mapping_of


def valid():
    """Two images of 40x30 px, two classes, three boxes, the last of a crowd."""
    return {
        "images": [
            {"id": 7, "file_name": "b.png", "width": 40, "height": 30},
            {"id": 3, "file_name": "a.png", "width": 40, "height": 30},
        ],
        "categories": [{"id": 90, "name": "cup"}, {"id": 1, "name": "person"}],
        "annotations": [
            {"id": 11, "image_id": 7, "category_id": 90, "bbox": [10, 5, 20, 10]},
            {"id": 12, "image_id": 7, "category_id": 1, "bbox": [0, 0, 40, 30]},
            {"id": 13, "image_id": 3, "category_id": 1, "bbox": [1.5, 2.5, 3, 4], "iscrowd": 1, "area": 7},
        ],
    }


def faults_of(content, folder, **options):
    return list(CocoReader(content, folder, **options).faults())


def first_error(content, folder, bad_boxes="stop"):
    """What training and evaluation say of the content."""
    (folder / "set.json").write_text(json.dumps(content))
    with pytest.raises(UserError) as caught:
        Dataset.of_coco(folder / "set.json", folder, bad_boxes=bad_boxes)
    text = str(caught.value)
    assert text.startswith(f"{folder / 'set.json'}: ") and "\n" not in text and len(text) - len(str(folder)) < 250
    return text.removeprefix(f"{folder / 'set.json'}: ")


def test_a_sound_file_has_no_faults(tmp_path):
    assert faults_of(valid(), tmp_path) == []


def test_all_faults_are_found_in_the_order_of_the_check(tmp_path):
    content = valid()
    content["categories"].append({"id": 1, "name": "man"})
    content["images"] += [5, {"id": 9, "file_name": "/c.png", "width": 0, "height": 30}, {"id": 3}]
    content["annotations"] += [
        {"id": 14, "image_id": 8, "category_id": 91, "bbox": [1, 2, 3]},
        {"id": 15, "image_id": 7, "category_id": 90, "bbox": [0, 0, 0, 9]},
        {"id": 16, "image_id": 7, "category_id": 90, "bbox": [50, 0, 9, 9]},
        {"id": "x", "image_id": 7},
    ]
    content["annotations"][0] |= {"area": -1, "iscrowd": 2}
    content["annotations"][1] |= {"area": "big"}
    faults = faults_of(content, tmp_path)
    assert [(fault.id, fault.where) for fault in faults] == [
        ("category.twice", "categories"),
        ("image.form", "images[2]"),
        ("image.file_name", "images[4]"),
        ("image.width", "images[4]"),
        ("image.height", "images[4]"),
        ("image.size", "images[3]"),
        ("image.file_name", "images[3]"),
        ("box.category_id", "annotations[6]"),
        ("box.bbox", "annotations[6]"),
        ("box.id", "annotations[6]"),
        ("box.area", "annotations[0]"),
        ("box.iscrowd", "annotations[0]"),
        ("box.area", "annotations[1]"),
        ("box.image_id", "annotations[3]"),
        ("box.category_id", "annotations[3]"),
        ("box.bbox", "annotations[3]"),
        ("box.width", "annotations[4]"),
        ("box.outside", "annotations[5]"),
    ]
    assert [fault.where for fault in faults if fault.is_bad_box] == ["annotations[4]", "annotations[5]"]
    assert first_error(content, tmp_path) == faults[0].sentence
    assert all("\n" not in fault.sentence and str(tmp_path) not in fault.sentence[:20] for fault in faults)


@pytest.mark.parametrize("key", ["images", "categories"])
def test_boxes_are_not_blamed_for_a_list_that_is_not_there(tmp_path, key):
    content = valid()
    del content[key]
    assert [fault.id for fault in faults_of(content, tmp_path)] == [f"{key}.list"]


def test_boxes_are_not_blamed_for_their_images_record(tmp_path):
    content = valid()
    content["images"][0]["width"] = 0
    assert [fault.id for fault in faults_of(content, tmp_path)] == ["image.size"]


def test_faults_are_yielded_before_the_rest_is_read(tmp_path):
    content = valid()
    content["images"][0]["width"] = 0
    content["annotations"] = [None] * 3
    reader = CocoReader(content, tmp_path)
    assert next(reader.faults()).id == "image.size"
    assert not len(reader.annotations.boxes)


def _set(key, index, **values):
    def change(content):
        content[key][index].update(values)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            _set("annotations", 1, area="big"),
            "box 12 of image 7 has area 'big'; it must be the object's area in px²",
        ),
        (_set("annotations", 1, area=-1), "box 12 of image 7 has area -1; it must be"),
        (_set("annotations", 1, area=float("nan")), "box 12 of image 7 has area nan; it must be"),
        (_set("annotations", 1, area=True), "box 12 of image 7 has area True; it must be"),
        (_set("annotations", 1, area=1e9), "box 12 of image 7 has area 1000000000.0; it must be"),
        (_set("annotations", 1, iscrowd=2), "box 12 of image 7 has iscrowd 2; it must be 0 or 1"),
        (_set("annotations", 1, iscrowd="0"), "box 12 of image 7 has iscrowd '0'; it must be 0 or 1"),
        (_set("annotations", 1, iscrowd=["x" * 999]), "box 12 of image 7 has iscrowd ['xxx"),
        (_set("categories", 1, name=None), "category 1 needs a whole number 'id' and a text 'name'; add them"),
        (_set("categories", 1, name=["a"]), "category 1 needs"),
        (
            _set("categories", 0, id=2**63),
            "categories[0] has the id 9223372036854775808; ids are whole numbers below 2^63",
        ),
        (_set("images", 0, id=-(2**63)), "images[0] has the id -9223372036854775808; ids are whole numbers below 2^63"),
        (_set("images", 0, id=2**53 * 10**999), "images[0] has the id 9007199254740992"),
        (_set("images", 0, id="7" * 999), "images[0] has the id '7777"),
        (_set("images", 1, height=10**9), "image 3 has the size 40 x 1000000000; give whole px from 1 on"),
        (_set("annotations", 1, bbox=[1, 2, 10**400, 4]), "box 12 of image 7 is [1, 2, 1000"),
        (_set("annotations", 1, image_id=None), "annotations[1] has the image_id None; ids are whole numbers"),
        (lambda content: content["annotations"].append(3), "annotations[3] is no object"),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path, change, message):
    content = valid()
    change(content)
    for annotation in content["annotations"][
        :2
    ]:  # where an image's or category's id was changed, so are those of boxes
        if isinstance(annotation["image_id"], int):
            annotation["image_id"] = content["images"][0]["id"]
    for annotation in content["annotations"][:1]:
        annotation["category_id"] = content["categories"][0]["id"]
    assert first_error(content, tmp_path).startswith(message)


@pytest.mark.parametrize(
    "given", [{}, {"area": None, "iscrowd": None}, {"iscrowd": 0}, {"iscrowd": False}, {"area": 0}]
)
def test_area_and_iscrowd_may_be_missing_or_empty(tmp_path, given):
    content = valid()
    content["annotations"][0] |= given
    assert faults_of(content, tmp_path) == []


def test_what_cannot_be_used_is_named_before_bad_boxes(tmp_path):
    content = valid()
    content["annotations"][0] |= {"bbox": [0, 0, 0, 9]}
    assert first_error(content, tmp_path) == "box 11 of image 7 has width 0; remove it, or set data.bad_boxes=drop"
    content["annotations"][1] |= {"area": -1}
    assert first_error(content, tmp_path, "drop").startswith("box 12 of image 7 has area -1")


@pytest.mark.parametrize("number", [2**53, 2**63 - 1, -(2**63) + 1])
def test_ids_of_64_bits_are_kept_to_the_last_digit(tmp_path, number):
    content = valid()
    content["images"][0]["id"] = content["categories"][1]["id"] = number
    for annotation in content["annotations"]:
        annotation |= {"image_id": number, "category_id": number}
    (tmp_path / "set.json").write_text(json.dumps(content))
    dataset = Dataset.of_coco(tmp_path / "set.json", tmp_path)
    found = [
        {"image_id": a["image_id"], "category_id": a["category_id"], "bbox": a["bbox"], "score": 0.9}
        for a in mapping_of(dataset.ground_truth())["annotations"]
    ]
    assert {a["image_id"] for a in found} == {number}
    truth = dataset.ground_truth()
    assert evaluate_detections(truth, Detections.of(found)).metrics["AP"] == 1


@pytest.mark.parametrize("box", [[0.1, 0.2, 0.3, 0.4], [0.9, 0.9, 0.3, 1.0], [0.5, 0.5, 0.001, 0.002]])
def test_boxes_in_shares_of_the_image_are_named(tmp_path, box):
    content = valid()
    content["annotations"][1]["bbox"] = box
    message = first_error(content, tmp_path)
    assert message.startswith(
        f"box 12 of image 7 lies in the first px of its image of 40x30: {box} look like shares of"
    )
    assert "a bbox is [left, top, width, height] in px" in message


def test_a_box_of_one_px_elsewhere_and_images_of_few_px_are_no_shares(tmp_path):
    content = valid()
    content["annotations"][0]["bbox"] = [1, 1, 1, 1.5]
    content["images"][1] |= {"width": 2, "height": 2}
    content["annotations"][2] |= {"bbox": [0, 0, 1, 1], "iscrowd": 0}
    assert faults_of(content, tmp_path) == []


@pytest.mark.parametrize("bbox", [None, [], "absent"])
def test_who_has_outlines_only_is_told_how_to_get_boxes(tmp_path, bbox):
    content = valid()
    content["annotations"][1] |= {"bbox": bbox, "segmentation": [[1, 1, 9, 1, 9, 9]]}
    if bbox == "absent":
        del content["annotations"][1]["bbox"]
    (fault,) = faults_of(content, tmp_path)
    assert fault.id == "box.bbox" and "it has a segmentation only: its box is the outline's" in fault.sentence
    content["annotations"][1]["segmentation"] = []
    assert "outline" not in faults_of(content, tmp_path)[0].sentence


def test_problems_of_boxes_are_those_within_the_image():
    boxes = {
        (0, 0, 40, 30): -1,
        (-5, -5, 5.5, 5.5): -1,
        (0, 0, 0, 30): 0,
        (0, 0, -2, -2): 0,
        (0, 0, 40, 0): 1,
        (40, 0, 5, 5): 2,
        (0, -5, 5, 5): 2,
        (0, 0, 1, 0.9): 3,
        (0, 0, 1, 1.1): -1,
        (0, 0, 0.009, 5): 4,
        (39.995, 0, 5, 5): 4,
    }
    problems = box_problems(np.array(list(boxes), float), np.array([[40, 30]] * len(boxes)))
    assert problems.tolist() == list(boxes.values())


def image(number, **changes):
    return {"id": number, "file_name": f"{number:012d}.jpg", "width": 640, "height": 480} | changes


def image_list(folder, content):
    (folder / "info.json").write_text(json.dumps(content))
    return read_image_list(folder / "info.json", folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": "2"}, "images[1] has the id '2'"),
        ({"id": 1}, "image id 1 occurs twice"),
        ({"width": 640.5}, "image 2 has the size 640.5 x 480"),
        ({"height": True}, "image 2 has the size 640 x True"),
        ({"height": 0}, "image 2 has the size 640 x 0"),
        ({"file_name": None}, "image 2: file_name None does not name a file within"),
        ({"file_name": " "}, "image 2: file_name ' ' does not"),
        ({"file_name": "a\x00.jpg"}, "image 2: file_name 'a\\x00.jpg' does not"),
        ({"file_name": "/etc/passwd"}, "image 2: file_name '/etc/passwd' does not"),
        ({"file_name": "sub/../../a.jpg"}, "image 2: file_name 'sub/../../a.jpg' does not"),
        ({"file_name": "..\\a.jpg"}, "image 2: file_name '..\\\\a.jpg' does not"),
        ({"file_name": "C:\\a.jpg"}, "image 2: file_name 'C:\\\\a.jpg' does not"),
        ({"file_name": "\\\\host\\share\\a.jpg"}, "image 2: file_name "),
    ],
)
def test_a_wrong_record_of_an_image_list_is_one_sentence(tmp_path, changes, message):
    with pytest.raises(UserError) as caught:
        image_list(tmp_path, {"images": [image(1), image(2, **changes)]})
    assert str(caught.value).startswith(f"{tmp_path / 'info.json'}: {message}")
    assert "\n" not in str(caught.value)


def test_an_image_list_keeps_its_order_and_needs_no_categories(tmp_path):
    names = ["test2017/a..b.jpg", "Straße 1.jpg"]
    images, categories = image_list(tmp_path, {"images": [image(2, file_name=names[0]), image(1, file_name=names[1])]})
    assert [(record.id, record.path) for record in images] == [(2, tmp_path / names[0]), (1, tmp_path / names[1])]
    assert categories == image_list(tmp_path, {"images": [image(1)], "categories": []})[1] == []
    content = {"images": [image(1)], "categories": [{"id": 9, "name": "b", "x": 1}, {"id": 2, "name": "a"}]}
    assert image_list(tmp_path, content)[1] == [{"id": 2, "name": "a"}, {"id": 9, "name": "b"}]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "is no COCO file"),
        ({}, "has no list 'images'"),
        ({"images": []}, "lists no images"),
        ({"images": [image(5) | {"width": None}]}, "image 5 has the size None x 480"),
        ({"images": [image(5)], "categories": 7}, "has no list 'categories'"),
        ({"images": [image(5)], "categories": [{"id": 1}]}, "categories[0] has no 'name'"),
        ({"images": [image(5)], "categories": [{"id": 1, "name": None}]}, "category 0 needs"),
    ],
)
def test_a_wrong_image_list_is_named(tmp_path, content, message):
    with pytest.raises(UserError) as caught:
        image_list(tmp_path, content)
    assert str(caught.value).startswith(f"{tmp_path / 'info.json'}: {message}")


def test_links_out_of_the_folder_are_refused_for_test_dev_too(tmp_path):
    (tmp_path / "secret.png").write_bytes(b"secret")
    folder = tmp_path / "test2017"
    folder.mkdir()
    (folder / "a.png").symlink_to(tmp_path / "secret.png")
    record = {"id": 1, "file_name": "a.png", "width": 64, "height": 64}
    (tmp_path / "info.json").write_text(json.dumps({"images": [record], "categories": []}))
    with pytest.raises(UserError, match=r"image 1: file_name 'a\.png' does not name a file within .*test2017"):
        read_image_list(tmp_path / "info.json", folder)
