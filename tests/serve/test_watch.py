"""The source that is watched, and who looks at it."""

import json
import struct
import time

import cv2
import numpy as np
import pytest
from browser import wait_for
from served import Finder, clip, jpeg, running, server
from starlette.testclient import TestClient
from websockets.sync.client import connect

from detect.inference.sources import Frame, Item
from detect.serve.engine import SharedEngine
from detect.serve.history import PER_COUNT, PER_STILL, History
from detect.serve.watch import LONGEST_SIDE, Watch, encoded


@pytest.fixture
def source(tmp_path):
    return clip(tmp_path / "street.avi")


def unpacked(message):
    """(the JSON text's content, the image RGB) of what a viewer gets."""
    (length,) = struct.unpack(">I", message[:4])
    image = cv2.imdecode(np.frombuffer(message[4 + length :], np.uint8), cv2.IMREAD_COLOR)
    return json.loads(message[4 : 4 + length]), image


def test_a_viewer_gets_frames_with_all_that_the_engine_finds(source):
    with running(server(source)) as address, connect(address.replace("http", "ws") + "/watch") as viewer:
        first, image = unpacked(viewer.recv(timeout=20))
        second, _ = unpacked(viewer.recv(timeout=20))
    assert image.shape == (240, 320, 3) and (first["width"], first["height"]) == (320, 240)
    assert second["number"] > first["number"]
    assert first["detections"] == [[0, 0, 160, 120, 0.9, 0], [0, 0, 160, 240, 0.4, 1], [0, 120, 80, 240, 0.1, 0]]


def test_the_state_tells_speed_counts_and_stills_and_no_path(source):
    with TestClient(server(source).app, base_url="http://localhost") as client:
        state = wait_for(lambda: (s := client.get("/state").json())["frames"] > 5 and s, "frames")
        assert state["state"] == "running" and state["source"] == "street.avi"
        assert state["names"] == ["person", "dog"] and state["min_score"] == 0.25
        assert state["fps"] > 1 and 0 <= state["latency"] < 5 and state["dropped"] == 0
        assert state["history"][-1]["counts"] == {"person": 1, "dog": 1}  # above 0.25
        assert state["stills"][0]["count"] == 2
        still = client.get(f"/still/{state['stills'][0]['number']}.jpg")
        assert still.headers["content-type"] == "image/jpeg" and still.content[:2] == b"\xff\xd8"
        for number in ("1", "x", "9" * 5000):
            assert client.get(f"/still/{number}.jpg").status_code == 404
        assert str(source.parent) not in client.get("/state").text
        numbers = client.get("/metrics").text
        assert "detect_source_up 1" in numbers and "detect_frames_dropped_total 0" in numbers
        assert client.get("/health").json() == {"status": "ok", "source": "running"}


def test_a_file_is_played_at_its_own_speed_and_again(source):
    with TestClient(server(source).app, base_url="http://localhost") as client:
        start = time.monotonic()
        wait_for(lambda: client.get("/state").json()["frames"] >= 30, "the second round")  # 20 frames of 1/20 s
        assert time.monotonic() - start > 1.2


def test_a_viewer_that_reads_nothing_and_one_that_breaks_off_slow_nobody(source):
    with running(server(source)) as address:
        watched = address.replace("http", "ws") + "/watch"
        with connect(watched, max_queue=1, close_timeout=0.2), connect(watched) as good:
            with connect(watched) as broken:
                broken.socket.close()
            numbers = [unpacked(good.recv(timeout=20))[0]["number"] for _ in range(15)]
    assert numbers == sorted(numbers) and numbers[-1] - numbers[0] < 40


def test_who_sends_a_photo_need_not_wait_for_the_video(source):
    with TestClient(server(source, Finder(seconds=0.02)).app, base_url="http://localhost") as client:
        before = wait_for(lambda: client.get("/state").json()["frames"], "a frame")
        assert all(client.post("/detect", content=jpeg()).status_code == 200 for _ in range(10))
        assert wait_for(lambda: client.get("/state").json()["frames"] > before, "more frames")


def test_a_source_that_is_lost_is_tried_again_and_said_once(tmp_path, monkeypatch):
    monkeypatch.setattr("detect.serve.watch.PAUSES", (0.01,))
    path, said = tmp_path / "late.avi", []
    watch = Watch(Item("video", "late.avi", str(path)), SharedEngine(Finder()), 0.25, len, lambda: False, said.append)
    monkeypatch.setattr(Watch, "_tell", _counting(Watch._tell))
    watch.start()
    wait_for(lambda: watch.state == "lost", "its loss")
    time.sleep(0.1)
    clip(tmp_path / "other.avi").rename(path)
    wait_for(lambda: watch.state == "running", "its return")
    watch.stop()
    assert len(said) == 2 and "trying again" in said[0] and said[1] == "late.avi: is back"


class Failing(Finder):
    """Fails at its second image only."""

    def detect_batch(self, images):
        if len(self.images) == 1:
            self.images.append(None)
            raise RuntimeError("a driver fell over")
        return super().detect_batch(images)


def test_whatever_goes_wrong_is_said_and_the_source_goes_on(source, monkeypatch):
    monkeypatch.setattr("detect.serve.watch.PAUSES", (0.01,))
    item, said = Item("video", "x.avi", str(source)), []
    watch = Watch(item, SharedEngine(Failing()), 0.25, lambda _: None, lambda: False, said.append)
    watch.start()
    wait_for(lambda: watch.frames > 3, "more frames")
    watch.stop()
    assert len(said) == 2 and "a driver fell over" in said[0] and said[1] == "x.avi: is back"


def test_a_source_that_gives_nothing_is_said_once_and_not_asked_without_a_pause(monkeypatch):
    monkeypatch.setattr("detect.serve.watch.PAUSES", (0.05,))
    asked, said = [], []
    monkeypatch.setattr("detect.serve.watch.read_frames", lambda items, **_: (asked.append(0), (_ for _ in ()))[1])
    watch = Watch(Item("video", "x.avi", "x.avi"), SharedEngine(Finder()), 0.25, len, lambda: False, said.append)
    watch.start()
    time.sleep(0.5)
    watch.stop()
    assert said == ["x.avi: gives no images; trying again"] and watch.state == "lost" and 1 < len(asked) < 15


def test_a_source_that_falls_silent_is_lost(monkeypatch):
    monkeypatch.setattr("detect.serve.watch.SILENT", 0.2)
    frame = Frame(np.zeros((48, 64, 3), np.uint8), "x", 0, 0.0, medium="live")

    def silent(items, **_):
        yield frame
        time.sleep(1)
        yield frame
        time.sleep(0.1)

    monkeypatch.setattr("detect.serve.watch.read_frames", silent)
    watch = Watch(Item("live", "x", "x"), SharedEngine(Finder()), 0.25, lambda _: None, lambda: False, print)
    watch.start()
    wait_for(lambda: watch.state == "running", "its first frame")
    wait_for(lambda: watch.state == "lost", "its silence")
    wait_for(lambda: watch.state == "running", "its second frame")
    watch.stop()


def test_the_delay_of_a_live_frame_counts_from_its_coming(monkeypatch):
    frame = Frame(np.zeros((48, 64, 3), np.uint8), "x", 0, 0.0, medium="live", clock=time.time() - 100)
    monkeypatch.setattr("detect.serve.watch.read_frames", lambda items, **_: (frame for _ in range(1)))
    watch = Watch(Item("live", "x", "x"), SharedEngine(Finder()), 0.25, lambda _: None, lambda: False, print)
    watch.start()
    wait_for(lambda: watch.frames, "its frame")
    watch.stop()
    assert 100 <= watch.latency < 160


def test_no_path_of_an_image_that_is_watched_is_told(tmp_path):
    (tmp_path / "photo.jpg").write_bytes(jpeg())
    with TestClient(server(tmp_path / "photo.jpg").app, base_url="http://localhost") as client:
        assert client.get("/state").json()["source"] == "photo.jpg"


def _counting(tell):
    """`publish` gets a shot; `len` is no function for it, so the shot goes nowhere."""

    def told(self, *arguments):
        self._publish = lambda _: None
        tell(self, *arguments)

    return told


def test_the_hour_keeps_means_and_the_busiest_image_of_each_period():
    history, start = History(), 100 * PER_STILL
    for second in range(int(PER_COUNT)):
        history.add(start + second, {"person": 2} if second % 2 else {})
    history.add(start + PER_COUNT, {"dog": 1})
    points = history.points(start + PER_COUNT)
    assert [point["counts"] for point in points] == [{"person": 1.0}, {"dog": 1.0}]
    assert points[1]["time"] - points[0]["time"] == PER_COUNT

    assert not history.wants_still(start, 0)
    for seconds, count in ((0, 3), (10, 5), (20, 4), (PER_STILL, 1)):
        if history.wants_still(start + seconds, count):
            history.keep_still(start + seconds, count, b"%d" % count)
    assert [still.jpeg for still in history.recent_stills(start + PER_STILL)] == [b"5", b"1"]
    assert history.recent_stills(start + 2 * 3600) == [] == history.points(start + 2 * 3600)


def test_viewers_get_no_larger_images_than_they_can_use():
    image = cv2.imdecode(np.frombuffer(encoded(np.zeros((100, 4000, 3), np.uint8)), np.uint8), cv2.IMREAD_COLOR)
    assert image.shape == (32, LONGEST_SIDE, 3)
