"""One detector for all who ask: images go through it one by one, in the order they came."""

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Lock
from typing import NamedTuple, Protocol

import numpy as np

from detect.errors import UserError
from detect.ops.nms import Candidates

WAITING = 64  # images in line at the most
CLOSED = "the server is stopping"


class Detector(Protocol):
    """What is asked of a `detect.inference.predictor.Predictor`."""

    @property
    def names(self) -> tuple[str, ...]: ...

    def detect_batch(self, images: list[np.ndarray]) -> list[Candidates]: ...


class Found(NamedTuple):
    """What was found in an image."""

    detections: Candidates  # boxes in image px, best first
    seconds: float  # in the detector, the wait for it apart


class Busy(UserError):
    """The engine takes no more images: the line is full, or it closes."""


class SharedEngine:
    """A detector behind a line in which everybody waits as long: a source that is watched stands in it with one image
    at a time, and so does everyone who sends an image and waits for the answer.

    Args:
        detector: runs in a thread of its own.
        waiting: places in line.
    """

    def __init__(self, detector: Detector, waiting: int = WAITING) -> None:
        self.detector = detector
        self._waiting = waiting
        self._in_line = 0
        self._lock = Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="detect")

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place in line, for as long as the block lasts; taken before an image is decoded.  Raises Busy."""
        with self._lock:
            if self._in_line >= self._waiting:
                raise Busy(f"{self._in_line} images are waiting already; ask again later")
            self._in_line += 1
        try:
            yield
        finally:
            with self._lock:
                self._in_line -= 1

    def submit(self, image: np.ndarray) -> "Future[Found]":
        """Let an image, uint8 RGB [height, width, 3], go through; whoever has a place may ask.  Raises Busy."""
        try:
            return self._thread.submit(self._run, image)
        except RuntimeError as error:
            raise Busy(CLOSED) from error

    def close(self) -> None:
        """Let nobody wait any longer: what has not begun is cancelled."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _run(self, image: np.ndarray) -> Found:
        start = time.perf_counter()
        (detections,) = self.detector.detect_batch([image])
        return Found(detections, time.perf_counter() - start)
