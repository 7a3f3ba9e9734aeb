"""Webcams and streams: a thread for each reads all they send, and whoever asks gets the newest image of any."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import NamedTuple, Self

import cv2
import numpy as np

from detect.errors import UserError
from detect.files import printable
from detect.inference.video import FASTEST_LIVE, check_size, sane_fps

PAUSE = 1.0  # seconds before the first attempt to reconnect; doubled before each next
LONGEST_PAUSE = 30.0

OpenCapture = Callable[[], cv2.VideoCapture]


@dataclass(frozen=True)
class Watching:
    """How sources are read.

    `every` takes one frame of so many; `reconnects` is how often a live source is connected anew that gives no image,
    None for ever.
    """

    every: int = 1
    reconnects: int | None = None
    pause: float = PAUSE

    def __post_init__(self) -> None:
        for name, least in (("every", 1), ("reconnects", 0)):
            value = getattr(self, name)
            if value is not None and (type(value) is not int or value < least):
                raise UserError(f"{name} is {value}; give a whole number from {least}", argument=name)


class Shot(NamedTuple):
    """One image of a camera."""

    image: np.ndarray  # uint8 BGR [height, width, 3]
    when: float  # time.monotonic()
    clock: float  # time.time()


def open_patiently(open_captures: Sequence[OpenCapture]) -> list[cv2.VideoCapture | UserError]:
    """What each of them gives or raises, called at once in threads: so that Ctrl-C is heard meanwhile."""
    opened: list[Future[cv2.VideoCapture]] = [Future() for _ in open_captures]

    def run(open_capture: OpenCapture, future: Future[cv2.VideoCapture]) -> None:
        try:
            future.set_result(open_capture())
        except BaseException as error:
            future.set_exception(error)

    for open_capture, future in zip(open_captures, opened, strict=True):
        threading.Thread(target=run, args=(open_capture, future), name="open", daemon=True).start()
    return [_result_or_sentence(future) for future in opened]


def _result_or_sentence(future: Future[cv2.VideoCapture]) -> cv2.VideoCapture | UserError:
    """What the future gives, or the UserError that it raises."""
    try:
        return future.result()
    except UserError as error:
        return error


class Cameras:
    """Live sources that are read at once; use it in a `with` block, which ends their threads and closes them.

    Args:
        watching: how they are read.
        stop: set by another thread, it ends the waiting for images.
    """

    def __init__(self, watching: Watching, stop: threading.Event | None = None) -> None:
        self.watching = watching
        self.stop = stop or threading.Event()
        self.news = threading.Condition()
        self.events: deque[str | UserError] = deque()  # what is to be said, guarded by `news`
        self._cameras: list[Camera] = []
        self._last = -1  # place of the camera whose image was taken last

    def add(self, capture: cv2.VideoCapture | None, name: str, reopen: OpenCapture) -> "Camera":
        """Watch one more; `capture` is open, or None where that failed and is to be tried again."""
        self._cameras.append(Camera(self, capture, name, reopen))
        return self._cameras[-1]

    def __enter__(self) -> Self:
        for camera in self._cameras:
            camera.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        until = time.monotonic() + 2  # a silent stream may hold its thread longer; it ends by itself
        for camera in self._cameras:
            camera.thread.join(max(until - time.monotonic(), 0))

    def shots(
        self, on_error: Callable[[UserError], object], on_note: Callable[[str], object]
    ) -> Iterator[tuple["Camera", Shot]]:
        """The newest image of each camera that has one, in turns, until all are gone for good or it is told to stop.

        Between two images, `on_note` is called with a sentence for each camera that is lost or back, and `on_error` for
        one that is gone for good.
        """
        while not self.stop.is_set():
            with self.news:
                chosen = self._next()
                if chosen is None and not self.events:
                    if all(camera.ended for camera in self._cameras):
                        return
                    self.news.wait(timeout=0.2)  # wakes now and then, so that Ctrl-C is heard
                events = list(self.events)
                self.events.clear()
            for event in events:
                on_error(event) if isinstance(event, UserError) else on_note(event)
            if chosen is not None:
                yield chosen

    def _next(self) -> "tuple[Camera, Shot] | None":
        """The image of the first camera after the last one that has any, which is no longer in its slot then."""
        count = len(self._cameras)
        for place in range(self._last + 1, self._last + 1 + count):
            camera = self._cameras[place % count]
            if camera.slot is not None:
                shot, camera.slot = camera.slot, None
                self._last = place % count
                return camera, shot
        return None


class Camera:
    """One live source. An image that is not asked for before the next one comes is dropped: the delay cannot grow.

    Attributes:
        dropped: how many were.
        fps: frames per second as it says itself, those that are passed over left out; or None.
    """

    def __init__(self, all_of_them: Cameras, capture: cv2.VideoCapture | None, name: str, reopen: OpenCapture) -> None:
        self.name = name
        self.dropped = 0
        self.fps: float | None = None
        self.slot: Shot | None = None
        self.ended = False
        self.thread = threading.Thread(target=self._run, args=(capture,), name=f"read {name}", daemon=True)
        self._all = all_of_them
        self._reopen = reopen
        self._seen = time.monotonic()  # the last image, or that it was looked for
        self._is_lost = capture is None
        self._attempts = 0  # to reconnect, since the last image

    def _run(self, capture: cv2.VideoCapture | None) -> None:
        """The thread: fill the slot until told to stop or until the source is gone for good."""
        farewell: UserError | None = None
        try:
            if capture is None:
                self._say("cannot be opened; trying again")
            while not self._all.stop.is_set():
                if capture is not None:
                    self._drain(capture)
                capture = self._reconnect()
                if capture is None and self._gone():
                    farewell = UserError(
                        f"{printable(self.name)}: sends no more images, {self._attempts} attempts to reconnect failed; "
                        "check that it is plugged in, its address and the network"
                    )
                    break
        except UserError as error:
            farewell = error
        finally:
            with self._all.news:
                self.ended = True
                if farewell is not None:
                    self._all.events.append(farewell)
                self._all.news.notify_all()

    def _gone(self) -> bool:
        limit = self._all.watching.reconnects
        return limit is not None and self._attempts >= limit

    def _drain(self, capture: cv2.VideoCapture) -> None:
        """Keep the newest image of an open capture in the slot until it has no more, and close it."""
        try:
            check_size(capture, self.name)
            every = self._all.watching.every
            fps = sane_fps(capture.get(cv2.CAP_PROP_FPS), FASTEST_LIVE)
            self.fps = fps / every if fps else None
            came = 0
            while not self._all.stop.is_set():
                passed_over = came % every != 0
                found, image = (capture.grab(), None) if passed_over else capture.read()
                if not found:
                    break
                came += 1
                if image is not None:
                    self._take(Shot(image, time.monotonic(), time.time()))
        except cv2.error:
            pass
        finally:
            capture.release()
        if not self._all.stop.is_set() and not self._is_lost:
            self._is_lost = True
            if self._all.watching.reconnects != 0:
                self._say("sends no more images; connecting again")

    def _take(self, shot: Shot) -> None:
        if self._is_lost:
            self._say(f"is back after {shot.when - self._seen:.0f} s")
        self._seen, self._is_lost, self._attempts = shot.when, False, 0
        with self._all.news:
            self.dropped += self.slot is not None
            self.slot = shot
            self._all.news.notify_all()

    def _say(self, what: str) -> None:
        with self._all.news:
            self._all.events.append(f"{printable(self.name)}: {what}")
            self._all.news.notify_all()

    def _reconnect(self) -> cv2.VideoCapture | None:
        """An open capture, or None where the next attempt, after a longer pause, failed too or none is left."""
        pause = min(self._all.watching.pause * 2 ** min(self._attempts, 10), LONGEST_PAUSE)
        if self._gone() or self._all.stop.wait(pause):
            return None
        self._attempts += 1
        capture = self._reopen()
        if capture.isOpened():
            return capture
        capture.release()
        return None
