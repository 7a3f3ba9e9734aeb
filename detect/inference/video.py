"""Video files: every frame with its time, and whether the file breaks off before its end."""

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice

import cv2
import numpy as np

from detect.errors import UserError
from detect.files import missing, printable
from detect.inference.container import is_cut_off, mp4_duration
from detect.ops.image_cost import check_pixels

USUAL_FPS = 30.0  # where a source says nothing sane about itself
FASTEST = 65_535.0  # frames a second that a file may have: MPEG-4 counts no faster
FASTEST_LIVE = 240.0  # above it, what a source says is likely the rate of its clock
TIMEOUT = 10_000  # ms to open a stream, and to wait for its next image


def video_backend() -> int:
    """FFmpeg where this OpenCV has it: alone, as other readers take `%d` in a file's name for a series of images."""
    return cv2.CAP_FFMPEG if cv2.videoio_registry.hasBackend(cv2.CAP_FFMPEG) else cv2.CAP_ANY


def open_capture(source: str | int) -> cv2.VideoCapture:
    """OpenCV's reader of a video file, a stream's address or a webcam's number; ask `isOpened()`.

    Raises:
        UserError: the name is none that OpenCV can take.
    """
    if isinstance(source, int):
        return cv2.VideoCapture(source)
    if "://" not in source:
        return cv2.VideoCapture(native(os.path.abspath(source)), video_backend())  # absolute: `a:b.mp4` is no address
    limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, TIMEOUT, cv2.CAP_PROP_READ_TIMEOUT_MSEC, TIMEOUT]
    return cv2.VideoCapture(native(source), video_backend(), limits if video_backend() == cv2.CAP_FFMPEG else [])


def native(name: str) -> str:
    """`name`, if it is one that OpenCV can take: others crash the process.  Raises UserError."""
    try:
        if b"\0" not in name.encode():
            return name
    except UnicodeEncodeError:  # bytes of a file name that are no UTF-8
        pass
    raise UserError(f"{printable(name)}: no video can have a name that is no UTF-8 text; rename it or its folder")


def sane_fps(fps: float, fastest: float) -> float | None:
    """Frames per second as a source states them, or None where it states nonsense."""
    return float(fps) if math.isfinite(fps) and 1 <= fps <= fastest else None


def check_size(capture: cv2.VideoCapture, name: str) -> None:
    """Raise `UserError` if the frames of an open capture are larger than any image may be."""
    width, height = (int(capture.get(p)) for p in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    check_pixels(width, height, name)


@dataclass
class Video:
    """An open video of which every frame is read; frames stand upright, as its rotation mark says.

    `fps` and `total` (frames) are what its header says, None where that is nonsense or missing. A rate far above that
    of the first two frames is nonsense too, which shows when they are read.
    """

    capture: cv2.VideoCapture
    name: str  # for messages

    def __post_init__(self) -> None:
        check_size(self.capture, self.name)
        self.fps = sane_fps(self.capture.get(cv2.CAP_PROP_FPS), FASTEST)
        total = self.capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.total = int(total) if 0 < total < 1e9 else None
        self.count, self.end = 0, 0.0  # frames that were read, and when the last of them ends

    def __iter__(self) -> Iterator[tuple[np.ndarray, float]]:
        """(image uint8 RGB [height, width, 3], seconds since the first frame) of every frame.

        Times are the container's; where they do not rise, one frame's duration is added to the previous time.

        Raises:
            UserError: at the end, if no frame could be read.
        """
        frames = self._decoded()
        start = list(islice(frames, 2))
        if not start:
            raise UserError(
                f"{printable(self.name)}: no frame of this video can be decoded; convert it to H.264 in .mp4"
            )
        first = time = start[0][1] if math.isfinite(start[0][1]) else 0.0
        if self.fps and self.fps > FASTEST_LIVE and start[-1][1] - first > 2 / self.fps:
            self.fps = None
        step = 1 / (self.fps or USUAL_FPS)
        for self.count, (image, position) in enumerate(chain(start, frames), 1):
            if self.count > 1:
                time = position if math.isfinite(position) and position > time else time + step
            self.end = time - first + step
            yield cv2.cvtColor(image, cv2.COLOR_BGR2RGB), time - first

    def _decoded(self) -> Iterator[tuple[np.ndarray, float]]:
        """(image uint8 BGR, its position in seconds) of every frame, as OpenCV gives them."""
        while True:
            found, image = self.capture.read()
            if not found:
                return
            yield image, self.capture.get(cv2.CAP_PROP_POS_MSEC) / 1000


def open_video(path: str) -> Video:
    """The `Video` in the file `path`.

    Raises:
        UserError: no such file, no video, or its frames are too large.
    """
    capture = open_capture(path)
    if not capture.isOpened():
        if not os.path.exists(path):
            raise missing(path)
        raise UserError(
            f"{printable(path)}: not a readable video; it may be damaged or cut off: fetch or export it again"
        )
    return Video(capture, path)


def check_end(video: Video, name: str) -> None:
    """Raise `UserError` if the `video`, read to its end, gave clearly fewer frames than its header says, or is cut off.

    Clearly: more than 2 percent and 3 frames. One that ends before its time, too, breaks off. The number of frames is
    exact in .mp4, .mov and .avi; elsewhere OpenCV estimates it from the duration, which counts the sound too, so a
    second more is granted. An .mp4 that was trimmed without being encoded anew still counts the frames it hides; the
    duration of a file, not that of an address, tells.

    Args:
        name: path of the file, or address without its query.
    """
    if video.fps and video.total:
        _check_count(video, name, video.fps, video.total)
    if is_cut_off(name):
        raise UserError(
            f"{printable(name)}: breaks off after frame {video.count}; "
            "the frames before it were kept, fetch or export the video again for the rest"
        )


def _check_count(video: Video, name: str, fps: float, total: int) -> None:
    """`check_end` for what the numbers tell."""
    whole = total / fps
    duration = min(whole, mp4_duration(name) or math.inf)
    exact = os.path.splitext(name)[1].lower() in (".mp4", ".m4v", ".mov", ".avi")
    allowed = max(3 / fps, 0.02 * duration, 0.0 if exact else 1.0)
    if video.count >= total - max(3, 0.02 * total):
        return
    if video.end < duration - allowed:
        raise UserError(
            f"{printable(name)}: breaks off after frame {video.count} of {total}; "
            "the frames before it were kept, fetch or export the video again for the rest"
        )
    if exact and duration > whole - 2 / fps:
        raise UserError(
            f"{printable(name)}: {total - video.count} of its {total} frames cannot be decoded and were "
            "left out; fetch or export the video again for them"
        )
