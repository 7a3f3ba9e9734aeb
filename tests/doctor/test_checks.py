"""Every check finds what it is for: its id, how often, the example and how bad it is; and nothing in a sound set."""

import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import detect.data
from detect.data.formats.reader import BAD_BOXES
from detect.doctor.boxes import TWICE, twins
from detect.doctor.checks import CHECKS
from detect.doctor.classes import similar_pairs
from detect.doctor.faults import FAULTS
from detect.ops.boxes import iou
from tests.doctor.made import photo


def box(made, row, split="train"):
    return getattr(made, split)["annotations"][row]


# ---- each spoils a sound set in one way ----------------------------------------------------------------------------


def missing(made):
    (made.images / "a1.jpg").rename(made.images / "photo a1.jpg")
    made.train["images"][1]["file_name"] = "photo_a1.jpg"


def corrupt(made):
    (made.images / "a1.jpg").write_bytes(b"no image at all")


def corrupt_inside(made):
    """A PNG that ends as it should."""
    Image.fromarray(photo(1)).save(made.images / "a1.png")
    content = (made.images / "a1.png").read_bytes()
    (made.images / "a1.png").write_bytes(content[: len(content) // 2] + bytes(60) + content[len(content) // 2 + 60 :])
    made.train["images"][1]["file_name"] = "a1.png"


def truncated(made):
    content = (made.images / "a1.jpg").read_bytes()
    (made.images / "a1.jpg").write_bytes(content[: len(content) // 2])


def resized(made):
    made.save("a1.jpg", photo(1, 60, 45))


def stored_size(made):
    """The record has the size as it is stored, not as the image stands upright."""
    exif = Image.Exif()
    exif[0x0112] = 6
    made.save("a1.jpg", photo(1), exif=exif)


def upright_size(made):
    exif = Image.Exif()
    exif[0x0112] = 6
    made.save("a1.jpg", photo(1, 90, 120), exif=exif)


def empty(made):
    made.train["annotations"] = [one for one in made.train["annotations"] if one["image_id"] != 11]


def listed_twice(made):
    made.train["images"].append({"id": 20, "file_name": "a1.jpg", "width": 120, "height": 90})
    made.train["annotations"].append({"id": 99, "image_id": 20, "category_id": 1, "bbox": [60, 60, 20, 20]})


def same(made):
    shutil.copy(made.images / "a1.jpg", made.images / "a2.jpg")


def near(made):
    made.save("a2.jpg", photo(1) // 4 * 3)


def shared_file(made):
    made.val["images"][1]["file_name"] = "a3.jpg"


def shared_bytes(made):
    shutil.copy(made.images / "a3.jpg", made.images / "b1.jpg")


def near_across(made):
    made.save("b1.jpg", photo(3) // 4 * 3)


def no_val(made):
    made.val = None


def no_train(made):
    made.train = None


def corners(made):
    for one in made.train["annotations"]:
        left, top, width, height = one["bbox"]
        one["bbox"] = [left, top, left + width, top + height]


def beyond(made):
    box(made, 2)["bbox"] = [80, 60, 47.5, 20]
    box(made, 5)["bbox"] = [-0.9, 60, 20, 20]  # rounding


def twice(made):
    left, top, width, height = box(made, 4)["bbox"]
    made.train["annotations"].append(box(made, 4) | {"id": 77, "bbox": [left, top, width, height + 1]})
    made.train["annotations"].append(box(made, 4) | {"id": 78, "category_id": 3})  # another class
    made.train["annotations"].append(box(made, 4) | {"id": 79, "bbox": [left, top, width, height * 0.9]})


def whole(made):
    box(made, 3)["bbox"] = [0, 0, 120, 90]


def small(made):
    box(made, 3)["bbox"] = [9, 9, 3.5, 30]


def no_boxes(made):
    for one in made.train["annotations"]:
        one["iscrowd"] = 1


def nothing_to_find(made):
    made.val["annotations"] = []


def same_name(made):
    made.add_class("bolt")
    made.val["categories"].append({"id": 9, "name": "bolt"})
    box(made, 0)["category_id"] = 9


def similar(made):
    for name, number in (("Bolt ", 8), ("screw-driver", 9), ("washers", 10)):
        made.add_class(name, number=number)
        box(made, number)["category_id"] = number


def without_boxes(made):
    made.add_class("shapes")


def unknown(made):
    made.val["categories"][1]["name"] = "gasket"


def absent(made):
    made.val["annotations"] = [one for one in made.val["annotations"] if one["category_id"] != 2]


def uneven(made):
    made.train["annotations"] += [
        {"id": 500 + i, "image_id": 10, "category_id": 1, "bbox": [i % 100, i // 100, 9 + i % 3, 9]} for i in range(500)
    ]


def bad_anchors(made):
    """Nothing: the anchors that it is examined with do not fit."""


SMALL = {"size": 60}
ANCHORS = {"size": 120, "anchors": [[4, 4], [100, 100]]}
CASES = [  # what is spoilt, how it is examined, id, severity, count, words of the example's place and text
    (missing, {}, "image.missing", "error", 1, "photo_a1.jpg: is not there; did you mean 'photo a1.jpg'?"),
    (corrupt, {}, "image.corrupt", "error", 1, "a1.jpg: not a readable image"),
    (corrupt_inside, {}, "image.corrupt", "error", 1, "a1.png: not a readable image"),
    (truncated, {}, "image.truncated", "error", 1, "a1.jpg: not a readable image"),
    (resized, {}, "image.other_size", "error", 1, "a1.jpg: is 60x45 px upright, but its annotation says 120x90"),
    (stored_size, {}, "image.turned", "error", 1, "a1.jpg: is 90x120 px upright, but its annotation says 120x90"),
    (empty, {}, "image.empty", "note", 1, "a1.jpg: has no box"),
    (listed_twice, {}, "image.listed_twice", "warning", 1, "a1.jpg: is listed more than once"),
    (same, {}, "image.same", "warning", 1, "a2.jpg: is a copy of "),
    (near, {}, "image.near", "note", 1, "a2.jpg: looks like "),
    (shared_file, {}, "split.duplicates", "error", 1, "a3.jpg: is listed in train, too"),
    (shared_bytes, {}, "split.duplicates", "error", 1, "b1.jpg: is, in train, "),
    (near_across, {}, "split.near", "warning", 1, "b1.jpg: looks like "),
    (no_val, {}, "split.no_val", "note", 1, "train.json: there is no split 'val'"),
    (no_train, {}, "split.no_train", "error", 1, "val.json: there is no split 'train'; there is val"),
    (corners, {}, "box.corners", "error", 12, "train.json annotations[0]: in a0.jpg is [5.0, 10.0, 25.0, 40.0]"),
    (beyond, {}, "box.beyond", "warning", 1, "annotations[2]: in a0.jpg reaches 7.5 px beyond its image of 120x90"),
    (twice, {}, "box.twice", "warning", 1, "annotations[12]: in a1.jpg is annotations[4] again"),
    (whole, {}, "box.whole", "note", 1, "annotations[3]: in a1.jpg covers its image of 120x90 px"),
    (small, SMALL, "box.small", "note", 1, "annotations[3]: in a1.jpg has 1.8 x 15 px in an input of 60 px"),
    (
        no_boxes,
        {},
        "set.no_boxes",
        "error",
        1,
        "train.json: holds no box to learn from: 4 images with 12 ignore regions",
    ),
    (nothing_to_find, {}, "split.no_boxes", "warning", 1, "val.json: holds no box to find: 2 images with 0 ignore"),
    (
        same_name,
        {},
        "class.same_name",
        "error",
        2,
        "categories: 'bolt' is the name of the ids 1 (3 boxes) and 9 (1 boxes)",
    ),
    (similar, {}, "class.similar", "warning", 3, "categories: 'Bolt ' (1 boxes) and 'bolt'"),
    (without_boxes, {}, "class.no_boxes", "warning", 1, "categories: 'shapes' has no box"),
    (unknown, {}, "class.unknown", "warning", 1, "val.json categories: 'gasket' is no class of train"),
    (absent, {}, "class.absent", "note", 1, "val.json categories: 'washer' has no box"),
    (uneven, {}, "class.uneven", "note", 2, "categories: 'screwdriver' has 4 boxes, 'bolt' 504"),
    (bad_anchors, ANCHORS, "anchor.fit", "warning", 1, "train.json: 2 anchors at 120 px: mean best IoU"),
    (upright_size, {}, "image.exif", "note", 1, "a1.jpg: is stored turned and shown upright"),
]
BESIDES = {  # what comes with it, and is no mistake of the check's
    no_val: set(),
    no_train: {"class.no_boxes"},
    no_boxes: {"image.empty", "box.twice"},
    nothing_to_find: {"image.empty"},
    similar: {"class.unknown", "class.absent"},
    unknown: {"class.absent"},
    uneven: {"box.twice"},
}


@pytest.mark.parametrize(("spoil", "options", "check_id", "severity", "count", "told"), CASES)
def test_a_check_finds_what_it_is_for(made, spoil, options, check_id, severity, count, told):
    spoil(made)
    findings = made.examine(**options)
    found = findings[check_id]
    assert (found.severity, found.count) == (severity, count)
    assert len(found.examples) == min(count, 3)
    assert told in f"{found.examples[0].place}: {found.examples[0].text}"
    worse = {one.id for one in findings.values() if one.severity != "note"} - {check_id}
    assert worse <= BESIDES.get(spoil, set()), worse


def test_every_check_has_a_case():
    assert {case[2] for case in CASES} == CHECKS.keys()


@pytest.mark.parametrize("thoroughly", [True, False])
def test_nothing_is_found_in_a_sound_set(made, thoroughly):
    assert made.examine(thoroughly, anchors=[[22, 32], [25, 33], [30, 33]], size=120) == {}


def test_quick_checks_decode_nothing_and_find_copies_across_splits(made, monkeypatch):
    def decode(path):
        raise AssertionError(path)

    shared_bytes(made)
    same(made)
    monkeypatch.setattr("detect.doctor.looks.read_image", decode)
    monkeypatch.setattr("detect.data.check_files.read_image", decode)
    assert {"split.duplicates"} == made.examine(thoroughly=False).keys()


def test_a_val_that_is_train_is_found_at_once(made):
    made.val = made.train
    found = made.examine(thoroughly=False)["split.duplicates"]
    assert (found.severity, found.count, len(found.examples)) == ("error", 4, 3)


def test_files_of_one_size_and_one_beginning_are_no_copies(made):
    for name in ("a3.jpg", "b1.jpg"):
        content = (made.images / name).read_bytes()
        (made.images / name).write_bytes(content.ljust(20_000, b"\0"))
    assert "split.duplicates" not in made.examine()


# ---- what readers find ---------------------------------------------------------------------------------------------

RECORDS = [  # record, change, id, severity when bad boxes are dropped
    ("annotations", {"bbox": [5, 5, 0, 9]}, "box.width", "warning"),
    ("annotations", {"bbox": [5, 5, 9, -9]}, "box.height", "warning"),
    ("annotations", {"bbox": [500, 5, 9, 9]}, "box.outside", "warning"),
    ("annotations", {"bbox": [0.1, 0.2, 0.3, 0.4]}, "box.shares", "warning"),
    ("annotations", {"bbox": [5, 5, 0.001, 9]}, "box.tiny", "warning"),
    ("annotations", {"bbox": [5, 5, float("nan"), 9]}, "box.bbox", "error"),
    ("annotations", {"category_id": 77}, "box.category_id", "error"),
    ("annotations", {"category_id": "1"}, "box.category_id", "error"),
    ("annotations", {"image_id": 77}, "box.image_id", "error"),
    ("annotations", {"iscrowd": "0"}, "box.iscrowd", "error"),
    ("annotations", {"area": -4}, "box.area", "error"),
    ("annotations", {"score": 7}, "box.score", "error"),
    ("images", {"width": 0}, "image.size", "error"),
    ("images", {"file_name": "../a.jpg"}, "image.file_name", "error"),
]


@pytest.mark.parametrize(("key", "change", "fault_id", "dropped"), RECORDS)
def test_faults_of_records_are_findings(made, key, change, fault_id, dropped):
    for number in range(2 if key == "annotations" else 1):
        made.train[key][number] |= change
    for bad_boxes, severity in (("stop", "error"), ("drop", dropped)):
        found = made.examine(bad_boxes=bad_boxes)[fault_id]
        assert (found.severity, found.count) == (severity, 2 if key == "annotations" else 1)
        assert found.examples[0].place.endswith(f"annotations{os.sep}train.json {key}[0]")
        assert found.says and found.advice


def test_ids_that_are_words_and_ids_twice_are_found(made):
    made.train["images"][0]["id"] = "10"
    made.train["images"][2]["id"] = 11
    made.train["categories"][1]["id"] = 1
    found = made.examine()
    assert {"image.id", "image.twice", "category.twice", "box.image_id", "box.category_id"} <= found.keys()
    assert found["box.image_id"].count == 6  # of the images 10 and 12


def test_every_fault_of_a_reader_is_in_the_table(made):
    """The ids are where readers make faults; some are put together of a list's or field's name."""
    text = "".join(path.read_text() for path in Path(detect.data.__path__[0]).rglob("*.py"))
    written = set(re.findall(r'Fault\(\s*"([\w.]+)"', text)) | set(
        re.findall(r'\(\s*"((?:box|image|category)\.\w+)"', text)
    )
    known = FAULTS.keys() | CHECKS.keys()
    assert {"box.bbox", "image.size"} <= written and written | BAD_BOXES.keys() <= known, written - known
    assert not FAULTS.keys() & CHECKS.keys()


# ---- names ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "pairs"),
    [
        (["Car", "car "], [("Car", "car ")]),
        (["traffic light", "traffic_light"], [("traffic light", "traffic_light")]),
        (["helmet", "helmets"], [("helmet", "helmets")]),
        (["helmet", "helnet"], [("helmet", "helnet")]),
        (["person", "peron"], [("person", "peron")]),
        (["car", "cat"], []),
        (["cell 1", "cell 2", "cell 10"], []),
        (["class1", "class2"], []),
        (["bear", "teddy bear"], []),
        (["fork", "form"], []),
        (["+", "-", "C", "C++"], []),
        (["a" * 100_000, "a" * 99_999], []),
    ],
)
def test_similar_names(names, pairs):
    assert similar_pairs(sorted(names)) == [tuple(sorted(pair)) for pair in pairs]


def test_twins_are_those_of_a_plain_comparison():
    rng = np.random.default_rng(0)
    corner = rng.integers(0, 6, (400, 2)) * 0.7
    boxes = np.concatenate([corner, corner + 30 + rng.integers(0, 4, (400, 2)) * 0.5], axis=1).astype(np.float32)
    places, labels = rng.integers(0, 12, 400), rng.integers(0, 2, 400)
    alike = (places[:, None] == places) & (labels[:, None] == labels) & (iou(boxes[:, None], boxes) >= TWICE)
    expected = np.argwhere(np.triu(alike, 1))
    assert len(expected) > 20 and twins(places, labels, boxes).tolist() == expected.tolist()
