"""JSON files are whole, whatever ends a run."""

import json

import pytest

from detect.errors import UserError
from detect.inference.sinks.json_sinks import CocoSink, JsonLinesSink, JsonSink
from detect.inference.sinks.output_names import OutputNames
from tests.inference.made_results import result


def test_json_holds_boxes_in_image_px(tmp_path):
    with JsonSink(tmp_path / "d.json", ("cat", "dog")) as sink:
        sink.write(result())
        sink.write(result(boxes=(), source="b\n行\udcff", index=1, time=0.04))
    found = json.loads((tmp_path / "d.json").read_text())
    box = {"box": [1.0, 2.0, 30.123, 40.0], "score": 0.75, "label": 1, "name": "dog\udcff"}
    assert found["names"] == ["cat", "dog"]
    first = {"source": "a.jpg", "frame": 0, "time": None, "width": 64, "height": 48, "detections": [box]}
    assert found["frames"][0] == first
    assert found["frames"][1]["time"] == 0.04 and found["frames"][1]["detections"] == []


def test_json_without_frames_replaces_nothing(tmp_path):
    (tmp_path / "d.json").write_text("of another run")
    with JsonSink(tmp_path / "d.json", ("cat",)):
        pass
    assert [path.read_text() for path in tmp_path.iterdir()] == ["of another run"]


def test_interrupted_json_is_whole(tmp_path):
    with pytest.raises(KeyboardInterrupt), JsonSink(tmp_path / "d.json", ("cat", "dog")) as sink:
        sink.write(result())
        raise KeyboardInterrupt
    assert len(json.loads((tmp_path / "d.json").read_text())["frames"]) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["d.json"]


def test_lines_are_on_the_disk_as_they_come(tmp_path):
    with JsonLinesSink(OutputNames(tmp_path)) as sink:
        for index in range(3):
            sink.write(result(source="clip.avi", index=index, time=index / 10, medium="video"))
            lines = (tmp_path / "detections.jsonl").read_text().splitlines()
            assert [json.loads(line)["frame"] for line in lines] == list(range(index + 1))


def test_a_line_for_which_there_is_no_room_is_not_there_in_part(tmp_path, small_disk):
    wrong = pytest.raises(UserError, match=r"detections\.jsonl: cannot be written")
    with small_disk(1000), wrong, JsonLinesSink(OutputNames(tmp_path)) as sink:
        for index in range(99):
            sink.write(result(source="clip.avi", index=index, medium="video"))
    lines = (tmp_path / "detections.jsonl").read_text().splitlines()
    assert 3 < len(lines) < 9 and [json.loads(line)["frame"] for line in lines] == list(range(len(lines)))


def test_lines_begin_a_new_file_after_a_time(tmp_path):
    with JsonLinesSink(OutputNames(tmp_path), segment=2) as sink:
        for index in range(50):
            sink.write(result(source="clip.avi", index=index, time=index / 10, medium="video"))
    names = ["detections_000000s.jsonl", "detections_000002s.jsonl", "detections_000004s.jsonl"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert [len((tmp_path / name).read_text().splitlines()) for name in names] == [20, 20, 10]


def coco_of(folder):
    return json.loads((folder / "detections.coco.json").read_text())


def test_coco_json_is_what_pycocotools_reads(tmp_path):
    from pycocotools.coco import COCO

    with CocoSink(OutputNames(tmp_path), [{"id": 7, "name": "cat"}, {"id": 9, "name": "dog"}]) as sink:
        sink.write(result(boxes=[[1, 2, 31, 42], [0, 0, 5, 5]]))
        sink.write(result(boxes=(), source="x/clip.avi", index=12, medium="video", item=1))
        sink.write(result(source="y/clip.avi", index=0, medium="video", item=2))
    coco = COCO(tmp_path / "detections.coco.json")
    images = coco.loadImgs([1, 2, 3])
    assert [image["file_name"] for image in images] == ["a.jpg", "clip-000012.jpg", "clip-2-000000.jpg"]
    assert (images[0]["width"], images[0]["height"]) == (64, 48)
    (first, second) = coco.loadAnns(coco.getAnnIds([1]))
    assert first["bbox"] == [1, 2, 30, 40] and first["area"] == 1200 and first["category_id"] == 9
    assert first["score"] == 0.75 and first["iscrowd"] == 0 and second["id"] == 2
    assert coco.getAnnIds([2]) == [] and len(coco.getAnnIds([3])) == 1


def test_images_are_called_as_their_files_are(tmp_path):
    sources = ["x/a.jpg", "x/a.png", "y/a.jpg", "y/clip.avi", "clip-000000.jpg", "clip-000000.png", "image0"]
    with CocoSink(OutputNames(tmp_path), [{"id": 7, "name": "cat"}, {"id": 9, "name": "dog"}]) as sink:
        for item, source in enumerate(sources):
            sink.write(result(source=source, item=item, medium="video" if source.endswith("avi") else "image"))
    names = [image["file_name"] for image in coco_of(tmp_path)["images"]]
    assert names[:4] == ["a.jpg", "a.png", "y/a.jpg", "clip-000000.jpg"]
    assert len(set(names)) == len(names) and names[4:] == ["clip-000000-2.jpg", "clip-000000-3.png", "image0.jpg"]


@pytest.mark.parametrize("boxes", [(), [[1, 2, 3, 4]]])
def test_interrupted_coco_json_is_whole(tmp_path, boxes):
    with pytest.raises(KeyboardInterrupt), CocoSink(OutputNames(tmp_path), [{"id": 1}, {"id": 2}]) as sink:
        sink.write(result(boxes=boxes))
        raise KeyboardInterrupt
    assert len(coco_of(tmp_path)["images"]) == 1 and len(coco_of(tmp_path)["annotations"]) == len(boxes)
    assert [path.name for path in tmp_path.iterdir()] == ["detections.coco.json"]


def test_coco_json_without_frames_is_no_file(tmp_path):
    with CocoSink(OutputNames(tmp_path), [{"id": 1}]):
        pass
    assert list(tmp_path.iterdir()) == []
