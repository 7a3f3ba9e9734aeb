"""One detector for all who ask: images go through it one by one, in the order they came."""

import time
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import NamedTuple, Protocol

import numpy as np

from detect.errors import UserError
from detect.ops.nms import Candidates

WAITING = 64  # images in line at the most


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
    """More images wait in line than the engine takes."""


class SharedEngine:
    """A detector behind a line in which everybody waits as long: a source that is watched stands in it with one image
    at a time, and so does everyone who sends an image and waits for the answer.

    Args:
        detector: runs in a thread of its own.
        waiting: images that may stand in line.
    """

    def __init__(self, detector: Detector, waiting: int = WAITING) -> None:
        self.detector = detector
        self._waiting = waiting
        self._in_line = 0
        self._lock = Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="detect")

    def submit(self, image: np.ndarray) -> "Future[Found]":
        """Put an image, uint8 RGB [height, width, 3], in line.  Raises Busy."""
        with self._lock:
            if self._in_line >= self._waiting:
                raise Busy(f"{self._in_line} images are waiting already; ask again later")
            self._in_line += 1
        return self._thread.submit(self._run, image)

    def close(self) -> None:
        """Let nobody wait any longer."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _run(self, image: np.ndarray) -> Found:
        start = time.perf_counter()
        try:
            (detections,) = self.detector.detect_batch([image])
        finally:
            with self._lock:
                self._in_line -= 1
        return Found(detections, time.perf_counter() - start)
