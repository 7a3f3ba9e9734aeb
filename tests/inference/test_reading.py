"""Every frame of every kind of file, with its time, and what happens to those that fail."""

import struct
from functools import partial

import cv2
import numpy as np
import pytest

from detect.errors import UserError
from detect.inference.live import Watching
from detect.inference.reading import read_frames
from detect.inference.sources import find_items
from detect.ops.image import write_image
from detect.ops.image_cost import check_pixels
from tests.inference.made_videos import NOISE, flat, read, write_video


def patch(path, kind, offset, content):
    """Overwrite bytes of the first box of that kind in an .mp4, `offset` bytes after its name."""
    data = bytearray(path.read_bytes())
    place = data.index(kind) + 4 + offset
    data[place : place + len(content)] = content
    path.write_bytes(data)


class Wrapped:
    """OpenCV's capture of a file, of which a subclass changes an answer."""

    def __init__(self, path):
        self.real = cv2.VideoCapture(str(path))

    def __getattr__(self, name):
        return getattr(self.real, name)


def test_video_gives_every_frame_in_rgb_with_its_time(tmp_path):
    levels = list(range(0, 250, 10))
    path = write_video(
        tmp_path / "clip.mp4",
        [np.stack([flat(v)[..., 0], flat(0)[..., 0], flat(0)[..., 0]], -1) for v in levels],
        fps=12.5,
    )
    frames = read(path)
    assert [frame.index for frame in frames] == list(range(25))
    assert np.abs([int(f.image[20, 20, 0]) - v for f, v in zip(frames, levels, strict=True)]).max() < 12
    assert max(int(f.image[20, 20, 2]) for f in frames) < 20
    np.testing.assert_allclose([f.time for f in frames], np.arange(25) / 12.5, atol=1e-3)
    assert (frames[0].fps, frames[0].total, frames[0].medium) == (12.5, 25, "video")


@pytest.mark.parametrize("fps", [119.987, 480.0, 1000.0])
def test_fast_rates_are_kept(tmp_path, fps):
    frames = read(write_video(tmp_path / "clip.avi", NOISE[:24], fps=fps, code="MJPG"))
    assert len(frames) == 24 and frames[0].fps == pytest.approx(fps)
    assert frames[-1].time == pytest.approx(23 / fps, abs=1e-3)


def test_the_rate_of_a_clock_is_no_rate_of_frames(tmp_path, monkeypatch):
    path = write_video(tmp_path / "clip.avi", NOISE[:6], fps=25, code="MJPG")

    class Capture(Wrapped):
        def get(self, what):
            return 1000.0 if what == cv2.CAP_PROP_FPS else self.real.get(what)

    monkeypatch.setattr("detect.inference.video.open_capture", lambda _: Capture(path))
    frames = read(path)
    assert len(frames) == 6 and frames[0].fps is None and frames[-1].time == pytest.approx(0.2)


def test_times_that_do_not_rise_are_filled_in(tmp_path, monkeypatch):
    path = write_video(tmp_path / "clip.avi", NOISE[:6], fps=10, code="MJPG")
    positions = iter([200.0, 300.0, 400.0, 0.0, float("nan"), 900.0])

    class Capture(Wrapped):
        def get(self, what):
            return next(positions) if what == cv2.CAP_PROP_POS_MSEC else self.real.get(what)

    monkeypatch.setattr("detect.inference.video.open_capture", lambda _: Capture(path))
    np.testing.assert_allclose([frame.time for frame in read(path)], [0, 0.1, 0.2, 0.3, 0.4, 0.7])


def test_rotation_mark_of_a_video_is_honoured(tmp_path):
    image = flat(0)
    image[:, :32] = 255  # the left half
    path = write_video(tmp_path / "phone.mp4", [image] * 3)
    turned = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)  # 90 degrees clockwise
    patch(path, b"tkhd", 40, turned)
    image = read(path)[0].image
    assert image.shape == (64, 48, 3)
    assert image[10, 20, 0] > 200 and image[50, 20, 0] < 50  # left has become top


@pytest.mark.parametrize(("suffix", "code"), [(".avi", "MJPG"), (".mkv", "MJPG")])
def test_cut_off_video_is_reported_after_its_frames(tmp_path, suffix, code):
    path = write_video(tmp_path / f"clip{suffix}", NOISE, code=code)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    errors = []
    frames = read(path, errors)
    assert 50 < len(frames) < 70
    assert str(errors[0]).startswith(
        f"{path}: breaks off after frame {len(frames)} of 120; the frames before it were kept"
    )
    assert len(errors) == 1


@pytest.mark.parametrize(("suffix", "code"), [(".webm", "VP80"), (".ts", "mp4v")])
def test_a_cut_that_the_numbers_do_not_tell_is_reported(tmp_path, suffix, code):
    path = write_video(tmp_path / f"clip{suffix}", NOISE[:40], code=code)
    assert len(read(path)) == 40
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 6 // 10])
    errors = []
    frames = read(path, errors)
    assert 15 < len(frames) < 35 and len(errors) == 1
    assert str(errors[0]).startswith(f"{path}: breaks off after frame {len(frames)}")


def test_damaged_end_of_a_video_is_reported(tmp_path):
    path = write_video(tmp_path / "clip.mp4", NOISE)
    data = path.read_bytes()
    end = data.index(b"moov") - 4
    path.write_bytes(data[: end // 2] + bytes(end - end // 2) + data[end:])
    errors = []
    assert 30 < len(read(path, errors)) < 70
    assert "breaks off after frame" in str(errors[0])


def test_frames_that_cannot_be_decoded_are_counted(tmp_path, monkeypatch):
    path = write_video(tmp_path / "clip.avi", NOISE, code="MJPG")

    class Capture(Wrapped):
        def read(self):
            if self.real.get(cv2.CAP_PROP_POS_FRAMES) % 20 == 10:
                self.real.grab()  # OpenCV passes over what it cannot decode
            return self.real.read()

    monkeypatch.setattr("detect.inference.video.open_capture", lambda _: Capture(path))
    errors = []
    assert len(read(path, errors)) == 114
    assert [str(error).split(";")[0] for error in errors] == [
        f"{path}: 6 of its 120 frames cannot be decoded and were left out"
    ]


@pytest.mark.parametrize(("suffix", "code"), [(".avi", "MJPG"), (".mkv", "mp4v"), (".mp4", "mp4v"), (".mov", "mp4v")])
def test_whole_video_is_not_reported(tmp_path, suffix, code):
    assert len(read(write_video(tmp_path / f"clip{suffix}", NOISE[:40], code=code))) == 40


def test_trimmed_video_is_not_reported(tmp_path):
    path = write_video(tmp_path / "clip.mp4", NOISE[:50], fps=25)
    timescale = struct.unpack(">I", path.read_bytes()[path.read_bytes().index(b"mvhd") + 16 :][:4])[0]
    shorter = struct.pack(">I", timescale)  # 1 s of 2 s
    patch(path, b"mvhd", 16, shorter)
    patch(path, b"elst", 8, shorter)
    frames = read(path)
    assert len(frames) < 40 and frames[0].total == 50  # without an error


@pytest.mark.parametrize("fault", ["", "cut"])
def test_a_video_of_a_server_that_breaks_off_is_reported(tmp_path, server, fault):
    server.files["clip.avi"] = write_video(tmp_path / "clip.avi", NOISE, code="MJPG").read_bytes()
    server.faults["/clip.avi"] = fault
    errors = []
    frames = read(f"{server.url}/clip.avi", errors)
    if fault:
        assert 50 < len(frames) < 70
        assert [str(error).split(";")[0] for error in errors] == [
            f"http://127.0.0.1/clip.avi: breaks off after frame {len(frames)} of 120"
        ]
    else:
        assert len(frames) == 120 and not errors


def test_what_cannot_be_opened_does_not_stop_the_others(tmp_path):
    write_image(tmp_path / "a.png", flat(1))
    (tmp_path / "broken.png").write_bytes(b"nothing")
    (tmp_path / "broken.mp4").write_bytes(b"nothing at all")
    write_image(tmp_path / "z.png", flat(2))
    errors = []
    names = ["a.png", "gone.png", "broken.png", "broken.mp4", "z.png"]
    frames = read([tmp_path / name for name in names], errors)
    assert [frame.source for frame in frames] == [str(tmp_path / "a.png"), str(tmp_path / "z.png")]
    assert [name for name in names[1:4] if any(name in str(error) for error in errors)] == names[1:4]
    assert len(errors) == 3
    with pytest.raises(UserError, match="not a readable video"):
        read(tmp_path / "broken.mp4")


@pytest.mark.parametrize("folder", ["", "bad\udcff"])
def test_a_name_that_opencv_cannot_take_is_refused(tmp_path, folder):
    (tmp_path / folder).mkdir(exist_ok=True)
    path = write_video(tmp_path / "clip.mp4", NOISE[:2]).rename(tmp_path / folder / "b\udcff.mp4")
    with pytest.raises(UserError, match=r"b\\udcff\.mp4: no video can have a name that is no UTF-8 text"):
        read(path)
    with pytest.raises(UserError, match="no UTF-8 text"):
        read("http://127.0.0.1/\udcff.mp4")


def test_percent_sign_in_a_name_is_no_series_of_images(tmp_path):
    write_image(tmp_path / "a001.png", flat(1))
    (tmp_path / "a%03d.mp4").write_bytes(b"no video")
    with pytest.raises(UserError, match="not a readable video"):
        read(str(tmp_path / "a%03d.mp4"))


@pytest.mark.parametrize("every", [2, 7, 1000])
def test_one_frame_of_so_many_keeps_its_number_and_time(tmp_path, every):
    path = write_video(tmp_path / "clip.mp4", NOISE[:50])
    frames = list(read_frames(find_items(path), watching=Watching(every=every)))
    assert [frame.index for frame in frames] == list(range(0, 50, every))
    np.testing.assert_allclose([frame.time for frame in frames], np.arange(0, 50, every) / 25, atol=1e-3)
    assert frames[0].fps == 25 / every and frames[0].total == 50
    whole = read(path)
    assert all((frame.image == whole[frame.index].image).all() for frame in frames)


def test_frames_know_the_place_of_their_source(tmp_path):
    write_image(tmp_path / "a.png", flat(1))
    write_video(tmp_path / "clip.mp4", NOISE[:2])
    frames = read([tmp_path / "a.png", tmp_path / "clip.mp4", tmp_path / "a.png"])
    assert [(frame.item, frame.index) for frame in frames] == [(0, 0), (1, 0), (1, 1), (2, 0)]


def test_too_large_video_is_refused(tmp_path, monkeypatch):
    path = write_video(tmp_path / "clip.mp4", NOISE[:2])
    monkeypatch.setattr("detect.inference.video.check_pixels", partial(check_pixels, most=3000))
    with pytest.raises(UserError, match="64x48 px are 0 megapixels, more than 0;"):
        read(path)


def test_real_videos_are_read_to_their_end(shared):
    item = find_items(str(shared / "demo" / "videos" / "vtest_480x360.avi"))
    frames = [(frame.index, frame.time) for frame in read_frames(item)]
    assert len(frames) == 795 and frames[-1][1] == pytest.approx(79.4)
