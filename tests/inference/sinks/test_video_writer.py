"""Videos are whole, playable and keep the time of their images."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from detect.errors import UserError
from detect.inference.sinks.video_writer import LONGEST_GAP, VideoWriter


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
    with VideoWriter(path, fps) as writer:
        for level, when in images:
            writer.write(flat(level), when)
    return writer


@pytest.mark.parametrize(
    "fps",
    [10, 12.5, 29.97, 30000 / 1001, 24000 / 1001, 29.833333, 65.5356, 119.987, 120, 211.222, 480, 959.987, 6000.4],
)
def test_rate_and_number_of_frames_are_kept(tmp_path, fps):
    write(tmp_path / "out.mp4", [(i, i / fps) for i in range(40)], fps)
    found, levels = levels_of(tmp_path / "out.mp4")
    assert found == pytest.approx(fps, rel=1e-4) and len(levels) == 40


def test_times_of_whole_milliseconds_neither_double_nor_lose_frames(tmp_path):
    writer = write(tmp_path / "out.mp4", [(i, round(i / 59.94, 3)) for i in range(200)], 59.94)
    assert writer.written == 200 and writer.left_out == 0


def test_gaps_of_a_varying_rate_are_filled_with_the_image_before(tmp_path):
    write(tmp_path / "out.mp4", [(50, 3.0), (100, 3.5), (200, 3.6)], 10)
    assert levels_of(tmp_path / "out.mp4")[1] == [50] * 5 + [100, 200]


def test_unknown_rate_keeps_the_real_times(tmp_path):
    write(tmp_path / "out.mp4", [(50, 0.0), (200, 1.0)], fps=90_000)
    fps, levels = levels_of(tmp_path / "out.mp4")
    assert fps == 30 and levels == [50] * 30 + [200]


def test_a_burst_loses_no_image_and_no_time(tmp_path):
    writer = write(tmp_path / "out.mp4", [(50, 0.0), (100, 0.01), (150, 0.02), (200, 0.5)], 10)
    assert levels_of(writer.path)[1] == [50, 100, 150, 150, 150, 200] and writer.left_out == 0


def test_a_flood_of_images_is_thinned_out(tmp_path):
    writer = write(tmp_path / "out.mp4", [(100, i / 240) for i in range(480)], 10)  # says 10, sends 240 a second
    assert writer.written / 10 == pytest.approx(2.0, abs=0.65)
    assert writer.left_out == 480 - writer.written and writer.given == 480


def test_a_wild_time_does_not_fill_the_disk(tmp_path):
    writer = write(tmp_path / "out.mp4", [(50, 0.0), (100, 1e9), (200, 1e9 + 0.1)], 10)
    assert writer.written == LONGEST_GAP * 10 + 3
    assert writer.shortened == pytest.approx(1e9 - LONGEST_GAP, rel=1e-6)


def test_frames_without_times_follow_each_other(tmp_path):
    assert write(tmp_path / "out.mp4", [(50, None)] * 7, 10).written == 7


@pytest.mark.parametrize("error", [KeyboardInterrupt(), UserError("full"), RuntimeError()])
def test_an_interrupted_video_is_playable(tmp_path, error):
    with pytest.raises(type(error)), VideoWriter(tmp_path / "out.mp4", 10) as writer:
        for i in range(12):
            writer.write(flat(100), i / 10)
        raise error
    assert len(levels_of(tmp_path / "out.mp4")[1]) == 12
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


def test_changed_size_is_fitted_into_the_first(tmp_path):
    with VideoWriter(tmp_path / "out.mp4", 10) as writer:
        writer.write(flat(200, (60, 80)))
        writer.write(flat(200, (80, 40)))
    capture = cv2.VideoCapture(str(writer.path))
    capture.read()
    _, second = capture.read()
    assert second.shape == (60, 80, 3)
    assert second[30, 40, 0] > 180 and second[30, 10, 0] < 30 and second[30, 70, 0] < 30


@pytest.mark.parametrize("shape", [(1, 1), (21, 33), (2, 9000)])
def test_odd_tiny_and_huge_sizes_are_written(tmp_path, shape):
    with VideoWriter(tmp_path / "out.mp4", 10) as writer:
        for _ in range(3):
            writer.write(flat(150, shape))
    capture = cv2.VideoCapture(str(writer.path))
    found, image = capture.read()
    assert found and image[0, 0, 0] == pytest.approx(150, abs=8)
    assert image[-1, -1, 0] == pytest.approx(150, abs=8)


def test_nothing_written_makes_no_file(tmp_path):
    with VideoWriter(tmp_path / "out.mp4", 10):
        pass
    assert list(tmp_path.iterdir()) == []


def test_an_unplayable_video_replaces_nothing(tmp_path, small_disk):
    write(tmp_path / "out.mp4", [(50, None)] * 3, 10)
    whole = (tmp_path / "out.mp4").read_bytes()
    noise = np.random.default_rng(0).integers(0, 255, (20, 48, 64, 3), np.uint8)
    with (
        small_disk(20_000),
        pytest.raises(UserError, match="only 0 of 20 frames could be written, the video is not kept"),
        VideoWriter(tmp_path / "out.mp4", 10) as writer,
    ):
        for image in noise:
            writer.write(image)
    assert (tmp_path / "out.mp4").read_bytes() == whole and len(list(tmp_path.iterdir())) == 1


def test_a_video_ends_while_the_disk_has_room_to_finish_it(tmp_path, monkeypatch):
    free = iter([10 << 20, 5 << 20, 1 << 20])
    monkeypatch.setattr("detect.files.disk_usage", lambda _: SimpleNamespace(free=next(free)))
    with pytest.raises(UserError, match="ends after 2 frames, the disk is full"):
        write(tmp_path / "out.mp4", [(50, None)] * 3, 10)
    assert len(levels_of(tmp_path / "out.mp4")[1]) == 2


def test_a_wild_time_at_a_wild_rate_does_not_fill_the_disk(tmp_path):
    assert write(tmp_path / "out.mp4", [(50, 0.0), (100, 1e9)], 60_000).written == LONGEST_GAP * 240 + 2


def test_a_name_that_opencv_cannot_take_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"o\\udcff\.mp4: no video can have a name that is no UTF-8 text"):
        write(tmp_path / "o\udcff.mp4", [(50, 0.0)], 10)
    assert list(tmp_path.iterdir()) == []


def test_video_that_cannot_be_written_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match=r"out\.mp4: cannot be written"):
        write(tmp_path / "nowhere" / "out.mp4", [(50, 0.0)], 10)
