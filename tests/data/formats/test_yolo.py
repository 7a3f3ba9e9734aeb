"""YOLO's text files: what is read of them, and every fault with its file and line."""

import os

import pytest
from PIL import Image

from detect.config.schema import DataSettings
from detect.data.dataset import Dataset
from detect.data.formats.opening import open_split, splits_of
from detect.errors import UserError
from tests.data.exports import write


@pytest.fixture
def load(tmp_path):
    """Write the label file of one image of 40x20 px and read it."""

    def read(text, description="train: images\nnames: [cup, plate]\n", **options):
        (tmp_path / "images").mkdir(exist_ok=True)
        Image.new("RGB", (40, 20)).save(tmp_path / "images" / "a.jpg")
        write(tmp_path / "labels" / "a.txt", text)
        write(tmp_path / "data.yaml", description)
        return Dataset(open_split(DataSettings(root=str(tmp_path)), "train"), **options)

    return read


def error_of(function, *args, **options):
    with pytest.raises(UserError) as caught:
        function(*args, **options)
    return str(caught.value)


def test_shares_become_px_and_polygons_boxes(load):
    dataset = load("1 0.5 0.5 0.25 0.5\n0 0.1 0.1 0.6 0.2 0.3 0.9\n")
    assert dataset.images[0].boxes.tolist() == [[15, 5, 25, 15], [4, 2, 24, 18]]
    assert dataset.images[0].labels.tolist() == [1, 0]
    assert dataset.categories == [{"id": 0, "name": "cup"}, {"id": 1, "name": "plate"}]


def test_a_sixth_number_is_a_score(load):
    assert load("1 0.5 0.5 0.25 0.5 0.9\n1 0.5 0.5 0.2 0.5 0.3\n").images[0].weights.tolist() == [1, 0]


@pytest.mark.parametrize("names", ["[yes, no, 1.0, ~, 010]", "{1: no, 0: yes, 2: 1.0, 3: ~, 4: 010}"])
def test_names_are_texts_as_they_are_written(load, names):
    dataset = load("4 0.5 0.5 0.25 0.5\n", f"train: images\nnc: 5\nnames: {names}\n")
    assert [category["name"] for category in dataset.categories] == ["yes", "no", "1.0", "~", "010"]


def test_the_keypoints_of_poses_are_left_out(load):
    description = "train: images\nnames: [cup]\nkpt_shape: [2, 3]\n"
    assert load("0 0.5 0.5 0.25 0.5 0.1 0.1 2 0.2 0.2 1", description).images[0].boxes.tolist() == [[15, 5, 25, 15]]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("2 .5 .5 .2 .2", "class 2, but there are 2 classes (0 to 1)"),
        ("0.5 .5 .5 .2 .2", "class 0.5, but there are 2 classes (0 to 1)"),
        ("-1 .5 .5 .2 .2", "class -1, but there are 2 classes (0 to 1)"),
        ("cup .5 .5 .2 .2", "'cup' is no finite number; a line is CLASS X Y WIDTH HEIGHT"),
        ("0 .5 nan .2 .2", "'nan' is no finite number; a line is CLASS X Y WIDTH HEIGHT"),
        ("0 .5 .5 .2", "has 4 numbers; a box has 5 (CLASS X Y WIDTH HEIGHT), a polygon 7, 9, ..."),
        ("0 .5 .5 .2 .2 7", "has the score 7; a detector's score is from 0 to 1"),
        ("0 .1 .1 .2 .2 .3 .3 .4", "has 8 numbers; a box has 5 (CLASS X Y WIDTH HEIGHT), a polygon 7, 9, ..."),
        ("0 20 10 8 8", "has the value 20; YOLO's are shares of the image's sides, 0 to 1; remove it, or set"),
        ("0 .5 .5 0 .2", "the box has width 0; remove it, or set data.bad_boxes=drop"),
        ("0 1.3 .5 .2 .2", "the box lies outside its image of 40x20 px; remove it, or set data.bad_boxes=drop"),
    ],
)
def test_a_fault_has_its_file_and_line(load, tmp_path, line, message):
    assert error_of(load, f"0 .5 .5 .2 .2\n{line}\n").startswith(f"{tmp_path}/labels/a.txt:2: {message}")


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ("train: images\nnames: [a, b]\nnc: 3\n", "data.yaml: nc is 3, but names has 2 classes"),
        ("train: images\nnames: {0: a, 2: b}\n", "data.yaml: names: 2 classes, but none with the number 1"),
        ("train: images\nnames: [a, '']\n", "data.yaml: names: must list the classes, or map 0, 1, ... to them"),
        ("train: images\nnames: 7\n", "data.yaml: names: must list the classes, or map 0, 1, ... to them"),
        ("train: images\nnames: [a, a]\n", "data.yaml: names the class 'a' twice; join or rename them"),
        ("train: images\nnames: [a\n", "data.yaml:3: not valid YAML"),
        ("train: images\nnames: &x [a]\nval: *x\n", "data.yaml:3: YAML aliases (*name) are not supported"),
        ("train: photos\nnames: [a]\n", "data.yaml: photos is not in "),
        ("train: ../../etc\nnames: [a]\n", "data.yaml: ../../etc is not in "),
    ],
)
def test_what_is_wrong_with_the_description_is_said(load, tmp_path, description, message):
    assert error_of(load, "", description).startswith(f"{tmp_path}/{message}")


def test_a_path_of_another_machine_is_said(load, tmp_path):
    dataset = load("0 .5 .5 .2 .2", "path: /content/cups\ntrain: /content/cups/images\nnames: {0: cup}\n")
    note = f"{tmp_path}/data.yaml: its path /content/cups is not here; took {tmp_path} instead"
    assert note in dataset.notes and len(dataset) == 1


def test_a_split_test_that_was_not_exported_is_left_out_and_said(load, tmp_path):
    dataset = load("0 .5 .5 .2 .2", "train: images\ntest: ../test/photos\nnames: [cup]\n")
    assert f"{tmp_path}/data.yaml: names a split test that is not there; left out" in dataset.notes
    assert splits_of(DataSettings(root=str(tmp_path))) == ["train"]


def test_an_image_without_a_label_file_has_no_objects(load, tmp_path):
    load("0 .5 .5 .2 .2")
    Image.new("RGB", (10, 10)).save(tmp_path / "images" / "b.png")
    dataset = load("0 .5 .5 .2 .2")
    assert [len(image.boxes) for image in dataset.images] == [1, 0]
    assert any("1 of 2 images have no label file: no objects" in note for note in dataset.notes)


def test_several_folders_may_be_one_split(load, tmp_path):
    (tmp_path / "more" / "images").mkdir(parents=True)
    Image.new("RGB", (10, 10)).save(tmp_path / "more" / "images" / "c.png")
    assert len(load("", "train: [images, more/images]\nnames: [cup]\n")) == 2


def test_what_a_list_names_and_is_nowhere_is_said(load, tmp_path):
    write(tmp_path / "train.txt", "images/a.jpg\nimages/b.jpg\n/etc/../../passwd.jpg\n")
    message = error_of(load, "", "train: train.txt\nnames: [cup]\n")
    assert message.startswith(f"{tmp_path}/train.txt:2: names 'images/b.jpg', which is not in {tmp_path}")


def test_a_link_that_leads_out_of_the_data_is_refused(load, tmp_path):
    load("")
    Image.new("RGB", (10, 10)).save(tmp_path.parent / "outside.png")
    (tmp_path / "images" / "b.png").symlink_to(tmp_path.parent / "outside.png")
    assert "images/b.png: leads out of" in error_of(load, "")


def test_a_list_beside_the_description_of_a_set_elsewhere_is_found(load, tmp_path):
    load("0 .5 .5 .25 .5")
    write(tmp_path / "notes" / "train.txt", "images/a.jpg\n")
    write(tmp_path / "notes" / "data.yaml", f"path: {tmp_path}\ntrain: train.txt\nnames: [cup]\n")
    dataset = Dataset(open_split(DataSettings(root=str(tmp_path / "notes" / "data.yaml")), "train"))
    assert [image.path.name for image in dataset.images] == ["a.jpg"]


def test_a_list_beside_a_description_whose_set_is_below_it_is_found(load, tmp_path):
    load("0 .5 .5 .25 .5")
    (tmp_path / "labels").rename(tmp_path / "images" / "labels")
    write(tmp_path / "train.txt", "a.jpg\n")
    write(tmp_path / "data.yaml", "path: images\ntrain: train.txt\nnames: [cup]\n")
    dataset = Dataset(open_split(DataSettings(root=str(tmp_path / "data.yaml")), "train"))
    assert [image.path.name for image in dataset.images] == ["a.jpg"]


def test_a_link_to_itself_is_no_image(load, tmp_path):
    load("0 .5 .5 .25 .5")
    (tmp_path / "images" / "b.jpg").symlink_to("b.jpg")
    assert len(load("0 .5 .5 .25 .5")) == 1


def test_darknets_description_is_checked(tmp_path):
    write(tmp_path / "obj.data", "classes = 2\ntrain = train.txt\nvalid = val.txt\nnames = obj.names\n")
    write(tmp_path / "obj.names", "cup\nplate\n")
    assert splits_of(DataSettings(root=str(tmp_path))) == ["train", "val"]
    write(tmp_path / "obj.names", "cup\n")
    message = error_of(splits_of, DataSettings(root=str(tmp_path)))
    assert message == f"{tmp_path}/obj.data: classes is 2, but its names are 1"


def test_label_files_of_other_encodings_are_refused(load, tmp_path):
    write(tmp_path / "labels" / "a.txt", "")
    load("")
    (tmp_path / "labels" / "a.txt").write_bytes("0 .5 .5 .2 .2".encode("utf-16"))
    faults = list(open_split(DataSettings(root=str(tmp_path)), "train").faults())
    assert [(fault.id, fault.where) for fault in faults] == [("labels.form", f"{tmp_path}/labels/a.txt")]


def test_labels_that_nobody_may_look_at_are_not_taken_for_none(load, monkeypatch):
    stat = os.stat

    def refuse(path, **options):
        if str(path).endswith("labels/a.txt"):
            raise PermissionError(13, "Permission denied", path)
        return stat(path, **options)

    monkeypatch.setattr(os, "stat", refuse)  # tests may run as a user whom nothing is refused
    assert "labels: cannot be read (Permission denied); check the file" in error_of(load, "0 .5 .5 .2 .2\n")
