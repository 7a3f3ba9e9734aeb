"""YOLO's text files and crops."""

import numpy as np
import pytest

from detect.errors import UserError
from detect.inference.sinks.label_sinks import CropSink, YoloSink
from detect.inference.sinks.output_names import OutputNames, safe_names
from detect.ops.image import read_image
from tests.inference.made_results import result


def files_in(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_yolo_lines_are_parts_of_the_image(tmp_path):
    sink = YoloSink(OutputNames(tmp_path), ("cat", "big\ndog"))
    sink.write(result(boxes=[[16, 12, 48, 36], [-5, 0, 32, 48]]))  # of 64 x 48
    sink.write(result(boxes=(), source="clip.avi", index=12, medium="video", item=1))
    sink.write(result(source="classes.jpg", item=2))
    assert files_in(tmp_path) == [
        "labels/a.txt", "labels/classes-image.txt", "labels/classes.txt", "labels/clip-000012.txt",
    ]  # fmt: skip
    lines = (tmp_path / "labels" / "a.txt").read_text().splitlines()
    assert lines == ["1 0.500000 0.500000 0.500000 0.500000", "1 0.250000 0.500000 0.500000 1.000000"]
    assert (tmp_path / "labels" / "classes.txt").read_text() == "cat\nbig\n"
    assert (tmp_path / "labels" / "clip-000012.txt").read_text() == ""


def test_crops_lie_with_their_class_and_nothing_lies_outside(tmp_path):
    sink = CropSink(OutputNames(tmp_path / "out"), ("cat", "../../dog"))
    image = np.arange(64, dtype=np.uint8)[None, :, None].repeat(48, 0).repeat(3, 2) * 4
    one = result(boxes=[[8, 8, 24, 40], [30, 5, 30.2, 6], [-9, -9, 3, 3], [50, 40, 90, 90]])
    sink.write(type(one)(one.boxes, one.scores, one.labels, one.names, type(one.frame)(image, "x/a.jpg")))
    (folder,) = (tmp_path / "out" / "crops").iterdir()
    assert folder.name == safe_names(("cat", "../../dog"))[1]
    assert files_in(folder) == ["a-1.jpg", "a-3.jpg", "a-4.jpg"]  # the second has no px
    crop = read_image(folder / "a-1.jpg")
    assert crop.shape == (32, 16, 3) and abs(int(crop[5, 3, 0]) - 4 * 11) < 4
    assert read_image(folder / "a-4.jpg").shape == (8, 14, 3)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_each_run_has_folders_of_its_own(tmp_path):
    for folder in ("labels", "labels-2"):
        names = OutputNames(tmp_path)
        YoloSink(names, ("cat",)).write(result())
        assert names.folders == [tmp_path / folder]
    assert files_in(tmp_path) == [f"{f}/{n}.txt" for f in ("labels-2", "labels") for n in ("a", "classes")]


def test_names_of_classes_become_safe_and_stay_apart():
    names = ["person", "traffic light", "Person", "../etc", "a/b", "a\\b", "CON", "", "行人", "...", "x" * 300, "\0\n"]
    safe = safe_names(names)
    assert safe[:2] == ["person", "traffic light"] and "行人" in safe
    assert len({name.lower() for name in safe}) == len(names)
    assert not [name for name in safe if set(name) & set("/\\.\0\n") or name.upper() == "CON" or not 0 < len(name) < 80]


def test_a_full_disk_is_one_sentence(tmp_path, small_disk):
    sink = CropSink(OutputNames(tmp_path), ("cat", "dog"))
    sink.write(result())
    with small_disk(100), pytest.raises(UserError, match="cannot be written"):
        sink.write(result(source="b.jpg", item=1))
    assert files_in(tmp_path) == ["crops/dog/a-1.jpg"]
