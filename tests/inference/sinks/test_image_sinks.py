"""Annotated images and videos never take another file's place."""

import cv2

from detect.inference.sinks.image_sinks import ImageSink, VideoSink
from detect.inference.sinks.output_names import OutputNames
from tests.inference.made_results import result


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


def test_a_file_s_video_is_finished_when_a_camera_begins(tmp_path):
    names = OutputNames(tmp_path)
    with VideoSink(names, print) as sink:
        for index in range(3):
            sink.write(result(source="clip.avi", index=index, time=index / 10, fps=10.0, medium="video"))
        for index in range(2):
            for item in (1, 2):
                about = {"source": f"cam{item}", "index": index, "time": index / 10, "fps": 10.0, "item": item}
                sink.write(result(**about, medium="live", clock=float(index)))
        assert frames_in(tmp_path / "clip.mp4") == 3 and not (tmp_path / "cam1.mp4").exists()
    assert [frames_in(path) for path in names.taken] == [3, 2, 2]
