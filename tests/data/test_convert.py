"""Conversion and division of data sets: what comes back, what is told, and that nothing is overwritten."""

import itertools
import json
import os

import numpy as np
import pytest
from PIL import Image

from detect.config.schema import DataSettings
from detect.data.convert import convert, divide, read
from detect.data.dataset import Dataset
from detect.data.formats.opening import format_of, splits_of
from detect.errors import UserError
from tests.data.exports import coco_content, copy, made_up, write
from tests.data.test_near_duplicates import scene

FORMATS = ("coco", "yolo", "voc", "webdataset")


def settings(root, **options):
    return DataSettings(root=str(root), **options)


@pytest.fixture
def source(tmp_path):
    """A set in COCO's format with odd ids, numbers and names; train and val have an image of the same name."""
    rng = np.random.default_rng(1)
    photos = made_up(tmp_path / "photos")
    photos[0].boxes = [("RBC", [float(x) for x in rng.random(4) * 20]) for _ in range(20)]
    photos[1].boxes.append(("WBC", [-3.5, 1 / 3, 20, 61.25]))
    for split, chosen in (("train", photos), ("val", photos[1:2])):
        for photo in chosen:
            copy(photo, tmp_path / "source" / "images" / split)
        write(tmp_path / "source" / "annotations" / f"{split}.json", json.dumps(coco_content(chosen)))
    return settings(tmp_path / "source")


def content_of(data, split):
    """{file name: sorted (class, box)} of a split, boxes as they are written; numbers of doubled names are left out."""
    reader = read(data, split)
    names = [category["name"] for category in reader.categories]
    files = [os.path.basename(path).replace("_2.", ".") for path in reader.images.paths]
    found = {name: [] for name in files}
    rows = zip(reader.annotations.places, reader.annotations.labels, reader.annotations.boxes.tolist(), strict=True)
    for place, label, box in rows:
        found[files[place]].append((names[label], box))
    return {name: sorted(boxes) for name, boxes in found.items()}, names


@pytest.mark.parametrize(("first", "second"), list(itertools.product(FORMATS, FORMATS)))
def test_a_set_comes_back_through_any_two_formats(source, tmp_path, first, second):
    convert(source, first, tmp_path / "one")
    result = convert(settings(tmp_path / "one"), second, tmp_path / "two")
    data = settings(tmp_path / "two")
    assert format_of(data) == second and set(splits_of(data)) == {"train", "val"}
    assert result["splits"] == {"train": 4, "val": 1} and result["boxes"] == 20 + 3 + 1 + 3 + 4
    tolerance = 2e-4 if "voc" in (first, second) else 1e-9
    for split in ("train", "val"):
        (got, names), (wanted, classes) = content_of(data, split), content_of(source, split)
        assert names == classes and set(got) == set(wanted)
        for name, boxes in wanted.items():
            assert [label for label, _ in got[name]] == [label for label, _ in boxes]
            np.testing.assert_allclose([b for _, b in got[name]], [b for _, b in boxes], atol=tolerance)


def test_coco_keeps_ids_areas_crowds_and_scores(tmp_path):
    photos = made_up(tmp_path / "photos")[:1]
    content = coco_content(photos, first=7)
    content["categories"][1]["id"] = 90
    for one, more in zip(content["annotations"], [{"area": 5.5}, {"iscrowd": 1}, {"score": 0.25}], strict=True):
        one |= more | ({"category_id": 90} if one["category_id"] == 8 else {})
    write(tmp_path / "set" / "a.json", json.dumps(content))
    copy(photos[0], tmp_path / "set")
    result = convert(settings(tmp_path / "set"), "coco", tmp_path / "out")
    written = json.loads((tmp_path / "out" / "annotations" / "train.json").read_text())
    assert result["notes"] == []
    assert [image["id"] for image in written["images"]] == [7]
    assert [category["id"] for category in written["categories"]] == [7, 9, 90]
    keys = ("image_id", "category_id", "bbox", "area", "iscrowd", "score")
    told = [[[one.get(key) for key in keys] for one in each["annotations"]] for each in (written, content)]
    assert told[0] == told[1]


def test_what_a_format_cannot_hold_is_counted(tmp_path):
    photos = made_up(tmp_path / "photos")[:1]
    photos[0].boxes *= 2
    content = coco_content(photos, first=7, segmentation=[[1, 1, 5, 1, 5, 5]])
    more = [{"area": 5.5}, {"iscrowd": 1}, {"score": 0.9}, {"score": 0.3}, {"score": 0.1}, {}]
    for one, values in zip(content["annotations"], more, strict=True):
        one |= values
    write(tmp_path / "set" / "a.json", json.dumps(content))
    copy(photos[0], tmp_path / "set")
    voc = convert(settings(tmp_path / "set"), "voc", tmp_path / "voc")
    assert voc["boxes"] == 5 and voc["notes"] == [
        "1 areas other than their box's: voc has none",
        "3 scores: voc has none; learned from 0.5 on",
        "1 images whose id is lost: voc numbers them",
        "3 classes whose id is lost: voc numbers them from 1 on",
        "6 outlines left out, their boxes are kept",
    ]
    assert read(settings(tmp_path / "voc"), "train").annotations.crowds.tolist() == [False, True, False, True, False]
    yolo = convert(settings(tmp_path / "set"), "yolo", tmp_path / "yolo")
    assert yolo["boxes"] == 3 and "2 crowds and ignore regions left out: yolo has none" in yolo["notes"]


def test_images_of_one_name_get_numbers(tmp_path):
    photos = made_up(tmp_path / "photos")
    for folder, photo in (("a", photos[0]), ("b", photos[2])):
        copy(photo, tmp_path / "set" / "images" / folder, "x.jpg")
    content = coco_content([photos[0], photos[2]])
    for image, name in zip(content["images"], ("a/x.jpg", "b/x.jpg"), strict=True):
        image["file_name"] = name
    write(tmp_path / "set" / "annotations" / "train.json", json.dumps(content))
    for to in FORMATS:
        result = convert(settings(tmp_path / "set"), to, tmp_path / to)
        assert "1 images with a new name, as another has theirs" in result["notes"]
        dataset = Dataset.of_split(settings(tmp_path / to), "train")
        assert [image.path.name for image in dataset.images] == ["x.jpg", "x_2.jpg"]
        assert [(image.width, len(image.boxes)) for image in dataset.images] == [(60, 3), (64, 3)]


def test_images_are_links_or_copies(source, tmp_path):
    for copied in (False, True):
        out = tmp_path / str(copied)
        convert(source, "yolo", out, copy=copied)
        images = list((out / "images").rglob("*.jpg"))
        assert len(images) == 5 and {image.stat().st_nlink > 1 for image in images} == {not copied}


def test_an_image_of_two_splits_is_one_in_voc(tmp_path):
    photos = made_up(tmp_path / "photos")
    for name, chosen in (("train", photos[:3]), ("trainval", photos)):
        write(tmp_path / "set" / "annotations" / f"{name}.json", json.dumps(coco_content(chosen)))
    for photo in photos:
        copy(photo, tmp_path / "set" / "images")
    convert(settings(tmp_path / "set"), "voc", tmp_path / "out")
    assert len(list((tmp_path / "out" / "JPEGImages").iterdir())) == 4
    assert len(read(settings(tmp_path / "out"), "train").images) == 3


def test_nothing_is_written_over_and_nothing_half(source, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").touch()
    with pytest.raises(UserError, match="out: is there already; give another folder, or remove it"):
        convert(source, "yolo", tmp_path / "out")
    (tmp_path / "source" / "images" / "val" / "a cell.jpg").unlink()
    with pytest.raises(UserError, match=r"a cell\.jpg: no such file"):
        convert(source, "voc", tmp_path / "new")
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["out", "photos", "source"] and os.listdir(tmp_path / "out") == ["mine.txt"]


def test_a_full_disk_is_said_of_the_new_folder(source, tmp_path, small_disk):
    with small_disk(500), pytest.raises(UserError, match=r"/out: cannot be written \(File too large\)"):
        convert(source, "yolo", tmp_path / "out", copy=True)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", [" RBC", "R\nBC"])
def test_a_name_that_no_line_holds_is_refused(tmp_path, name):
    photos = made_up(tmp_path / "photos")[:1]
    content = coco_content(photos)
    content["categories"][1]["name"] = name
    write(tmp_path / "set" / "a.json", json.dumps(content))
    copy(photos[0], tmp_path / "set")
    for to in ("yolo", "voc"):
        with pytest.raises(UserError, match=f"has a name that {to} cannot hold; rename it"):
            convert(settings(tmp_path / "set"), to, tmp_path / to)


# ---- splits --------------------------------------------------------------------------------------------------------


@pytest.fixture
def scenes(tmp_path):
    """Make a COCO set of the scenes with these seeds; `copies` are saved anew as other files."""

    def make(seeds, copies=(), root="scenes"):
        folder = tmp_path / root / "images"
        folder.mkdir(parents=True)
        names = [f"{seed:03}.png" for seed in seeds]
        for seed, name in zip(seeds, names, strict=True):
            Image.fromarray(scene(seed)).save(folder / name)
        for seed in copies:
            names.append(f"copy_{seed:03}.jpg")
            Image.fromarray(scene(seed)).save(folder / names[-1], quality=60)
        images = [{"id": i, "file_name": name, "width": 160, "height": 120} for i, name in enumerate(names)]
        annotations = [{"id": i, "image_id": i, "category_id": 1, "bbox": [1, 2, 30, 40]} for i in range(len(names))]
        content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "cup"}]}
        write(tmp_path / root / "result.json", json.dumps(content))
        return settings(tmp_path / root)

    return make


def names_of(root, split):
    return {os.path.basename(path) for path in read(settings(root), split).images.paths}


def test_a_set_is_divided_by_the_names_of_its_files(scenes, tmp_path):
    result = divide(scenes(range(60)), tmp_path / "out")
    train, val = names_of(tmp_path / "out", "train"), names_of(tmp_path / "out", "val")
    assert len(train | val) == 60 and not train & val and 5 <= len(val) <= 20
    assert result["splits"] == {"train": len(train), "val": len(val)} and result["near_duplicates"] == 0
    more = divide(scenes(range(90), root="more"), tmp_path / "more_out", to="voc")
    assert more["format"] == "voc" and names_of(tmp_path / "more_out", "val") >= val
    assert names_of(tmp_path / "more_out", "train") >= train


def test_near_duplicates_are_on_one_side(scenes, tmp_path):
    result = divide(scenes(range(30), copies=range(30)), tmp_path / "out", val=0.5, to="yolo")
    assert result["near_duplicates"] == 30 and not any("instead of" in note for note in result["notes"])
    for split in ("train", "val"):
        names = names_of(tmp_path / "out", split)
        assert {f"copy_{name[:3]}.jpg" for name in names if name[0] != "c"} == {n for n in names if n[0] == "c"}


def test_the_splits_that_were_are_one_and_test_stays(source, tmp_path, scenes):
    data = scenes(range(30))
    root = tmp_path / "scenes"
    content = json.loads((root / "result.json").read_text())
    (root / "result.json").unlink()
    for split, chosen in (
        ("train", content["images"][:20]),
        ("val", content["images"][15:25]),
        ("test", content["images"][25:]),
    ):
        ids = {image["id"] for image in chosen}
        own = [one for one in content["annotations"] if one["image_id"] in ids]
        write(root / "annotations" / f"{split}.json", json.dumps(content | {"images": chosen, "annotations": own}))
    result = divide(data, tmp_path / "out", val=0.4)
    splits = {split: names_of(tmp_path / "out", split) for split in ("train", "val", "test")}
    assert result["splits"] == {split: len(names) for split, names in splits.items()}
    assert splits["test"] == {f"{seed:03}.png" for seed in range(25, 30)}
    assert len(splits["train"]) + len(splits["val"]) == 25 and not splits["train"] & splits["val"]


def test_a_split_without_images_is_refused(scenes, tmp_path):
    for share, empty in ((0, "val"), (1, "train")):
        with pytest.raises(UserError, match=f"none of its 3 images would be in {empty}; choose another share"):
            divide(scenes(range(3), root=f"s{share}"), tmp_path / "out", val=share)


def test_a_share_that_comes_out_otherwise_is_said(scenes, tmp_path):
    result = divide(scenes(range(2), copies=range(2)), tmp_path / "out", val=0.9)
    assert result["splits"] == {"train": 2, "val": 2}
    assert "val has 50% of the images instead of 90%, as they are few or many look the same" in result["notes"]
