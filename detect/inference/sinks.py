"""Where results go, all of one shape: annotated images, annotated videos and one JSON file.

What tells the user how it goes (`progress`) and shows it in a window (`window`) has the same shape.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Protocol, Self, TextIO

from detect.errors import UserError
from detect.files import cannot_write, check_space, printable, replacing
from detect.inference.output_names import OutputNames
from detect.inference.result import Result
from detect.inference.sources import OnError, raise_error
from detect.inference.video_writer import VideoWriter
from detect.interrupt import held
from detect.ops.image import write_image

RESERVE = 256 << 10  # bytes of the disk that are left free to finish a JSON file


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
            return
        if video.left_out:
            self._log(
                f"{printable(video.path)}: {video.left_out} of {video.given} images came in bursts, "
                f"faster than the video's {video.fps:g} frames a second, and are not in it"
            )
        if video.shortened:
            self._log(f"{printable(video.path)}: gaps without an image were shortened by {video.shortened:.0f} s")


class JsonSink:
    """Writes all detections to one JSON file; use it in a `with` block.

    `{"frames": [...], "names": [...], "files": [...]}` with one `Result.to_dict()` a line. Frames go to disk as they
    come and the file takes its place when the block ends, however it ends. Without a frame there is no file.

    Args:
        path: of the file.
        names: of the K classes.
        files: called when the block ends for the names of the annotated images and videos beside it.
    """

    def __init__(
        self, path: str | os.PathLike[str], names: Iterable[str], files: Callable[[], list[str]] = list
    ) -> None:
        self.path = Path(path)
        self._files = files
        self.frames = 0
        self._class_names = list(names)
        self._stack = ExitStack()
        self._file: TextIO | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is None:
            return
        names, files = json.dumps(self._class_names), json.dumps(self._files())
        try:
            with self._stack:
                self._file.write(f'\n], "names": {names}, "files": {files}}}\n')
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def write(self, result: Result) -> None:
        try:
            check_space(self.path, RESERVE, f"{self.frames} frames")
            if self._file is None:
                self._file = self._open()
            self._file.write((",\n" if self.frames else '{"frames": [\n') + result.to_json())
        except OSError as error:
            raise cannot_write(self.path, error) from error
        self.frames += 1

    def _open(self) -> TextIO:
        temporary = self._stack.enter_context(replacing(self.path))
        return self._stack.enter_context(open(temporary, "w", encoding="ascii"))
