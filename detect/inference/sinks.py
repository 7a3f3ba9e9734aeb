"""Where results go, all of one shape: annotated images, annotated videos and one JSON file.

What tells the user how it goes (`progress`) and shows it in a window (`window`) has the same shape.
"""

import itertools
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Protocol, Self, TextIO

from detect.errors import UserError
from detect.files import cannot_write, printable, replacing
from detect.inference.result import Result
from detect.inference.sources import OnError, raise_error
from detect.inference.video_writer import VideoWriter
from detect.interrupt import held
from detect.ops.image import WRITE_FORMATS, write_image


class Sink(Protocol):
    """Takes results one after the other. One that has something to finish is used in a `with` block."""

    def write(self, result: Result) -> None:
        """Take one more result.  Raises UserError: it cannot be written."""


@contextmanager
def opened(sinks: Sequence[Sink]) -> Iterator[None]:
    """A `with` block for all `sinks`: those that have something to finish do so at its end, the last one first."""
    stack = ExitStack()
    try:
        for sink in sinks:
            if isinstance(sink, AbstractContextManager):
                stack.enter_context(sink)
        yield
    finally:
        with held():
            stack.close()


class OutputNames:
    """Names for output files in one folder: never that of another output, and never a source.

    Args:
        folder: where the outputs go; made if it is not there.
        sources: paths that no output may replace.
    """

    def __init__(self, folder: str | os.PathLike[str], sources: Iterable[str | os.PathLike[str]] = ()) -> None:
        self.folder = Path(folder)
        self.taken: list[Path] = []  # in the order they were asked for
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(folder, error) from error
        self._lower_case: set[str] = set()  # the names taken; some file systems know no case
        self._uses: Counter[str] = Counter()
        self._sources = {identity for identity in map(_identity, sources) if identity}

    def take(self, source: str, suffix: str | None = None) -> Path:
        """A free path named after `source` (a path, an address or a word), with `suffix` or else the source's own."""
        if "://" in source:
            stem, own = re.sub(r"[^A-Za-z0-9.-]+", "_", source.partition("://")[2]).strip("._")[:100] or "stream", ""
        else:
            stem, own = Path(source).stem, Path(source).suffix.lower()
        suffix = suffix or (own if own in WRITE_FORMATS else ".png")
        for number in itertools.count(self._uses[stem + suffix] + 1):
            path = self.folder / f"{stem}{f'-{number}' if number > 1 else ''}{suffix}"
            if path.name.lower() not in self._lower_case and _identity(path) not in self._sources:
                break
        self._uses[stem + suffix] = number
        self._lower_case.add(path.name.lower())
        self.taken.append(path)
        return path


class ImageSink:
    """Writes each annotated image in the format of its source, or as .png where that is rare; videos pass it by.

    Args:
        names: what the files are called.
        on_error: called with the `UserError` of an image that cannot be written; the others go on.
    """

    def __init__(self, names: OutputNames, on_error: OnError = raise_error) -> None:
        self._names = names
        self._on_error = on_error

    def write(self, result: Result) -> None:
        if result.frame.medium != "image":
            return
        path = self._names.take(result.source)
        try:
            write_image(path, result.annotated)
        except UserError as error:
            self._names.taken.remove(path)
            self._on_error(error)


class VideoSink:
    """Writes an annotated .mp4 for each video and live source; images pass it by. Use it in a `with` block.

    A video is finished when the next source begins or the block ends, however it ends: `video_writer.VideoWriter`.

    Args:
        names: what the files are called.
        log: called with a sentence for each video that lacks some of its images.
        on_error: called with the `UserError` of a video that cannot be written; the others go on.
    """

    def __init__(self, names: OutputNames, log: Callable[[str], object], on_error: OnError = raise_error) -> None:
        self._names = names
        self._log = log
        self._on_error = on_error
        self._video: VideoWriter | None = None  # of this source, if it can be written

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._finish()

    def write(self, result: Result) -> None:
        frame = result.frame
        if frame.index == 0:
            self._finish()
            if frame.medium != "image":
                self._video = VideoWriter(self._names.take(frame.source, ".mp4"), frame.fps)
        if self._video is None:
            return
        try:
            self._video.write(result.annotated, frame.time)
        except UserError as error:
            self._on_error(error)
            self._finish()

    def _finish(self) -> None:
        """Finish the video of this source, if there is one; it gets no more images."""
        video, self._video = self._video, None
        if video is None:
            return
        try:
            video.close()
        except UserError as error:
            self._on_error(error)
        if not video.written:
            self._names.taken.remove(video.path)
        elif video.left_out:
            self._log(
                f"{printable(video.path)}: {video.left_out} of {video.given} images came in bursts, "
                f"faster than the video's {video.fps:g} frames a second, and are not in it"
            )


class JsonSink:
    """Writes all detections to one JSON file; use it in a `with` block.

    `{"frames": [...], "names": [...]}` with one `Result.to_dict()` a line. Frames go to disk as they come and the file
    takes its place when the block ends, however it ends. Without a frame there is no file.

    Args:
        path: of the file.
        names: of the K classes.
    """

    def __init__(self, path: str | os.PathLike[str], names: Iterable[str]) -> None:
        self.path = Path(path)
        self.frames = 0
        self._class_names = list(names)
        self._stack = ExitStack()
        self._file: TextIO | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is None:
            return
        try:
            with self._stack:
                self._file.write(f'\n], "names": {json.dumps(self._class_names)}}}\n')
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def write(self, result: Result) -> None:
        try:
            if self._file is None:
                self._file = self._open()
            self._file.write((",\n" if self.frames else '{"frames": [\n') + result.to_json())
        except OSError as error:
            raise cannot_write(self.path, error) from error
        self.frames += 1

    def _open(self) -> TextIO:
        temporary = self._stack.enter_context(replacing(self.path))
        return self._stack.enter_context(open(temporary, "w", encoding="ascii"))


def _identity(path: str | os.PathLike[str]) -> tuple[int, int] | None:
    """What tells whether two paths are the same file, or None if there is none."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino
