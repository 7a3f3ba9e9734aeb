"""What is written for the COCO server is what it wants, whole or not at all."""

import json
import os
import zipfile

import pytest

from detect.errors import UserError
from detect.evaluation.coco import to_coco_results
from detect.evaluation.submission import load_image_info, write_results, write_test_dev

TEST_DEV_IMAGES = 20_288  # of test-dev2017
DETECTION = {"image_id": 7, "category_id": 18, "bbox": [1.5, 2.0, 3.25, 4.0], "score": 0.5}


def image(number, **changes):
    return {"id": number, "file_name": f"{number:012d}.jpg", "width": 640, "height": 480} | changes


def write_info(folder, images):
    path = folder / "image_info.json"
    path.write_text(json.dumps({"images": images, "categories": []}))
    return path


def test_test_dev_in_full_size_is_read_written_and_zipped(tmp_path):
    records = load_image_info(write_info(tmp_path, [image(3 * number) for number in range(TEST_DEV_IMAGES)]))
    assert len(records) == TEST_DEV_IMAGES
    assert records[2] == (6, "000000000006.jpg", 640, 480)
    detections = []
    for record in records:
        detections += to_coco_results(record.id, [[0, 0, record.width, record.height]], [0.9], [1])
    json_path, zip_path = write_test_dev(tmp_path, "CSPPeleeNet-EFM_416.1", detections)
    assert json_path == tmp_path / "detections_test-dev2017_CSPPeleeNet-EFM_416.1_results.json"
    assert zip_path == tmp_path / "detections_test-dev2017_CSPPeleeNet-EFM_416.1_results.zip"
    with zipfile.ZipFile(zip_path) as archive:
        assert archive.namelist() == [json_path.name]
        assert json.loads(archive.read(json_path.name)) == detections
    assert zip_path.stat().st_size < json_path.stat().st_size
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("name", ["", "a b", "../up", "a/b", "ä", "x\n", "x" * 101])
def test_name_of_a_submission_is_a_plain_word(tmp_path, name):
    with pytest.raises(UserError, match="letters, digits"):
        write_test_dev(tmp_path, name, [])
    assert not list(tmp_path.iterdir())


def test_results_hold_only_what_the_server_reads(tmp_path):
    path = tmp_path / "results.json"
    write_results(path, [DETECTION | {"id": 3, "segmentation": []}])
    assert json.loads(path.read_text()) == [DETECTION]
    write_results(path, [])
    assert json.loads(path.read_text()) == []


def test_failed_writing_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "results.json"
    write_results(path, [DETECTION])

    def full(file):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match=r"results\.json: cannot be written \(No space left on device\)"):
        write_results(path, [])
    with pytest.raises(UserError, match=r"results\.json: a box or score is NaN"):
        write_results(path, [DETECTION | {"score": float("nan")}])
    assert json.loads(path.read_text()) == [DETECTION]
    assert list(tmp_path.iterdir()) == [path]


def test_missing_folder_is_named(tmp_path):
    with pytest.raises(UserError, match=r"none/results\.json: cannot be written \(No such file or directory\)"):
        write_results(tmp_path / "none" / "results.json", [])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": "2"}, r"image 1 has id '2'"),
        ({"id": 1}, r"image 1 has id 1, which an earlier one has too"),
        ({"width": 640.5}, r"image 1 \(id 2\) has width 640\.5"),
        ({"height": True}, r"image 1 \(id 2\) has height True"),
        ({"height": 0}, r"image 1 \(id 2\) has height 0"),
        ({"file_name": None}, r"image 1 \(id 2\) has file_name None"),
        ({"file_name": " "}, r"image 1 \(id 2\) has file_name ' '"),
        ({"file_name": "a\x00.jpg"}, r"image 1 \(id 2\) has file_name"),
        ({"file_name": "/etc/passwd"}, r"image 1 \(id 2\) has file_name '/etc/passwd'; name a file"),
        ({"file_name": "sub/../../a.jpg"}, r"image 1 \(id 2\) has file_name 'sub/\.\./\.\./a\.jpg'; name a file"),
        ({"file_name": "..\\a.jpg"}, "name a file in the image folder"),
        ({"file_name": "C:\\a.jpg"}, "name a file in the image folder"),
        ({"file_name": "\\\\host\\share\\a.jpg"}, "name a file in the image folder"),
    ],
)
def test_wrong_record_is_one_sentence(tmp_path, changes, message):
    path = write_info(tmp_path, [image(1), image(2, **changes)])
    with pytest.raises(UserError, match=message) as caught:
        load_image_info(path)
    assert str(caught.value).startswith(f"{path}: image 1")
    assert "\n" not in str(caught.value)


def test_names_in_subfolders_and_with_dots_are_fine(tmp_path):
    path = write_info(tmp_path, [image(1, file_name="test2017/a..b.jpg"), image(2, file_name="Straße 1.jpg")])
    assert [record.file_name for record in load_image_info(path)] == ["test2017/a..b.jpg", "Straße 1.jpg"]


def test_missing_field_and_missing_list_are_named(tmp_path):
    record = image(5)
    del record["width"]
    with pytest.raises(UserError, match=r"image 0 \(id 5\) has width None"):
        load_image_info(write_info(tmp_path, [record]))
    path = tmp_path / "list.json"
    path.write_text("[]")
    with pytest.raises(UserError, match=r"list\.json: has no list 'images'"):
        load_image_info(path)
