"""Outputs are whole, take every result in one shape and never take another file's place."""

import json

import cv2
import numpy as np
import pytest

from detect.errors import UserError
from detect.inference import window
from detect.inference.output_names import OutputNames
from detect.inference.result import Result
from detect.inference.sinks import ImageSink, JsonSink, VideoSink, opened
from detect.inference.sources import Frame
from detect.inference.window import WindowClosed, WindowSink


def flat(level, shape=(48, 64)):
    return np.full((*shape, 3), level, dtype=np.uint8)


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


def frames_in(path):
    capture, count = cv2.VideoCapture(str(path)), 0
    while capture.read()[0]:
        count += 1
    return count


def test_each_video_is_a_file_of_its_own_and_images_are_none(tmp_path):
    names = OutputNames(tmp_path)
    with VideoSink(names, print) as sink:
        for source, count in [("x/clip.avi", 3), ("y/clip.avi", 5)]:
            for index in range(count):
                sink.write(result(source=source, index=index, time=index / 10, fps=10.0, medium="video"))
            sink.write(result(source="a.jpg"))
        assert frames_in(tmp_path / "clip-2.mp4") == 5  # finished by the image after it
    assert [path.name for path in names.taken] == ["clip.mp4", "clip-2.mp4"]
    assert frames_in(names.taken[0]) == 3


def test_images_sink_leaves_videos_alone(tmp_path):
    ImageSink(OutputNames(tmp_path)).write(result(source="clip.avi", medium="video"))
    assert list(tmp_path.iterdir()) == []


def test_images_that_are_not_in_their_video_are_told_once(tmp_path):
    lines = []
    with VideoSink(OutputNames(tmp_path), lines.append) as sink:
        for index in range(480):
            sink.write(result(source="flood.avi", index=index, time=index / 240, fps=10.0, medium="video"))
        assert lines == []
        sink.write(result(source="calm.avi", index=0, time=0.0, fps=10.0, medium="video"))
    left_out = 480 - frames_in(tmp_path / "flood.mp4")
    assert left_out > 400 and lines == [
        f"{tmp_path}/flood.mp4: {left_out} of 480 images came in bursts, "
        "faster than the video's 10 frames a second, and are not in it"
    ]


def test_gaps_that_are_shortened_are_told(tmp_path):
    lines = []
    with VideoSink(OutputNames(tmp_path), lines.append) as sink:
        for index, when in enumerate((0.0, 0.1, 100.0)):
            sink.write(result(source="rare.avi", index=index, time=when, fps=10.0, medium="video"))
    assert lines == [f"{tmp_path}/rare.mp4: gaps without an image were shortened by 40 s"]


def test_annotated_image_is_drawn_once_for_all_sinks(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr("detect.inference.result.draw", lambda image, *_: drawn.append(1) or image.copy())
    monkeypatch.setattr(cv2, "imshow", lambda *_: None)
    monkeypatch.setattr(cv2, "waitKey", lambda _: -1)
    names = OutputNames(tmp_path)
    sinks = [ImageSink(names), ImageSink(names), WindowSink()]
    for one in (result(), result(source="b.jpg")):
        for sink in sinks:
            sink.write(one)
    assert len(drawn) == 2 and len(names.taken) == 4


def test_opened_sinks_are_finished_last_first_whatever_happens():
    class Noted:
        def __init__(self, name):
            self.name = name

        def __enter__(self):
            events.append(f"open {self.name}")

        def __exit__(self, *_):
            events.append(f"finish {self.name}")

        def write(self, _):
            pass

    class Plain:
        def write(self, _):
            pass

    events = []
    with pytest.raises(RuntimeError), opened([Noted("a"), Plain(), Noted("b")]):
        raise RuntimeError
    assert events == ["open a", "open b", "finish b", "finish a"]


@pytest.mark.parametrize("key", [ord("q"), 27, ord("q") + 256])
def test_window_shows_the_annotated_image_until_q_or_esc(monkeypatch, key):
    shown, keys = [], iter([-1, ord("x"), key])
    monkeypatch.setattr(cv2, "imshow", lambda _, image: shown.append(image))
    monkeypatch.setattr(cv2, "waitKey", lambda _: next(keys))
    monkeypatch.setattr(cv2, "destroyWindow", lambda _: shown.append("closed"))
    with pytest.raises(WindowClosed), WindowSink() as sink:
        for _ in range(9):
            sink.write(result())
    assert len(shown) == 4 and shown[-1] == "closed"
    np.testing.assert_array_equal(shown[0], result().plot()[..., ::-1])


def test_a_display_is_tried_in_another_process(monkeypatch):
    monkeypatch.setattr(window, "TRY", "")
    window.check_display()
    monkeypatch.setattr(window, "TRY", "import os; os.abort()")  # what Qt does
    with pytest.raises(UserError, match="no window can be opened here"):
        window.check_display()


def test_no_display_is_one_sentence_without_a_flag(monkeypatch):
    def fail(*_):
        raise cv2.error("no display")

    monkeypatch.setattr(cv2, "imshow", fail)
    monkeypatch.setattr(cv2, "destroyWindow", fail)
    with pytest.raises(UserError, match="no window can be opened here") as caught, WindowSink() as sink:
        sink.write(result())
    assert "--" not in str(caught.value)
