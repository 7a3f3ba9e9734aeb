"""Results in a window."""

import cv2
import numpy as np
import pytest

from detect.errors import UserError
from detect.inference import window
from detect.inference.window import WindowClosed, WindowSink
from tests.inference.made_results import result


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
