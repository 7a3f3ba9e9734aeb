"""Every tool's export is read as it comes: the same images, classes and boxes, whatever the format."""

from pathlib import Path

import numpy as np
import pytest

from detect import config
from detect.config.schema import DataSettings, SplitSettings
from detect.data.check_files import check_files
from detect.data.dataset import Dataset
from detect.data.formats import coco
from detect.data.formats.opening import format_of, has_split, is_data_set, open_split, splits_of
from detect.errors import UserError
from detect.ops.boxes import xyxy_to_xywh
from tests.data.exports import (
    CLASSES,
    EXPORTS,
    cvat_coco,
    made_up,
    of_coco,
    roboflow_coco,
    roboflow_csv,
    roboflow_voc,
    ultralytics,
    write,
)  # fmt: skip

CASES = [pytest.param(name, export, id=export.__name__) for name, exports in EXPORTS.items() for export in exports]


def told(dataset):
    """[(width, height, [(class, box xywh)])] of a set, in an order that no file names have a part in."""
    names = [category["name"] for category in dataset.categories]
    return sorted(
        (image.width, image.height, sorted((names[k], tuple(np.round(box, 3))) for k, box in _boxes(image)))
        for image in dataset.images
    )


def _boxes(image):
    return zip(image.labels.tolist(), xyxy_to_xywh(image.boxes.astype(float)).tolist(), strict=True)


def expected(photos):
    return sorted(
        (photo.width, photo.height, sorted((name, tuple(map(float, box))) for name, box in photo.boxes))
        for photo in photos
    )


def agree(dataset, photos, tolerance):
    got, wanted = told(dataset), expected(photos)
    assert [image[:2] for image in got] == [image[:2] for image in wanted]
    for (*_, boxes), (*_, others) in zip(got, wanted, strict=True):
        assert sorted(name for name, _ in boxes) == sorted(name for name, _ in others)
        assert np.allclose(sorted(box for _, box in boxes), sorted(box for _, box in others), atol=tolerance)


@pytest.mark.parametrize(("name", "export"), CASES)
def test_a_tools_export_is_read_as_it_comes(name, export, tmp_path):
    photos = made_up(tmp_path / "photos")
    export(tmp_path / "set", photos)
    data = config.read_data(tmp_path / "set")
    assert format_of(data) == name and splits_of(data) == ["train"]
    dataset = Dataset.of_split(data, "train")
    if export.__name__ == "roboflow_csv":  # which says nothing of images without objects
        photos = photos[:3]
    assert [category["name"] for category in dataset.categories] == CLASSES
    agree(dataset, photos, tolerance=1e-3)
    check_files(dataset.source, dataset.images)
    assert not has_split(data, "val")
    with pytest.raises(UserError, match=rf"no split 'val' \({name}\); there is train; "):
        open_split(data, "val")


@pytest.mark.parametrize(("name", "export"), CASES)
def test_bccd_is_read_in_every_format(name, export, tmp_path, shared):
    root = shared / "data" / "bccd"
    photos = of_coco(root / "annotations" / "val.json", root / "images")
    export(tmp_path / "set", photos)
    agree(Dataset.of_split(config.read_data(tmp_path / "set"), "train"), photos, tolerance=2e-3)


@pytest.mark.parametrize("export", [roboflow_coco, roboflow_voc, roboflow_csv])
def test_the_folder_valid_is_the_split_val(export, tmp_path):
    photos = made_up(tmp_path / "photos")
    export(tmp_path / "set", photos[:2])
    export(tmp_path / "other", photos[2:3])
    (tmp_path / "other" / "train").rename(tmp_path / "set" / "valid")
    data = config.read_data(tmp_path / "set")
    assert splits_of(data) == ["train", "val"]
    train, val = (Dataset.of_split(data, split) for split in ("train", "val"))
    assert (len(train), len(val)) == (2, 1) and train.categories == val.categories


def test_a_file_that_describes_data_may_be_named_itself(tmp_path):
    photos = made_up(tmp_path / "photos")
    ultralytics(tmp_path / "set", photos)
    cvat_coco(tmp_path / "other", photos)
    for path in ("set/data.yaml", "other/annotations/instances_default.json"):
        agree(Dataset.of_split(config.read_data(tmp_path / path), "train"), photos, tolerance=1e-3)


def test_of_two_formats_the_first_is_read_and_the_other_said(tmp_path):
    photos = made_up(tmp_path / "photos")
    ultralytics(tmp_path / "set", photos)
    cvat_coco(tmp_path / "set", photos)
    root = str(tmp_path / "set")
    dataset = Dataset.of_split(DataSettings(root=root), "train")
    note = f"{root}: read as coco, could be yolo too; data.format says which"
    assert note in dataset.notes
    chosen = Dataset.of_split(DataSettings(root=root, format="yolo"), "train")
    assert chosen.source.name == "data.yaml" and note not in chosen.notes


def test_photos_beside_files_of_ours_are_no_data_set(tmp_path):
    made_up(tmp_path)
    write(tmp_path / "detections.json", '[{"image_id": 1}]')
    write(tmp_path / "model.xml", '<?xml version="1.0"?>\n<net name="x"></net>\n')
    assert not is_data_set(tmp_path)


def test_what_holds_no_annotations_is_told_what_is_looked_for(tmp_path):
    made_up(tmp_path)
    with pytest.raises(UserError, match=r"holds no annotations that are known; looked for coco: .*; voc: .*; csv: "):
        open_split(DataSettings(root=str(tmp_path)), "train")


@pytest.mark.parametrize("ask", [format_of, splits_of, lambda data: is_data_set(Path(data.root))])
def test_a_folder_that_lets_nobody_in_is_a_sentence(tmp_path, monkeypatch, ask):
    def refuse(root):
        raise PermissionError(13, "Permission denied", str(root / "train"))

    monkeypatch.setattr(coco, "found", refuse)  # tests may run as a user whom nothing is refused
    with pytest.raises(UserError, match=r"train: cannot be read \(Permission denied\); check the file and its perm"):
        ask(DataSettings(root=str(tmp_path)))


@pytest.mark.parametrize("name", ["../x", "/tmp/x", "a/b", "..", "a\\b", "a\nb"])
def test_a_split_whose_name_is_that_of_no_folder_is_refused(tmp_path, name):
    data = DataSettings(root=str(tmp_path), splits={name: SplitSettings("images", "a.json")})
    with pytest.raises(UserError, match="can be no split's name, as it is no name of a folder"):
        splits_of(data)
