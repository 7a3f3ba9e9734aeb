"""Webcams and streams: the newest image, what was dropped, what is lost and comes back."""

import json
import os
import signal
import threading
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from detect.errors import UserError
from detect.inference import reading
from detect.inference.live import Cameras, Shot, Watching, open_patiently
from detect.inference.monitor import Monitor
from detect.inference.options import Options
from detect.inference.pipeline import detect_files
from detect.inference.reading import read_frames
from detect.inference.sources import find_items
from tests.inference.made_videos import flat, read
from tests.inference.stand_in import StandIn
from tests.small_server import CameraServer, running


class Camera:
    """A pretended live capture that sends `count` images, one every `pause` seconds, and then falls silent."""

    def __init__(self, count, pause=0.0, opened=True):
        self.left, self.pause, self.opened, self.released, self.sent = count, pause, opened, False, 0

    def isOpened(self):
        return self.opened

    def get(self, _):
        return 0.0

    def grab(self):
        time.sleep(self.pause)
        self.left -= 1
        self.sent += 1
        return self.left >= 0

    def read(self):
        return (True, flat(self.sent % 250)) if self.grab() else (False, None)

    def release(self):
        self.released = True


@pytest.fixture
def cameras(monkeypatch):
    """A block in which sources open these captures, one after the other by their value: `{value: [Camera, ...]}`."""

    def pretend(by_value):
        opened = {value: iter(captures) for value, captures in by_value.items()}
        monkeypatch.setattr(reading, "open_capture", lambda value: next(opened[value], Camera(0, opened=False)))

    return pretend


def watch(source, watching, notes=None):
    """(frames, errors) of a source that ends."""
    errors = []
    tell = [].append if notes is None else notes.append
    return list(read_frames(find_items(source), errors.append, tell, watching)), [str(error) for error in errors]


def test_late_images_are_dropped_and_counted(cameras):
    camera = Camera(40, pause=0.005)
    cameras({0: [camera]})
    seen, dropped, errors = [], 0, []
    for frame in read_frames(find_items(0), errors.append, watching=Watching(reconnects=0)):
        seen.append((int(frame.image[0, 0, 0]), frame.time, frame.clock))
        dropped = frame.dropped
        time.sleep(0.03)
    assert seen[-1][0] == 40 and len(seen) < 25  # the newest at the end, not a backlog
    assert len(seen) + dropped == 40
    assert seen[0][1] == 0 and all(b[1] > a[1] for a, b in pairwise(seen))
    assert abs(seen[-1][2] - time.time()) < 10 and "webcam0: sends no more images" in str(errors[0])
    assert camera.released


def test_one_of_so_many_images_is_taken_and_the_others_are_not_dropped(cameras):
    cameras({0: [Camera(40, pause=0.002)]})
    frames, _ = watch(0, Watching(every=10, reconnects=0))
    assert [int(frame.image[0, 0, 0]) for frame in frames] == [1, 11, 21, 31] and frames[-1].dropped == 0


def test_a_source_is_connected_anew_as_long_as_images_come_and_so_many_times_more(cameras):
    captures = [Camera(1 + number % 2 * 3, opened=number % 3 != 2) for number in range(1, 20)]  # short, long, not there
    captures += [Camera(1)] + [Camera(0, opened=number % 2) for number in range(5)] + [Camera(1)]
    left = iter(captures[1:])
    cameras({"rtsp://camera/1": captures[:1] + list(left)})
    notes = []
    frames, errors = watch("rtsp://camera/1", Watching(reconnects=5, pause=0.001), notes)
    assert frames and "5 attempts to reconnect failed" in errors[0] and len(errors) == 1
    assert all(capture.released for capture in captures[:-1]) and not captures[-1].released


def test_a_source_is_connected_anew_for_ever_by_default(cameras):
    cameras({"rtsp://camera/1": [Camera(1), *(Camera(0, opened=False) for _ in range(40)), Camera(10**9, 0.001)]})
    notes, start = [], time.monotonic()
    frames = read_frames(find_items("rtsp://camera/1"), on_note=notes.append, watching=Watching(pause=1e-6))
    assert [next(frames).index, next(frames).index] == [0, 1]
    frames.close()
    assert notes == [
        "rtsp://camera/1: sends no more images; connecting again",
        f"rtsp://camera/1: is back after {time.monotonic() - start:.0f} s",
    ]


def test_sources_at_once_count_for_themselves(cameras):
    cameras({0: [Camera(400, pause=0.001)], 1: [Camera(300, pause=0.001)], 2: [Camera(4, pause=0.1)]})
    seen, dropped = Counter(), {}
    for frame in read_frames(find_items([0, 1, 2]), lambda _: None, watching=Watching(reconnects=0)):
        seen[frame.source] += 1
        dropped[frame.source] = frame.dropped
        assert frame.index == seen[frame.source] - 1 and f"webcam{frame.item}" == frame.source
        time.sleep(0.01)
    assert [seen[name] + dropped[name] for name in ("webcam0", "webcam1", "webcam2")] == [400, 300, 4]


def test_sources_that_all_have_an_image_take_turns():
    watched = Cameras(Watching())
    added = [watched.add(None, f"cam{number}", None) for number in range(3)]
    shots, served = watched.shots(pytest.fail, pytest.fail), []
    for number in range(9):
        for camera in added:
            camera.slot = Shot(flat(number), 0.0, 0.0)
        served.append(next(shots)[0].name)
    assert served == ["cam0", "cam1", "cam2"] * 3
    added[0].slot, added[2].slot = None, None
    assert next(shots)[0].name == "cam1"


def test_one_of_several_that_is_not_there_yet_may_come(cameras):
    cameras({0: [Camera(60, pause=0.005)], 1: [Camera(0, opened=False), Camera(3)]})
    notes = []
    frames, errors = watch([0, 1], Watching(reconnects=2, pause=0.001), notes)
    assert {frame.source for frame in frames} == {"webcam0", "webcam1"} and len(errors) == 2
    assert "webcam1: cannot be opened; trying again" in notes


@pytest.mark.parametrize(("source", "advice"), [(3, "plugged in"), ("rtsp://camera/1", "the address and the network")])
def test_a_source_that_is_not_there_is_one_sentence(cameras, source, advice):
    cameras({source: []})
    with pytest.raises(UserError, match=f"cannot be opened; check .*{advice}"):
        read(source)


def test_files_come_before_live_sources(cameras):
    cameras({0: [Camera(2, pause=0.01)]})
    frames, _ = watch([0, flat(1), flat(2)], Watching(reconnects=0))
    assert [frame.item for frame in frames] == [1, 2, 0, 0]


def test_ctrl_c_is_heard_while_a_silent_address_is_tried(monkeypatch):
    silent, ended = threading.Event(), []
    monkeypatch.setattr(reading, "open_capture", lambda _: ended.append(silent.wait(20)))
    press = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    press.start()
    with pytest.raises(KeyboardInterrupt):
        read("rtsp://camera/1")
    assert not ended
    silent.set()
    press.join()


def test_leaving_a_live_source_ends_its_thread(cameras):
    camera = Camera(10**9, pause=0.001)
    cameras({"rtsp://user:pass@camera/1": [camera]})
    frames = read_frames(find_items("rtsp://user:pass@camera/1"))
    assert next(frames).source == "rtsp://camera/1"
    frames.close()
    assert camera.released


def test_wrong_ways_of_watching_are_refused():
    for wrong in ({"every": 0}, {"every": True}, {"reconnects": -1}):
        with pytest.raises(UserError, match="give a whole number from"):
            Watching(**wrong)


# ---- a camera of this machine's own --------------------------------------------------------------------------------


class Slow(StandIn):
    """A detector that takes `seconds` for an image; `seen` are the numbers of the images, as `jpegs` holds them."""

    def __init__(self, seconds=0.0, after=lambda count: None):
        super().__init__()
        self.seconds, self.after, self.seen = seconds, after, []

    def found(self, image):
        self.seen.append(round(float(image.mean()) / 10))
        time.sleep(self.seconds)
        self.after(len(self.seen))
        return np.array([[4, 4, 30, 30]], np.float32), np.array([0.5]), np.array([1])


def jpegs(count=25):
    return [cv2.imencode(".jpg", flat(level * 10))[1].tobytes() for level in range(count)]


def interrupt_at(number):
    """Press Ctrl-C at the image with this number."""
    return lambda count: os.kill(os.getpid(), signal.SIGINT) if count == number else None


def run_until(server, number, folder, **options):
    """Detect in the camera's stream until Ctrl-C at an image; returns the lines that were said."""
    lines = []
    with pytest.raises(KeyboardInterrupt):
        detect_files(Slow(after=interrupt_at(number)), server.url, folder, Options(**options), log=lines.append)
    return lines


def test_a_stream_is_written_until_ctrl_c(tmp_path):
    with running(CameraServer(jpegs())) as server:
        lines = run_until(server, 30, tmp_path)
    assert any(line.startswith("interrupted after ") for line in lines)
    rows = [json.loads(line) for line in (tmp_path / "detections.jsonl").read_text().splitlines()]
    assert 25 <= len(rows) <= 30 and rows[-1]["detections"][0]["name"] == "dog"
    video = cv2.VideoCapture(str(next(tmp_path.glob("*.mp4"))))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) >= len(rows)


def test_the_delay_does_not_grow_when_the_detector_does_not_keep_up(tmp_path, monkeypatch):
    late = []

    def after(count):  # how many images have come since this one, and the 5 that come while it is looked at
        late.append((len(server.sent) - 1 - predictor.seen[-1]) % 25)
        interrupt_at(25)(count)

    predictor, monitor = Slow(0.1, after), Monitor()
    monkeypatch.setattr("detect.inference.pipeline.Monitor", lambda: monitor)
    with running(CameraServer(jpegs(), fps=50)) as server, pytest.raises(KeyboardInterrupt):
        detect_files(predictor, server.url, tmp_path, log=lambda _: None)
    assert monitor.pace(0).dropped >= 15  # 50 come in a second and 10 are taken
    assert sorted(late)[len(late) // 2] <= 10 and sorted(late[-9:])[4] <= 10  # a queue of images would make it hundreds


def test_a_stream_that_breaks_off_is_said_once_and_comes_back(tmp_path):
    def after(count):
        if count == 10:
            server.is_up = False
            server.cut()
            threading.Timer(0.5, lambda: setattr(server, "is_up", True)).start()
        interrupt_at(20)(count)

    lines = []
    with running(CameraServer(jpegs())) as server, pytest.raises(KeyboardInterrupt):
        watching = Watching(pause=0.05)
        detect_files(Slow(after=after), server.url, tmp_path, Options(watching=watching), log=lines.append)
    said = [line.split(": ")[1] for line in lines if line.startswith("http://127.0.0.1/live.mjpg: ")]
    assert said[0] == "sends no more images; connecting again"
    assert said[1].startswith("is back after ") and len(said) <= 3 and server.connections >= 2
    assert all(json.loads(line) for line in (tmp_path / "detections.jsonl").read_text().splitlines())


def test_nothing_is_written_where_nothing_is_wanted(tmp_path):
    with running(CameraServer(jpegs())) as server:
        run_until(server, 5, tmp_path, outputs=[])
    assert list(tmp_path.iterdir()) == []


def test_a_second_run_of_a_live_source_replaces_nothing(tmp_path):
    with running(CameraServer(jpegs())) as server:
        for _ in range(2):
            run_until(server, 5, tmp_path)
    assert sorted(path.name for path in Path(tmp_path).iterdir()) == [
        "127.0.0.1_live.mjpg-2.mp4", "127.0.0.1_live.mjpg.mp4", "detections-2.jsonl", "detections.jsonl",
    ]  # fmt: skip


def test_whatever_an_opening_raises_comes_out():
    def fails():
        raise cv2.error("no such number")

    with pytest.raises(cv2.error, match="no such number"):
        open_patiently([lambda: None, fails])
    refused = UserError("not there")

    def refuses():
        raise refused

    assert open_patiently([refuses, lambda: 7]) == [refused, 7]
