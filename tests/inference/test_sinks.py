"""Outputs are whole, playable, keep the source's time and never take another file's place."""

import json
import time

import cv2
import numpy as np
import pytest

from detect.errors import UserError
from detect.inference.result import Result
from detect.inference.sinks import LONGEST_GAP, ImageSink, JsonSink, OutputNames, VideoSink
from detect.inference.sources import Frame
from detect.ops.image import read_image


def flat(level, shape=(48, 64)):
    return np.full((*shape, 3), level, dtype=np.uint8)


def levels_of(path):
    """(fps, grey level of each frame) of a video."""
    capture = cv2.VideoCapture(str(path))
    fps, levels = capture.get(cv2.CAP_PROP_FPS), []
    while True:
        found, image = capture.read()
        if not found:
            return fps, levels
        levels.append(round(float(image[16:32, 16:32].mean()), -1))


def write(path, images, fps=None):
    """A video of (grey level, time) pairs."""
    with VideoSink(path, fps) as sink:
        for level, when in images:
            sink.write(flat(level), when)
    return sink


@pytest.mark.parametrize("fps", [10, 12.5, 29.97, 30000 / 1001, 24000 / 1001, 29.833333, 120])
def test_rate_and_number_of_frames_are_kept(tmp_path, fps):
    write(tmp_path / "out.mp4", [(i, i / fps) for i in range(40)], fps)
    found, levels = levels_of(tmp_path / "out.mp4")
    assert found == pytest.approx(fps, abs=1e-3) and len(levels) == 40


def test_times_of_whole_milliseconds_neither_double_nor_lose_frames(tmp_path):
    sink = write(tmp_path / "out.mp4", [(i, round(i / 59.94, 3)) for i in range(200)], 59.94)
    assert sink.written == 200 and sink.left_out == 0


def test_gaps_of_a_varying_rate_are_filled_with_the_image_before(tmp_path):
    write(tmp_path / "out.mp4", [(50, 3.0), (100, 3.5), (200, 3.6)], 10)
    assert levels_of(tmp_path / "out.mp4")[1] == [50] * 5 + [100, 200]


def test_unknown_rate_keeps_the_real_times(tmp_path):
    write(tmp_path / "out.mp4", [(50, 0.0), (200, 1.0)], fps=1000)
    fps, levels = levels_of(tmp_path / "out.mp4")
    assert fps == 30 and levels == [50] * 30 + [200]


def test_a_burst_loses_no_image_and_no_time(tmp_path):
    sink = write(tmp_path / "out.mp4", [(50, 0.0), (100, 0.01), (150, 0.02), (200, 0.5)], 10)
    assert levels_of(sink.path)[1] == [50, 100, 150, 150, 150, 200] and sink.left_out == 0


def test_a_flood_of_images_is_thinned_out(tmp_path):
    sink = write(tmp_path / "out.mp4", [(100, i / 240) for i in range(480)], 10)  # says 10, sends 240 a second
    assert sink.written / 10 == pytest.approx(2.0, abs=0.65) and sink.left_out == 480 - sink.written


def test_a_wild_time_does_not_fill_the_disk(tmp_path):
    sink = write(tmp_path / "out.mp4", [(50, 0.0), (100, 1e9), (200, 1e9 + 0.1)], 10)
    assert sink.written == LONGEST_GAP * 10 + 3


def test_frames_without_times_follow_each_other(tmp_path):
    assert write(tmp_path / "out.mp4", [(50, None)] * 7, 10).written == 7


@pytest.mark.parametrize("error", [KeyboardInterrupt, UserError, RuntimeError])
def test_an_interrupted_video_is_playable(tmp_path, error):
    with pytest.raises(error), VideoSink(tmp_path / "out.mp4", 10) as sink:
        for i in range(12):
            sink.write(flat(100), i / 10)
        raise error
    assert len(levels_of(tmp_path / "out.mp4")[1]) == 12
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


def test_changed_size_is_fitted_into_the_first(tmp_path):
    with VideoSink(tmp_path / "out.mp4", 10) as sink:
        sink.write(flat(200, (60, 80)))
        sink.write(flat(200, (80, 40)))
    capture = cv2.VideoCapture(str(sink.path))
    capture.read()
    _, second = capture.read()
    assert second.shape == (60, 80, 3)
    assert second[30, 40, 0] > 180 and second[30, 10, 0] < 30 and second[30, 70, 0] < 30


@pytest.mark.parametrize("shape", [(1, 1), (21, 33), (2, 9000)])
def test_odd_tiny_and_huge_sizes_are_written(tmp_path, shape):
    with VideoSink(tmp_path / "out.mp4", 10) as sink:
        for _ in range(3):
            sink.write(flat(150, shape))
    capture = cv2.VideoCapture(str(sink.path))
    found, image = capture.read()
    assert found and image[0, 0, 0] == pytest.approx(150, abs=8)
    assert image[-1, -1, 0] == pytest.approx(150, abs=8)


def test_nothing_written_makes_no_file(tmp_path):
    with VideoSink(tmp_path / "out.mp4", 10):
        pass
    assert list(tmp_path.iterdir()) == []


def test_frames_that_did_not_reach_the_disk_are_told(tmp_path, monkeypatch):
    monkeypatch.setattr("detect.inference.sinks._frames_in", lambda _: 2)
    with pytest.raises(UserError, match="only 2 of 3 frames could be written"):
        write(tmp_path / "out.mp4", [(50, None)] * 3, 10)


def test_video_that_cannot_be_written_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match=r"out\.mp4: cannot be written"):
        write(tmp_path / "nowhere" / "out.mp4", [(50, 0.0)], 10)


def test_outputs_of_one_name_do_not_replace_each_other(tmp_path):
    names = OutputNames(tmp_path / "out")
    sources = ["x/a.jpg", "x/a.png", "y/a.jpg", "y/A.JPG", "a-2.jpg", "b.gif"]
    assert [names.take(source).name for source in sources] == [
        "a.jpg", "a.png", "a-2.jpg", "A-3.jpg", "a-2-2.jpg", "b.png",
    ]  # fmt: skip
    assert names.take("x/clip.avi", ".mp4") != names.take("x/clip.mov", ".mp4")


def test_a_source_is_never_replaced(tmp_path):
    for name in ("a.png", "a-2.png"):
        cv2.imwrite(str(tmp_path / name), flat(1))
    (tmp_path / "old.png").touch()
    names = OutputNames(tmp_path, [tmp_path / "a.png", str(tmp_path / "a-2.png"), "not there"])
    assert ImageSink(names).write(str(tmp_path / "a.png"), flat(9)).name == "a-3.png"
    assert ImageSink(names).write("elsewhere/old.png", flat(9)).name == "old.png"
    assert read_image(tmp_path / "a.png")[0, 0, 0] == 1


def test_many_sources_of_one_name_are_named_quickly(tmp_path):
    names = OutputNames(tmp_path)
    start = time.perf_counter()
    assert len({names.take(f"{i}/image.jpg") for i in range(3000)}) == 3000
    assert time.perf_counter() - start < 2


def test_address_makes_a_harmless_file_name(tmp_path):
    names = OutputNames(tmp_path)
    assert names.take("rtsp://cam.local/../../live 1", ".mp4").name == "cam.local_.._.._live_1.mp4"
    assert names.take("rtsp:///", ".mp4").parent == tmp_path


def test_folder_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        OutputNames(tmp_path / "file" / "out")


def result(boxes=((1, 2, 30.12345, 40),), source="a.jpg", **frame):
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    scores, labels = np.full(len(boxes), 0.75, np.float32), np.ones(len(boxes), np.int64)
    return Result(boxes, scores, labels, ("cat", "dog\udcff"), Frame(flat(0), source, **frame))


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


def test_json_without_frames_is_valid(tmp_path):
    with JsonSink(tmp_path / "d.json", ("cat",)):
        pass
    assert json.loads((tmp_path / "d.json").read_text()) == {"frames": [], "names": ["cat"]}


def test_interrupted_json_is_whole(tmp_path):
    with pytest.raises(KeyboardInterrupt), JsonSink(tmp_path / "d.json", ("cat", "dog")) as sink:
        sink.write(result())
        raise KeyboardInterrupt
    assert len(json.loads((tmp_path / "d.json").read_text())["frames"]) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["d.json"]
