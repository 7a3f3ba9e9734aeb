"""Where results go: annotated images, annotated videos and one JSON file, each whole and playable or not there."""

import itertools
import json
import os
import re
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import cv2

from detect.errors import UserError
from detect.files import cannot_write, printable, replacing
from detect.inference.video import USUAL_FPS, open_capture, sane_fps, video_backend
from detect.ops.image import WRITE_FORMATS, write_image

LARGEST = 8190  # px: the widest and tallest image of MPEG-4 part 2
LONGEST_GAP = 60.0  # seconds of a video that one image may fill; a stranger's file could ask for years
LATEST = 0.5  # seconds an image may be shown late where the source sends them in bursts


class OutputNames:
    """Names for output files in one folder: never that of another output, and never a source.

    Args:
        folder: where the outputs go; made if it is not there.
        sources: paths that no output may replace.
    """

    def __init__(self, folder, sources=()):
        self.folder = Path(folder)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(folder, error) from error
        self._taken, self._uses = set(), Counter()
        self._sources = {identity for identity in map(_identity, sources) if identity}

    def take(self, source, suffix=None):
        """A free path named after `source` (a path, an address or a word), with `suffix` or else the source's own."""
        if "://" in source:
            stem, own = re.sub(r"[^A-Za-z0-9.-]+", "_", source.partition("://")[2]).strip("._")[:100] or "stream", ""
        else:
            stem, own = Path(source).stem, Path(source).suffix.lower()
        suffix = suffix or (own if own in WRITE_FORMATS else ".png")
        for number in itertools.count(self._uses[stem + suffix] + 1):
            path = self.folder / f"{stem}{f'-{number}' if number > 1 else ''}{suffix}"
            # some file systems know no case
            if path.name.lower() not in self._taken and _identity(path) not in self._sources:
                self._uses[stem + suffix] = number
                self._taken.add(path.name.lower())
                return path


class ImageSink:
    """Writes annotated images into the folder of `names`, in the source's format, or as .png where that is rare."""

    def __init__(self, names):
        self._names = names

    def write(self, source, image):
        """Write `image` uint8 RGB [h, w, 3] under the name of its `source`; returns the path."""
        path = self._names.take(source)
        write_image(path, image)
        return path


class VideoSink:
    """Writes one annotated video, .mp4 (MPEG-4 part 2), without sound; use it in a `with` block.

    Each image is shown at its own time: a gap is filled by the image before it, so that a source of varying frame
    rate never plays too fast. Images that come in a burst are shown late, by `LATEST` at the most, or else left out
    (`left_out`). The file takes its place when the block ends, however it ends, and is playable then.

    Args:
        path: of the video.
        fps: of the source, or None.
    """

    def __init__(self, path, fps=None):
        self.path = Path(path)
        self.fps = round(sane_fps(fps or 0) or USUAL_FPS, 3)
        self.written = self.left_out = 0  # frames of the output, images not in it
        self._writer = None
        self._stack = ExitStack()
        self._size = self._last = None
        self._delay = 0.0  # seconds cut out of gaps

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def write(self, image, time=None):
        """Show `image` uint8 RGB [h, w, 3] from `time` on, in seconds; without a time, right after the one before."""
        if self._writer is None:
            self._open(image)
            self._start = time or 0.0
        slot = self.written if time is None else round((time - self._start - self._delay) * self.fps)
        if slot < self.written - LATEST * self.fps:
            self.left_out += 1
            return
        gap = slot - self.written
        if gap > LONGEST_GAP * self.fps:
            kept = round(LONGEST_GAP * self.fps)
            self._delay += (gap - kept) / self.fps
            gap = kept
        for _ in range(gap):
            self._writer.write(self._last)
        self._last = self._fitted(image)
        self._writer.write(self._last)
        self.written += max(gap, 0) + 1

    def close(self):
        """Finish the file. Raises UserError if not all frames reached it (OpenCV does not tell while it writes)."""
        if self._writer is None:
            return
        writer, self._writer = self._writer, None
        writer.release()
        found = _frames_in(self._temporary)
        self._stack.close()
        if found < self.written:
            raise UserError(
                f"{printable(self.path)}: only {found} of {self.written} frames could be written; check the free space"
            )

    def _open(self, image):
        height, width = image.shape[:2]
        shrink = min(LARGEST / max(height, width), 1)
        self._size = tuple(max(round(side * shrink), 1) + 1 & ~1 for side in (width, height))  # even, as MPEG-4 wants
        try:
            self._temporary = self._stack.enter_context(replacing(self.path))
        except OSError as error:
            raise cannot_write(self.path, error) from error
        fourcc = cv2.VideoWriter_fourcc(*"mp4v")
        self._writer = cv2.VideoWriter(str(self._temporary), video_backend(), fourcc, self.fps, self._size)
        if not self._writer.isOpened():
            self._writer = None
            with self._stack:
                raise UserError(f"{printable(self.path)}: this OpenCV cannot write .mp4 videos; install opencv-python")

    def _fitted(self, image):
        """RGB image of any size -> BGR image of the video's size, its shape kept, centred on black."""
        width, height = self._size
        ratio = min(width / image.shape[1], height / image.shape[0])
        if image.shape[1] + 1 & ~1 == width and image.shape[0] + 1 & ~1 == height:
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


class JsonSink:
    """Writes all detections to one JSON file; use it in a `with` block.

    `{"frames": [{"source", "frame", "time", "width", "height", "detections": [{"box", "score", "label", "name"}]}],
    "names": [...]}`; boxes are [left, top, right, bottom] in image px, times in seconds. Frames go to disk as they come
    and the file takes its place when the block ends, however it ends.
    """

    def __init__(self, path, names):
        self.path = Path(path)
        self._class_names = list(names)
        self._stack = ExitStack()
        self._frames = 0

    def __enter__(self):
        try:
            temporary = self._stack.enter_context(replacing(self.path))
            self._file = self._stack.enter_context(open(temporary, "w", encoding="ascii"))
            self._file.write('{"frames": [')
        except OSError as error:
            raise cannot_write(self.path, error) from error
        return self

    def __exit__(self, *_):
        try:
            with self._stack:
                self._file.write(f'\n], "names": {json.dumps(self._class_names)}}}\n')
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def write(self, result):
        """Add one `Result`."""
        try:
            self._file.write((",\n" if self._frames else "\n") + result.to_json())
        except OSError as error:
            raise cannot_write(self.path, error) from error
        self._frames += 1


def _identity(path):
    """What tells whether two paths are the same file, or None if there is none."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def _frames_in(path):
    """Number of frames that a video file says it holds, 0 if it cannot be opened."""
    capture = open_capture(str(path))
    try:
        return int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0
    finally:
        capture.release()
