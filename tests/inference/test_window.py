"""Results in a window."""

import os
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest

from detect.errors import UserError
from detect.inference import window
from detect.inference.window import WindowClosed, WindowSink
from tests.inference.made_results import result
from tests.inference.made_videos import flat, write_video


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


def test_cameras_at_once_have_windows_of_their_own_and_files_share_one(monkeypatch):
    shown, closed = [], []
    monkeypatch.setattr(cv2, "imshow", lambda title, _: shown.append(title))
    monkeypatch.setattr(cv2, "waitKey", lambda _: -1)
    monkeypatch.setattr(cv2, "destroyWindow", closed.append)
    with WindowSink() as sink:
        for item, medium in ((0, "image"), (1, "video"), (2, "live"), (3, "live"), (2, "live")):
            sink.write(result(item=item, medium=medium))
    assert shown == ["detect", "detect", "detect 2", "detect 3", "detect 2"] and closed == shown[1:4]


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


@pytest.fixture
def display():
    """The number of a display that nobody sees."""
    if not shutil.which("Xvfb"):
        pytest.skip("needs Xvfb (Debian: apt install xvfb)")
    reading, writing = os.pipe()
    command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", "640x480x24", "-nolisten", "tcp"]
    server = subprocess.Popen(command, pass_fds=[writing], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(writing)
    with open(reading) as told:
        number = told.readline().strip()
    yield f":{number}"
    server.terminate()
    server.wait()


SHOW = """
import sys, threading, time
import cv2, numpy as np
from detect.inference.options import Options
from detect.inference.pipeline import detect_files
from detect.inference.window import TITLE, check_display
from tests.inference.stand_in import StandIn

class Sees(StandIn):
    def found(self, image):
        return np.array([[40, 40, 200, 120]], np.float32), np.array([0.5]), np.array([0])

check_display()
seen = []
wait = cv2.waitKey
def wait_key(delay):
    wait(50)
    seen.append(cv2.getWindowImageRect(TITLE))
    return ord("q") if len(seen) == 5 else -1
cv2.waitKey = wait_key
summary = detect_files(Sees(), sys.argv[1], sys.argv[2], Options(show=True, outputs=[]), log=lambda _: None)
print(summary["frames"], seen[-1][2:])
"""


def test_results_are_shown_on_a_real_display(display, tmp_path):
    path = write_video(tmp_path / "clip.avi", [flat(level, (240, 320)) for level in range(0, 200, 10)], code="MJPG")
    environment = {**os.environ, "DISPLAY": display, "PYTHONPATH": os.pathsep.join(sys.path)}
    environment.pop("QT_QPA_PLATFORM", None)
    command = [sys.executable, "-c", SHOW, str(path), str(tmp_path / "out")]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split("\n")[0] == "5 (320, 240)"
