"""What is written for the COCO server is what it wants, whole or not at all."""

import json
import os
import zipfile

import pytest

from detect.data.formats.coco import read_image_list
from detect.errors import UserError
from detect.evaluation.detections import Detections
from detect.evaluation.submission import write_results, write_test_dev

TEST_DEV_IMAGES = 20_288  # of test-dev2017
RESULT = {"image_id": 7, "category_id": 18, "bbox": [1.5, 2.0, 3.25, 4.0], "score": 0.5}
DETECTION, NOTHING = Detections.of([RESULT]), Detections.of([])


def image(number, **changes):
    return {"id": number, "file_name": f"{number:012d}.jpg", "width": 640, "height": 480} | changes


def write_info(folder, images):
    path = folder / "image_info.json"
    path.write_text(json.dumps({"images": images, "categories": []}))
    return path


def test_test_dev_in_full_size_is_read_written_and_zipped(tmp_path):
    content = [image(3 * number) for number in range(TEST_DEV_IMAGES)]
    records, categories = read_image_list(write_info(tmp_path, content), tmp_path)
    assert len(records) == TEST_DEV_IMAGES
    assert (records[2].id, records[2].width, records[2].height) == (6, 640, 480)
    assert records[2].path == tmp_path / "000000000006.jpg" and categories == []
    detections = Detections.joined(
        Detections.in_image(record.id, [[0, 0, record.width, record.height]], [0.9], [1]) for record in records
    )
    json_path, zip_path = write_test_dev(tmp_path, "CSPPeleeNet-EFM_416.1", detections)
    assert json_path == tmp_path / "detections_test-dev2017_CSPPeleeNet-EFM_416.1_results.json"
    assert zip_path == tmp_path / "detections_test-dev2017_CSPPeleeNet-EFM_416.1_results.zip"
    with zipfile.ZipFile(zip_path) as archive:
        assert archive.namelist() == [json_path.name]
        assert json.loads(archive.read(json_path.name)) == detections.results()
    assert zip_path.stat().st_size < json_path.stat().st_size
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("name", ["", "a b", "../up", "a/b", "ä", "x\n", "x" * 101])
def test_name_of_a_submission_is_a_plain_word(tmp_path, name):
    with pytest.raises(UserError, match="letters, digits"):
        write_test_dev(tmp_path, name, NOTHING)
    assert not list(tmp_path.iterdir())


def test_results_hold_only_what_the_server_reads(tmp_path):
    path = tmp_path / "results.json"
    write_results(path, DETECTION)
    assert json.loads(path.read_text()) == [RESULT]
    write_results(path, NOTHING)
    assert json.loads(path.read_text()) == []


def test_failed_writing_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "results.json"
    write_results(path, DETECTION)

    def full(file):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match=r"results\.json: cannot be written \(No space left on device\)"):
        write_results(path, NOTHING)
    assert json.loads(path.read_text()) == [RESULT]
    assert list(tmp_path.iterdir()) == [path]


def test_missing_folder_is_named(tmp_path):
    with pytest.raises(UserError, match=r"none/results\.json: cannot be written \(No such file or directory\)"):
        write_results(tmp_path / "none" / "results.json", NOTHING)
