"""Webcams and streams: a thread reads all they send, and whoever asks gets the newest image."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Self

import cv2
import numpy as np

from detect.errors import UserError
from detect.files import printable

RECONNECTS = 5  # attempts in a row that give no image
PAUSE = 1.0  # seconds before the first of them; doubled before each next


def open_patiently(open_capture: Callable[[], cv2.VideoCapture]) -> cv2.VideoCapture:
    """What `open_capture` gives, called in another thread: so that Ctrl-C is heard while a silent address is tried."""
    opened: Future[cv2.VideoCapture] = Future()

    def run() -> None:
        try:
            opened.set_result(open_capture())
        except UserError as error:
            opened.set_exception(error)

    threading.Thread(target=run, name="open", daemon=True).start()
    return opened.result()


class LatestImage:
    """Iterate over the images of a live source as (uint8 RGB [height, width, 3], seconds since the first one).

    An image that is not asked for before the next one arrives is dropped, and counted in `dropped`: the delay cannot
    grow. The `connections` that gave an image are counted too. Use it in a `with` block, which ends the thread and
    closes the source.

    Args:
        capture: an open `cv2.VideoCapture`; the thread takes it over.
        name: for messages.
        reopen: called without arguments for a new capture when the source falls silent, until `RECONNECTS` of them in
            a row have given no image; None for a source that does not come back.
        pause: seconds before the first attempt.
    """

    def __init__(
        self,
        capture: cv2.VideoCapture,
        name: str,
        reopen: Callable[[], cv2.VideoCapture] | None = None,
        pause: float = PAUSE,
    ) -> None:
        self.dropped = 0
        self.connections = 0  # that have given an image
        self._name = name
        self._reopen = reopen
        self._pause = pause
        self._slot: tuple[np.ndarray, float] | None = None  # BGR image, time.monotonic()
        self._ended = False
        self._stop = threading.Event()
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._run, args=(capture,), name=f"read {name}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=2)  # a silent stream may hold the thread longer; it ends by itself

    def __iter__(self) -> Iterator[tuple[np.ndarray, float]]:
        start = None
        while True:
            with self._news:
                while self._slot is None and not self._ended:
                    self._news.wait(timeout=0.5)  # wakes now and then, so that Ctrl-C is heard
                if self._slot is None:
                    break
                (image, when), self._slot = self._slot, None
            start = when if start is None else start
            yield cv2.cvtColor(image, cv2.COLOR_BGR2RGB), when - start
        raise UserError(self._farewell())

    def _farewell(self) -> str:
        name = printable(self._name)
        if self._reopen is None:
            return f"{name}: sends no more images; check that it is plugged in and that no other program uses it"
        return f"{name}: sends no more images, {RECONNECTS} attempts to reconnect failed; check the address and network"

    def _run(self, capture: cv2.VideoCapture | None) -> None:
        """The thread: fill the slot until told to stop or until the source is gone for good."""
        try:
            attempts = 0
            while capture is not None and not self._stop.is_set():
                attempts = 0 if self._drain(capture) else attempts
                capture.release()
                capture, attempts = self._reconnect(attempts)
        finally:
            with self._news:
                self._ended = True
                self._news.notify()

    def _drain(self, capture: cv2.VideoCapture) -> bool:
        """Keep the newest image of `capture` in the slot until it has no more; returns whether there was one."""
        came = False
        while not self._stop.is_set():
            try:
                found, image = capture.read()
            except cv2.error:
                break
            if not found:
                break
            with self._news:
                self.connections += not came
                came = True
                self.dropped += self._slot is not None
                self._slot = (image, time.monotonic())
                self._news.notify()
        return came

    def _reconnect(self, attempts: int) -> tuple[cv2.VideoCapture | None, int]:
        """(an open capture or None, attempts used so far)."""
        while self._reopen is not None and attempts < RECONNECTS:
            if self._stop.wait(self._pause * 2**attempts):
                break
            attempts += 1
            capture = self._reopen()
            if capture.isOpened():
                return capture, attempts
            capture.release()
        return None, attempts
