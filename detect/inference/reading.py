"""The images of sources, one after the other, as `Frame`s; live sources all at once."""

import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import cv2
import numpy as np
from PIL import Image

from detect.errors import UserError
from detect.inference.ahead import Ahead
from detect.inference.live import Camera, Cameras, Shot, Watching, open_patiently
from detect.inference.sources import Frame, Item, OnError, OnNote, raise_error, say_nothing
from detect.inference.video import Video, check_end, open_capture, open_video
from detect.ops.image import read_noted, to_rgb

READ_AHEAD = 2  # frames of files that are decoded before they are asked for
USUAL = Watching()


def read_frames(
    items: Iterable[Item],
    on_error: OnError = raise_error,
    on_note: OnNote = say_nothing,
    watching: Watching = USUAL,
    stop: threading.Event | None = None,
) -> Generator[Frame, None, None]:
    """The `Frame`s of a list of `Item`s: files one after the other, then the live sources, all at once and in turns.

    A source that cannot be opened, or that breaks off, is given to `on_error` as a `UserError` and the others go on;
    the frames before the break are yielded. Closing the iterator closes the sources.

    Args:
        on_note: called with a sentence when a live source is lost, and when it is back.
        watching: how they are read.
        stop: set by another thread, it ends the waiting for live sources.
    """
    numbered = list(enumerate(items))
    files = [(number, item) for number, item in numbered if item.medium != "live"]
    live = [(number, item) for number, item in numbered if item.medium == "live"]
    moving = len(files) > 1 or any(item.medium == "video" for _, item in files)
    read: Any = _read_files(files, watching)
    with closing(Ahead(read, READ_AHEAD) if moving else read) as frames:
        for frame in frames:
            if isinstance(frame, UserError):
                on_error(frame)
            else:
                yield frame
    if live:
        yield from _read_live(live, on_error, on_note, Cameras(watching, stop))


def _read_files(items: Iterable[tuple[int, Item]], watching: Watching) -> Generator[Frame | UserError, None, None]:
    """The frames of files, and in their place the errors."""
    for number, item in items:
        try:
            if item.medium == "image":
                yield _read_image(item, number)
            else:
                yield from _read_video(item, number, watching)
        except UserError as error:
            yield error


def _read_image(item: Item, number: int) -> Frame:
    value = item.value
    if isinstance(value, np.ndarray):
        if value.dtype != np.uint8 or value.ndim != 3 or value.shape[2] != 3 or not value.size:
            shape = f"{value.dtype} {list(value.shape)}"
            raise UserError(f"{item.name}: the array is {shape}; give uint8 RGB [height, width, 3]")
        return Frame(value, item.name, item=number)
    if isinstance(value, Image.Image):
        try:
            image, note = to_rgb(value, item.name)
        except (OSError, ValueError) as error:
            raise UserError(f"{item.name}: not a readable Pillow image ({error}); give another one") from error
    else:
        image, note = read_noted(value)
    return Frame(image, item.name, note=note, item=number)


def _read_video(item: Item, number: int, watching: Watching) -> Iterator[Frame]:
    video = open_video(item.value, watching.every)
    with closing_capture(video.capture):
        yield from _frames_of(video, item, number)
        check_end(video, item.value)


def _frames_of(video: Video, item: Item, number: int) -> Iterator[Frame]:
    for place, (image, time) in enumerate(video):
        fps = video.fps / video.every if video.fps else None
        index = place * video.every
        yield Frame(image, item.name, index, time, fps, video.total, "video", item=number)


def _read_live(
    items: Sequence[tuple[int, Item]], on_error: OnError, on_note: OnNote, cameras: Cameras
) -> Iterator[Frame]:
    """The frames of live sources, and before them those of videos on a server, which can wait."""
    openers = [partial(open_capture, item.value) for _, item in items]
    opened = list(zip(items, openers, open_patiently(openers), strict=True))
    one_is_there = any(not isinstance(capture, UserError) and capture.isOpened() for _, _, capture in opened)
    frames: dict[Camera, _Live] = {}
    for (number, item), opener, capture in opened:
        try:
            if isinstance(capture, UserError):
                raise capture
            if _is_file(item, capture):
                yield from _read_served(item, number, capture, cameras.watching)
                continue
            if not capture.isOpened() and not one_is_there:  # else it may come later, as the others have come
                raise _not_opened(item)
            camera = cameras.add(capture if capture.isOpened() else None, item.name, opener)
            frames[camera] = _Live(item.name, number)
        except UserError as error:
            on_error(error)
    with cameras:
        for camera, shot in cameras.shots(on_error, on_note):
            yield frames[camera].frame(camera, shot)


class _Live:
    """Makes the frames of one camera."""

    def __init__(self, name: str, number: int) -> None:
        self._name, self._number = name, number
        self._index = -1
        self._start: float | None = None

    def frame(self, camera: Camera, shot: Shot) -> Frame:
        if self._start is None:
            self._start = shot.when
        self._index += 1
        image, time = cv2.cvtColor(shot.image, cv2.COLOR_BGR2RGB), shot.when - self._start
        frame = Frame(image, self._name, self._index, time, camera.fps, None, "live", camera.dropped)
        return replace(frame, clock=shot.clock, item=self._number)


def _is_file(item: Item, capture: cv2.VideoCapture) -> bool:
    """Whether an open address is that of a file on a server."""
    return isinstance(item.value, str) and capture.isOpened() and capture.get(cv2.CAP_PROP_FRAME_COUNT) > 0


def _read_served(item: Item, number: int, capture: cv2.VideoCapture, watching: Watching) -> Iterator[Frame]:
    with closing_capture(capture):
        video = Video(capture, item.name, watching.every)
        with closing(Ahead[Frame](_frames_of(video, item, number), READ_AHEAD)) as frames:
            yield from frames
        check_end(video, item.name)


def _not_opened(item: Item) -> UserError:
    advice = "check the address and the network" if isinstance(item.value, str) else "check that it is plugged in"
    return UserError(f"{item.name}: cannot be opened; {advice}")


@contextmanager
def closing_capture(capture: cv2.VideoCapture) -> Iterator[None]:
    """Release an OpenCV capture at the end of the block, however it ends."""
    try:
        yield
    finally:
        capture.release()
