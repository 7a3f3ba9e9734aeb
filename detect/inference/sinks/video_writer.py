"""One video file, whole and playable or not there, that keeps the time of its images."""

import os
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import cv2
import numpy as np

from detect.errors import UserError
from detect.files import cannot_write, check_space, printable, replacing
from detect.inference.sinks.encoders import Encoder, open_encoder
from detect.inference.video import FASTEST, FASTEST_LIVE, USUAL_FPS, native, open_capture, sane_fps

LARGEST = 8190  # px: the widest and tallest image of MPEG-4 part 2
LONGEST_GAP = 60.0  # seconds of a video that one image may fill; a stranger's file could ask for years
RESERVE = 4 << 20  # bytes of the disk that are left free: to finish the file, and for others that write
INDEX_ENTRY = 32  # bytes that a frame takes in the index at the end of the file, at the most
LATEST = 0.5  # seconds an image may be shown late where the source sends them in bursts


class VideoWriter:
    """Writes images to one video, .mp4 (H.264 where `encoders` has it), without sound; use it in a `with` block.

    Each image is shown at its own time: a gap is filled by the image before it, so that a source of varying frame
    rate never plays too fast. Images that come in a burst are shown late, by `LATEST` at the most, or else left out
    (`left_out` of the `given` ones). Gaps of more than `LONGEST_GAP` are cut (by `shortened` seconds in all).

    The file takes its place when the block ends, however it ends, if it is whole and playable; one that is not replaces
    nothing. On a disk that fills up the video ends while there is room to finish it.

    Args:
        path: of the video.
        fps: of the source, or None.
    """

    def __init__(self, path: str | os.PathLike[str], fps: float | None = None) -> None:
        self.path = Path(path)
        self.fps = _writable(sane_fps(fps or 0, FASTEST) or USUAL_FPS)
        self.given = self.left_out = 0  # images
        self.shortened = 0.0  # seconds cut out of gaps
        self.written = 0  # frames of the file, those that fill gaps too; 0 again if it could not be kept
        self._file: Encoder | None = None
        self._last: np.ndarray  # BGR, as in the file
        self._stack = ExitStack()
        self._start = 0.0  # time of the first image, seconds

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, image: np.ndarray, time: float | None = None) -> None:
        """Show `image` uint8 RGB [h, w, 3] from `time` on, in seconds; without a time, right after the one before.

        Raises:
            UserError: the file cannot be written, or not go on; `close` finishes what was written.
        """
        check_space(self.path, RESERVE + self.written * INDEX_ENTRY, f"{self.written} frames")
        if self._file is None:
            self._file = self._open(image)
            self._start = time or 0.0
        self.given += 1
        slot = self.written if time is None else round((time - self._start - self.shortened) * self.fps)
        if slot < self.written - LATEST * self.fps:
            self.left_out += 1
            return
        gap = slot - self.written
        longest = round(LONGEST_GAP * min(self.fps, FASTEST_LIVE))
        if gap > longest:
            self.shortened += (gap - longest) / self.fps
            gap = longest
        for _ in range(gap):
            self._file.write(self._last)
        self._last = _fitted(image, *self._size)
        self._file.write(self._last)
        self.written += max(gap, 0) + 1

    def close(self) -> None:
        """Finish the file. Raises UserError if not all frames reached it (OpenCV does not tell while it writes)."""
        file, self._file = self._file, None
        with self._stack:  # an error leaves what has the file's name as it is
            if file is None:
                return
            file.release()
            found = _playable_frames(self._temporary)
            if found < self.written:
                written, self.written = self.written, 0
                raise UserError(
                    f"{printable(self.path)}: only {found} of {written} frames could be written, the video is not kept"
                    "; check the free space"
                )

    def _open(self, image: np.ndarray) -> Encoder:
        """The encoder of a new file in which `image` has room."""
        height, width = image.shape[:2]
        shrink = min(LARGEST / max(height, width), 1)
        self._size = _even(width * shrink), _even(height * shrink)
        native(str(self.path))
        try:
            self._temporary = self._stack.enter_context(replacing(self.path))
        except OSError as error:
            raise cannot_write(self.path, error) from error
        file = open_encoder(self._temporary, self.fps, self._size)
        if file is None:
            width, height = self._size
            with self._stack:
                raise UserError(
                    f"{printable(self.path)}: OpenCV cannot write a video of {width}x{height} px and {self.fps:g} "
                    "frames/s; check the free space, and that opencv-python is installed"
                )
        return file


def _writable(fps: float) -> float:
    """The nearest rate that OpenCV can write: a decimal fraction, both parts of which MPEG-4 wants below 65,536."""
    return next(round(fps, places) for places in (3, 2, 1, 0) if round(fps * 10**places) <= FASTEST)


def _even(side: float) -> int:
    """The side of a video in px: whole and even, as MPEG-4 wants."""
    return max(round(side), 1) + 1 & ~1


def _fitted(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """RGB image of any size -> BGR image of the video's size, its shape kept, centred on black."""
    ratio = min(width / image.shape[1], height / image.shape[0])
    if (_even(image.shape[1]), _even(image.shape[0])) == (width, height):
        ratio = 1.0  # at most an odd side, which gains one px
    inner = max(round(image.shape[1] * ratio), 1), max(round(image.shape[0] * ratio), 1)
    if inner != (image.shape[1], image.shape[0]):
        image = cv2.resize(image, inner, interpolation=cv2.INTER_AREA if ratio < 1 else cv2.INTER_LINEAR)
    fitted = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    right, below = width - inner[0], height - inner[1]
    if not right and not below:
        return fitted
    edge = cv2.BORDER_REPLICATE if max(right, below) == 1 else cv2.BORDER_CONSTANT
    return cv2.copyMakeBorder(fitted, below // 2, below - below // 2, right // 2, right - right // 2, edge)


def _playable_frames(path: str | os.PathLike[str]) -> int:
    """Number of frames that a video file holds; 0 if it cannot be opened or its last one cannot be decoded."""
    capture = open_capture(str(path))
    try:
        count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0
        capture.set(cv2.CAP_PROP_POS_FRAMES, count - 1)
        return count if count and capture.read()[0] else 0
    finally:
        capture.release()
