"""Every kind of source, and what happens to those that fail."""

import os
import signal
import struct
import threading
import time
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from detect.errors import UserError
from detect.inference import sources
from detect.inference.live import LatestImage
from detect.inference.sources import find_items, read_frames
from detect.ops.image import write_image

NOISE = np.random.default_rng(0).integers(0, 255, (120, 48, 64, 3), dtype=np.uint8)


def flat(level, shape=(48, 64)):
    return np.full((*shape, 3), level, dtype=np.uint8)


def write_video(path, images, fps=25.0, code="mp4v"):
    height, width = images[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*code), fps, (width, height))
    assert writer.isOpened()
    for image in images:
        writer.write(image[..., ::-1])
    writer.release()
    return path


def read(source, errors=None):
    if errors is None:
        return list(read_frames(find_items(source)))
    return list(read_frames(find_items(source, errors.append), errors.append))


def refused(source):
    with pytest.raises(UserError) as caught:
        find_items(source)
    return str(caught.value)


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


def test_folder_gives_its_images_sorted_and_no_subfolders(tmp_path):
    for level, name in enumerate(["b.png", "a.PNG", "sub/c.png", ".hidden.png"]):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_image(tmp_path / "x.png", flat(level))
        (tmp_path / "x.png").rename(tmp_path / name)
    frames = read(tmp_path)
    assert [frame.source for frame in frames] == [str(tmp_path / "a.PNG"), str(tmp_path / "b.png")]
    assert [int(frame.image[0, 0, 0]) for frame in frames] == [1, 0]
    assert {frame.medium for frame in frames} == {"image"} and frames[0].time is None


def test_pattern_gives_images_and_videos_sorted(tmp_path):
    write_image(tmp_path / "b.png", flat(0))
    write_video(tmp_path / "a.mp4", NOISE[:2])
    (tmp_path / "c.txt").touch()
    assert [item.medium for item in find_items(str(tmp_path / "*"))] == ["video", "image"]


def test_what_a_folder_leaves_out_is_said(tmp_path):
    folder = tmp_path / "all"
    (folder / "sub").mkdir(parents=True)
    for name in ("a.jpg", "b.png", "c.png"):
        write_image(folder / name, flat(9))
    (folder / "b.png").rename(folder / "b.jfif")
    (folder / "c.png").rename(folder / "c")
    (folder / "d.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(99))
    (folder / "e.jpg").symlink_to("nowhere")
    (folder / "f").symlink_to("nowhere")
    for number in range(3):
        (folder / f"{number}.txt").write_text("notes")
    (folder / "x.bin").write_bytes(bytes(99))
    write_video(folder / "g.mp4", NOISE[:2])
    os.mkfifo(folder / "pipe.png")
    notes, errors = [], []
    items = find_items(folder, on_note=notes.append)
    assert [Path(item.value).name for item in items] == ["a.jpg", "b.jfif", "c", "d.heic", "e.jpg"]
    assert notes == [
        f"{folder}: left out are 1 dead link (f), 1 folder (sub), 2 other files (pipe.png, x.bin), "
        "3 texts (0.txt, 1.txt, ...), 1 video (g.mp4)"
    ]
    assert [Path(frame.source).name for frame in read_frames(items, errors.append)] == ["a.jpg", "b.jfif", "c"]
    assert "HEIC" in str(errors[0]) and "is a link to nowhere" in str(errors[1])
    notes.clear()
    items = find_items(f"{folder}/*", on_note=notes.append)
    assert [item.medium for item in items] == ["image"] * 5 + ["video"]
    assert notes == [
        f"{folder}/*: left out are 1 dead link (f), 2 other files (pipe.png, x.bin), 3 texts (0.txt, 1.txt, ...)"
    ]


def test_folders_that_hold_no_image_say_what_they_hold(tmp_path):
    (tmp_path / "more").mkdir()
    assert "holds no images but 1 folder (more) (subfolders are not searched)" in refused(tmp_path)


def test_notes_of_an_image_come_with_it(tmp_path):
    images = [Image.fromarray(flat(level)) for level in (0, 200)]
    images[0].save(tmp_path / "a.gif", save_all=True, append_images=images[1:])
    assert read(tmp_path / "a.gif")[0].note == "the first of its images was taken"


def test_brackets_of_a_folder_are_its_name(tmp_path):
    for folder in ("x[1]", "x1"):
        (tmp_path / folder).mkdir()
        write_image(tmp_path / folder / "a.png", flat(9))
    assert [item.value for item in find_items(f"{tmp_path}/x[1]/*.png")] == [f"{tmp_path}/x[1]/a.png"]
    assert [item.value for item in find_items(f"{tmp_path}/x[1]")] == [f"{tmp_path}/x[1]/a.png"]
    assert [item.value for item in find_items(f"{tmp_path}/x[0-9]/*.png")] == [f"{tmp_path}/x1/a.png"]


def test_a_pattern_without_a_folder_is_looked_for_here(tmp_path, monkeypatch):
    write_image(tmp_path / "a.png", flat(9))
    monkeypatch.chdir(tmp_path)
    assert [item.value for item in find_items("*.png")] == ["a.png"]


def test_a_folder_named_by_a_number_comes_before_a_webcam(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "2024").mkdir()
    write_image(tmp_path / "2024" / "a.png", flat(9))
    notes = []
    assert [item.value for item in find_items("2024", on_note=notes.append)] == ["2024/a.png"]
    assert notes == ["2024: is taken for the file or folder of this name; the webcam is /dev/video2024"]
    assert [find_items(webcam)[0].value for webcam in (2024, "/dev/video2024", "2023")] == [2024, 2024, 2023]


def test_a_list_of_files_is_no_video(tmp_path):
    (tmp_path / "list.txt").write_text("a.jpg\nbüro.jpg\n" * 500)
    assert "list.txt: is a text; if it lists images or videos, give those themselves" in refused(tmp_path / "list.txt")


def test_name_with_brackets_is_a_file_first(tmp_path):
    write_image(tmp_path / "a[1].png", flat(9))
    assert read(str(tmp_path / "a[1].png"))[0].image[0, 0, 0] == 9


def test_image_without_suffix_is_recognised(tmp_path):
    write_image(tmp_path / "a.png", flat(9))
    (tmp_path / "a.png").rename(tmp_path / "upload")
    assert read(tmp_path / "upload")[0].medium == "image"


def test_arrays_and_pillow_images_in_a_list_are_named(tmp_path):
    turned = Image.fromarray(flat(7))
    turned.getexif()[0x0112] = 6
    write_image(tmp_path / "a.png", flat(1))
    frames = read([flat(5), turned, tmp_path / "a.png"])
    assert [frame.source for frame in frames] == ["image0", "image1", str(tmp_path / "a.png")]
    assert [frame.image.shape for frame in frames] == [(48, 64, 3), (64, 48, 3), (48, 64, 3)]


@pytest.mark.parametrize("array", [np.zeros((4, 4, 3)), np.zeros((4, 4), np.uint8), np.zeros((0, 4, 3), np.uint8)])
def test_array_of_another_kind_is_refused(array):
    with pytest.raises(UserError, match="give uint8 RGB"):
        read(array)


def test_missing_file_names_where_and_the_nearest(tmp_path, monkeypatch):
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "street.mp4").touch()
    monkeypatch.chdir(tmp_path)
    message = refused("videos/stret.mp4")
    assert f"tried {tmp_path}/videos/stret.mp4" in message and "did you mean 'street.mp4'?" in message
    assert "did you mean 'videos'?" in refused("vidoes/street.mp4")


def test_empty_folder_pattern_and_nonsense_are_refused(tmp_path):
    assert "holds no images" in refused(tmp_path)
    assert "no image or video fits this pattern" in refused(str(tmp_path / "*.jpg"))
    for nonsense in (None, 3.5, True, ""):
        assert refused(nonsense).startswith("source is ")


def test_only_known_addresses_are_opened():
    assert "did you mean 'http'?" in refused("htp://camera/1")
    assert "cannot open such an address" in refused("file:///etc/passwd")
    assert "cannot open such an address" in refused("concat://a|b")


@pytest.mark.parametrize(
    "address, name",
    [
        ("rtsp://admin:S3c@camera.local:554/live/1?token=S3c", "rtsp://camera.local/live/1"),
        ("rtsp://h/user=admin&password=S3c", "rtsp://h/user=..."),
        ("rtsp://h:554/user=admin_password=S3c_channel=1.sdp", "rtsp://h/user=..."),
        ("http://h/x;password=S3c", "http://h/x;password=..."),
        ("rtsp://us:pa/S3c@h/x", "rtsp://h/x"),
        ("rtsp://us:p@S3c@h/x", "rtsp://h/x"),
        ("rtsp://us:p?S3c@h/x", "rtsp://h/x"),
        ("rtsp://us:p#S3c@h/x", "rtsp://h/x"),
        ("rtsp:///us:S3c@h", "rtsp://h"),
        ("http://us%3AS3c@h/x#S3c", "http://h/x"),
        ("http://h/x?mail=a@b", "http://h/x"),
        ("HTTP://Us:S3c@[::1]/x", "http://[::1]/x"),
        ("udp://@239.0.0.1:1234", "udp://239.0.0.1"),
        ("tcp://:80", "tcp://stream"),
    ],
)
def test_password_of_a_stream_is_not_shown(address, name):
    (item,) = find_items(address)
    assert item.name == name and item.value == address


@pytest.mark.parametrize("source", ["rtsp:/us:S3c@h", "//us:S3c@h/1", "rtsp:/us:S3c@h/*", "smb://us:S3c@h"])
def test_password_of_what_is_no_address_is_not_shown(source):
    assert "S3c" not in refused(source)


@pytest.mark.parametrize("source", [0, "0", "/dev/video0", np.int64(0)])
def test_webcam_is_named_by_its_number(source):
    assert find_items(source) == [("live", "webcam0", 0)]


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


def test_too_large_video_is_refused(tmp_path, monkeypatch):
    path = write_video(tmp_path / "clip.mp4", NOISE[:2])
    monkeypatch.setattr("detect.ops.image_cost.MAX_PIXELS", 3000)
    with pytest.raises(UserError, match="64x48 px are 0 megapixels, more than 0;"):
        read(path)


class Camera:
    """A pretended live capture that sends `count` images, one every `pause` seconds, and then falls silent."""

    def __init__(self, count, pause=0.0, opened=True):
        self.left, self.pause, self.opened, self.released, self.sent = count, pause, opened, False, 0

    def isOpened(self):
        return self.opened

    def get(self, _):
        return 0.0

    def read(self):
        time.sleep(self.pause)
        self.left -= 1
        self.sent += 1
        return (True, flat(self.sent % 250)) if self.left >= 0 else (False, None)

    def release(self):
        self.released = True


def test_live_source_drops_late_images_and_counts_them(monkeypatch):
    camera = Camera(40, pause=0.005)
    monkeypatch.setattr(sources, "open_capture", lambda _: camera)
    seen, dropped = [], 0
    with pytest.raises(UserError, match="webcam0: sends no more images"):
        for frame in read_frames(find_items(0)):
            seen.append((int(frame.image[0, 0, 0]), frame.time))
            dropped = frame.dropped
            time.sleep(0.03)
    assert seen[-1][0] == 40 and len(seen) < 25  # the newest at the end, not a backlog
    assert len(seen) + dropped == 40
    assert seen[0][1] == 0 and all(b[1] > a[1] for a, b in pairwise(seen))
    assert camera.released


def test_stream_reconnects_as_long_as_images_come_and_five_times_more():
    cameras = [Camera(1 + number % 2 * 3, opened=number % 3 != 2) for number in range(20)]  # short, long, not there
    cameras += [Camera(1)] + [Camera(0, opened=number % 2) for number in range(5)] + [Camera(1)]
    opened = iter(cameras)
    frames = []
    with (
        pytest.raises(UserError, match="5 attempts to reconnect failed"),
        LatestImage(Camera(2), "rtsp://camera", lambda: next(opened), pause=0.001) as images,
    ):
        frames += images
    assert list(opened) == cameras[-1:] and all(camera.released for camera in cameras[:-1])


def test_a_stream_that_came_back_says_so(monkeypatch):
    cameras = iter([Camera(2, pause=0.01), Camera(2, pause=0.01)] + [Camera(0)] * 5)
    monkeypatch.setattr(sources, "open_capture", lambda _: next(cameras))
    monkeypatch.setattr(LatestImage.__init__, "__defaults__", (None, 0.001))
    errors = []
    notes = [frame.note for frame in read("rtsp://camera/1", errors)]
    assert notes.count("fell silent, and was connected again") == 1 and notes[0] == "" and len(errors) == 1


def test_ctrl_c_is_heard_while_a_silent_address_is_tried(monkeypatch):
    silent, ended = threading.Event(), []
    monkeypatch.setattr(sources, "open_capture", lambda _: ended.append(silent.wait(20)))
    press = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    press.start()
    with pytest.raises(KeyboardInterrupt):
        read("rtsp://camera/1")
    assert not ended
    silent.set()
    press.join()


def test_leaving_a_live_source_ends_its_thread(monkeypatch):
    camera = Camera(10**9, pause=0.001)
    monkeypatch.setattr(sources, "open_capture", lambda _: camera)
    frames = read_frames(find_items("rtsp://user:pass@camera/1"))
    assert next(frames).source == "rtsp://camera/1"
    frames.close()
    assert camera.released


def test_webcam_that_is_not_there_is_one_sentence(monkeypatch):
    monkeypatch.setattr(sources, "open_capture", lambda _: Camera(0, opened=False))
    with pytest.raises(UserError, match="webcam3: cannot be opened; check that it is plugged in"):
        read(3)


def test_real_videos_are_read_to_their_end(shared):
    item = find_items(str(shared / "demo" / "videos" / "vtest_480x360.avi"))
    frames = [(frame.index, frame.time) for frame in read_frames(item)]
    assert len(frames) == 795 and frames[-1][1] == pytest.approx(79.4)
