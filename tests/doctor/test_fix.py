"""A cleaned copy is sound, tells all that it has otherwise, and leaves the set itself as it is."""

import hashlib
import json
import shutil

import pytest

from detect.config import read_data
from detect.data.dataset import Dataset
from detect.doctor.examine import examine, read_set
from detect.doctor.fix import write_copy
from detect.errors import UserError
from tests.doctor.made import photo
from tests.doctor.test_checks import (
    beyond,
    corners,
    corrupt,
    listed_twice,
    missing,
    resized,
    same,
    same_name,
    shared_bytes,
    shared_file,
    stored_size,
    truncated,
    twice,
)


def bad_boxes(made):
    for number, bbox in enumerate(([5, 5, 0, 9], [500, 5, 9, 9], [0.1, 0.2, 0.3, 0.4], [5, 5, -2, 9])):
        made.train["annotations"][number]["bbox"] = bbox


def unusable_records(made):
    made.train["annotations"][0]["bbox"] = [5, 5, float("nan"), 9]
    made.train["annotations"][1]["category_id"] = 77
    made.val["images"][0]["width"] = "wide"


def listed_twice_the_same(made):
    made.train["images"].append({"id": 20, "file_name": "a1.jpg", "width": 120, "height": 90})
    made.train["annotations"] += [one | {"image_id": 20} for one in made.train["annotations"][3:6]]


def cleaned(made, out):
    """(findings of the copy that are no notes, its settings, what was changed)"""
    described = made.read()
    examine(described)
    changes = [str(change) for change in write_copy(described, out)]
    settings = read_data(out)
    findings = [finding for finding in examine(read_set(settings)) if finding.severity != "note"]
    return findings, settings, changes


def copies_of_an_image_of_val(made):
    for name in ("a2.jpg", "a3.jpg"):
        shutil.copy(made.images / "b1.jpg", made.images / name)


def listed_twice_and_a_copy(made):
    same(made)
    made.train["images"].append({"id": 20, "file_name": "a2.jpg", "width": 120, "height": 90})
    made.train["annotations"].append({"id": 99, "image_id": 20, "category_id": 1, "bbox": [60, 60, 20, 20]})


CASES = [  # what is spoilt, the change that is told, images and boxes left in train (of 4 and 12)
    (missing, "images left out whose files cannot be used as they are recorded: 1 (photo_a1.jpg)", 3, 9),
    (corrupt, "images left out whose files cannot be used as they are recorded: 1 (a1.jpg)", 3, 9),
    (truncated, "images left out whose files cannot be used as they are recorded: 1 (a1.jpg)", 3, 9),
    (resized, "images left out whose files cannot be used as they are recorded: 1 (a1.jpg)", 3, 9),
    (stored_size, "images left out whose files cannot be used as they are recorded: 1 (a1.jpg)", 3, 9),
    (listed_twice, "images joined with the first of the same: 1 (a1.jpg)", 4, 13),
    (listed_twice_the_same, "boxes left out that were drawn twice: 3 (annotations[12]; annotations[13]; annot", 4, 12),
    (same, "images joined with the first of the same: 1 (a2.jpg)", 3, 12),
    (listed_twice_and_a_copy, "images joined with the first of the same: 2 (a2.jpg; a2.jpg)", 3, 13),
    (shared_bytes, "images left out that another split has: 1 (a3.jpg)", 3, 9),
    (shared_file, "images left out that another split has: 1 (a3.jpg)", 3, 9),
    (copies_of_an_image_of_val, "images left out that another split has: 2 (a2.jpg; a3.jpg)", 2, 6),
    (corners, "boxes read as [left, top, right, bottom]: 12", 4, 12),
    (beyond, "boxes cut at the border of their image: 1 (annotations[2])", 4, 12),
    (twice, "boxes left out that were drawn twice: 1 (annotations[12])", 4, 14),
    (same_name, "classes joined with the first of their name: 1 (bolt)", 4, 12),
    (bad_boxes, "boxes left out that nothing can be learned from: 4 (annotations[0]; annotations[1]; annot", 4, 8),
    (unusable_records, "records left out that cannot be used: 2 (annotations[0]; annotations[1])", 4, 10),
]


@pytest.mark.parametrize(("spoil", "told", "images", "boxes"), CASES)
def test_the_copy_of_a_spoilt_set_is_sound_and_trains(made, tmp_path, spoil, told, images, boxes):
    spoil(made)
    findings, settings, changes = cleaned(made, tmp_path / "out")
    assert findings == []
    assert any(change.startswith(f"train: {told}") for change in changes), changes
    train = Dataset.of_split(settings, "train")
    assert (len(train), len(train.images.boxes)) == (images, boxes)
    assert train.sample(0).image.shape == (90, 120, 3) and len(train.categories) == 3


def test_boxes_are_kept_as_they_are_but_where_they_are_mended(made, tmp_path):
    made.train["annotations"][0] |= {"area": 123.5, "score": 0.75}
    made.train["annotations"][1] |= {"bbox": [-500, 4, 20, 9], "iscrowd": 1}
    made.train["annotations"][2]["bbox"] = [80.25, 60.125, 60, 20]
    _, _, changes = cleaned(made, tmp_path / "out")
    content = json.loads((tmp_path / "out" / "annotations" / "train.json").read_text())
    first, second, third, *_ = content["annotations"]
    assert first["bbox"] == made.train["annotations"][0]["bbox"] and (first["area"], first["score"]) == (123.5, 0.75)
    assert second["bbox"] == [-500, 4, 20, 9] and second["iscrowd"] == 1 and "score" not in second
    assert third["bbox"] == [80.25, 60.125, 39.75, 20] and third["area"] == 39.75 * 20
    assert changes == ["train: boxes cut at the border of their image: 1 (annotations[2])"]
    assert content["images"] == made.train["images"] and content["categories"] == made.train["categories"]


def test_a_sound_set_is_copied_unchanged(made, tmp_path):
    made.images.joinpath("sub").mkdir()
    shutil.move(made.images / "a2.jpg", made.images / "sub" / "a2.jpg")
    made.train["images"][2]["file_name"] = "sub/a2.jpg"
    assert cleaned(made, tmp_path / "out")[2] == []
    for split in ("train", "val"):
        content = json.loads((tmp_path / "out" / "annotations" / f"{split}.json").read_text())
        assert [one["bbox"] for one in content["annotations"]] == [
            one["bbox"] for one in getattr(made, split)["annotations"]
        ]
        assert content["images"] == getattr(made, split)["images"]


def test_what_is_accepted_is_no_mistake_that_is_mended(made, tmp_path):
    for spoil in (twice, listed_twice, same, shared_bytes, same_name):
        spoil(made)
    described = made.read()
    described.accept = ["box.twice", "image.listed_twice", "image.same", "split.duplicates", "class.same_name"]
    assert [finding for finding in examine(described) if finding.severity != "note"] == []
    assert write_copy(described, tmp_path / "out") == []
    corners(made)
    described = made.read()
    described.accept = ["box.corners"]
    examine(described)
    assert not any("right, bottom" in str(change) for change in write_copy(described, tmp_path / "corners"))


def test_names_that_are_broken_unicode_are_kept(made, tmp_path):
    made.train["categories"][0]["name"] = made.val["categories"][0]["name"] = "Schr\ud800ube"
    cleaned(made, tmp_path / "out")
    content = json.loads((tmp_path / "out" / "annotations" / "train.json").read_text())
    assert content["categories"] == made.train["categories"]


def test_what_nobody_can_mend_is_left(made, tmp_path):
    made.val = made.train
    findings, _, changes = cleaned(made, tmp_path / "out")
    assert [(finding.id, finding.count) for finding in findings] == [("split.duplicates", 4)] and changes == []


def test_the_set_itself_is_never_touched_nor_a_folder_that_holds_something(made, tmp_path):
    def fingerprint():
        return {path: hashlib.sha256(path.read_bytes()).digest() for path in made.root.rglob("*") if path.is_file()}

    twice(made)
    made.write()
    before = fingerprint()
    cleaned(made, tmp_path / "out")
    with pytest.raises(UserError, match="out: holds something already; name a new folder"):
        cleaned(made, tmp_path / "out")
    with pytest.raises(UserError, match="set: holds something already"):
        cleaned(made, made.root)
    assert fingerprint() == before


def test_photos_made_up_here_look_like_no_other():
    assert photo(0).shape == (90, 120, 3) and abs(photo(0).astype(int) - photo(1)).mean() > 30
