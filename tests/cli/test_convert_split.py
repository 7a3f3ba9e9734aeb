"""`detect convert` and `detect split` as a user meets them."""

import pytest

from detect.cli.convert import WRITTEN
from detect.data.writing.writers import WRITERS
from tests.cli.command_line import answer, detect
from tests.data.exports import cvat_voc, made_up


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("convert")
    cvat_voc(folder / "set", made_up(folder / "photos"))
    return folder


def test_an_export_is_converted(root, tmp_path):
    said = answer("convert", root / "set", tmp_path / "out", "--to", "yolo", "--copy")
    assert said == {
        "folder": str(tmp_path / "out"), "format": "yolo", "images": 4, "boxes": 9, "splits": {"train": 4},
        "notes": ["3 classes whose id is lost: yolo numbers them from 0 on"],
    }  # fmt: skip
    ran = detect("convert", tmp_path / "out", tmp_path / "back", "--to", "coco")
    assert ran.status == 0 and ran.out.endswith(f"4 images (train 4) with 9 boxes as coco: {tmp_path / 'back'}\n")


def test_an_export_is_divided(root, tmp_path):
    said = answer("split", root / "set", tmp_path / "out", "--val", "0.5")
    assert said["format"] == "voc" and sum(said["splits"].values()) == 4 and set(said["splits"]) == {"train", "val"}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("convert {root}/nowhere {root}/out --to coco", "error: no such file or folder /"),
        ("convert {root}/set {root}/set --to coco", "set: is there already"),
        ("convert {root}/set {root}/out --to csv", "invalid choice: 'csv'"),
        ("split {root}/photos {root}/out", "holds no annotations that are known"),
        ("split {root}/set {root}/out --val 0", "would be in val; choose another share"),
        ("split {root}/set {root}/out --val 1.5", "'1.5' is no number from 0 to 1"),
    ],
)
def test_a_mistake_is_one_sentence_and_writes_nothing(root, line, message):
    ran = detect(*line.format(root=root).split())
    assert ran.status == 1 and message in ran.err and ran.err.count("\n") == 1
    assert not (root / "out").exists()


def test_every_format_that_can_be_written_can_be_asked_for():
    assert set(WRITTEN) == WRITERS.keys()
