"""Who writes the frames of a video: H.264, which browsers play, where it is to be had, else MPEG-4 part 2."""

import os
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import cv2
import numpy as np

from detect.inference.video import video_backend

NO_H264 = (
    "note: nothing here writes H.264, so videos are in MPEG-4 part 2, which browsers do not play; "
    "pip install 'csp-detect[h264]' brings it"
)
QUALITY: dict[str, Any] = {"preset": "superfast", "crf": "23"}  # of x264


class Encoder(Protocol):
    """Writes the frames of one file. What fails is not told: whether all frames are in the file shows in the file."""

    def write(self, image: np.ndarray) -> object:
        """Add a frame, uint8 BGR [height, width, 3]."""

    def release(self) -> object:
        """Finish the file."""


Opener = Callable[[str, float, tuple[int, int]], Encoder | None]  # path, fps, (width, height): None, it cannot


def open_encoder(path: str | os.PathLike[str], fps: float, size: tuple[int, int]) -> Encoder | None:
    """The encoder of a new .mp4 of (width, height) px, both even; None where the file cannot be written."""
    for opener in (h264(), with_opencv("mp4v")):
        encoder = opener(str(path), fps, size) if opener else None
        if encoder is not None:
            return encoder
    return None


@cache
def h264() -> Opener | None:
    """Who writes H.264 here, tried once: OpenCV's FFmpeg, or the library PyAV; None where nobody does."""
    for opener in (with_opencv("avc1"), with_av):
        with TemporaryDirectory() as folder, suppress(Exception):  # whatever a library lacks
            encoder = opener(str(Path(folder, "try.mp4")), 25.0, (64, 64))
            if encoder is not None:
                encoder.write(np.zeros((64, 64, 3), np.uint8))
                encoder.release()
                return opener
    return None


def with_opencv(code: str) -> Opener:
    """OpenCV's writer for a codec's four letters."""

    def open_it(path: str, fps: float, size: tuple[int, int]) -> Encoder | None:
        file = cv2.VideoWriter(path, video_backend(), cv2.VideoWriter.fourcc(*code), fps, size)
        return file if file.isOpened() else None

    return open_it


def with_av(path: str, fps: float, size: tuple[int, int]) -> Encoder | None:
    """PyAV's, if that is installed; its wheels hold x264."""
    return _AvEncoder(path, fps, size) if find_spec("av") else None


class _AvEncoder:
    def __init__(self, path: str, fps: float, size: tuple[int, int]) -> None:
        import av

        self._from_array = av.VideoFrame.from_ndarray
        self._file: Any = av.open(path, "w")
        self._stream: Any = self._file.add_stream("libx264", rate=Fraction(fps).limit_denominator(65_535))
        self._stream.width, self._stream.height = size
        self._stream.pix_fmt = "yuv420p"
        self._stream.options = QUALITY
        self._broken = False

    def write(self, image: np.ndarray) -> None:
        self._mux(self._from_array(image, format="bgr24"))

    def release(self) -> None:
        self._mux(None)
        with suppress(Exception):  # told by the file
            self._file.close()

    def _mux(self, frame: Any) -> None:
        """Encode a frame, or the last ones; after an error nothing more is tried."""
        if self._broken:
            return
        try:
            self._file.mux(self._stream.encode(frame))
        except Exception:  # told by the file
            self._broken = True
