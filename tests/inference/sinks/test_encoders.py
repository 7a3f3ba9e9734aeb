"""Who writes videos."""

import cv2
import numpy as np
import pytest

from detect.inference.sinks import encoders
from detect.inference.sinks.image_sinks import VideoSink
from detect.inference.sinks.output_names import OutputNames
from detect.inference.sinks.video_writer import VideoWriter
from tests.inference.made_videos import flat


@pytest.fixture
def nobody(monkeypatch):
    """Nothing here writes H.264."""
    monkeypatch.setattr(encoders, "h264", lambda: None)
    monkeypatch.setattr("detect.inference.sinks.image_sinks.h264", lambda: None)


def codec_of(path):
    number = int(cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FOURCC))
    return number.to_bytes(4, "little").decode().lower()


def test_h264_is_written_where_it_is_to_be_had(tmp_path):
    """PyAV is in the extra dev, by way of supervision."""
    lines = []
    with VideoSink(OutputNames(tmp_path), lines.append), VideoWriter(tmp_path / "out.mp4", 10) as writer:
        for level in range(0, 250, 5):
            writer.write(flat(level))
    assert codec_of(tmp_path / "out.mp4") in ("h264", "avc1") and lines == []


def test_mpeg4_is_written_elsewhere_and_said_once(tmp_path, nobody):
    lines = []
    with VideoSink(OutputNames(tmp_path), lines.append), VideoWriter(tmp_path / "out.mp4", 10) as writer:
        writer.write(flat(9))
    assert codec_of(tmp_path / "out.mp4") in ("fmp4", "mp4v", "xvid") and lines == [encoders.NO_H264]


@pytest.mark.parametrize("opener", [encoders.with_av, encoders.with_opencv("mp4v")])
def test_every_frame_is_in_the_file_in_its_colours(tmp_path, opener):
    encoder = opener(str(tmp_path / "a.mp4"), 30000 / 1001, (64, 48))
    colours = [(level, 250 - level, 120) for level in range(0, 250, 10)]
    for colour in colours:
        encoder.write(np.full((48, 64, 3), colour, np.uint8))
    encoder.release()
    capture = cv2.VideoCapture(str(tmp_path / "a.mp4"))
    found = [capture.read()[1].mean(axis=(0, 1)) for _ in colours]
    assert not capture.read()[0] and capture.get(cv2.CAP_PROP_FPS) == pytest.approx(29.97, abs=1e-3)
    np.testing.assert_allclose(found, colours, atol=9)


def test_a_file_that_cannot_be_written_is_not_there(tmp_path):
    assert encoders.with_opencv("mp4v")(str(tmp_path / "no" / "a.mp4"), 10, (64, 48)) is None
