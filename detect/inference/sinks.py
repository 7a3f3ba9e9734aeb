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
from typing import Protocol, Self

from detect.files import cannot_write, printable, replacing, shortened
from detect.inference.result import Result
from detect.inference.video_writer import VideoWriter
from detect.ops.image import WRITE_FORMATS, write_image


class Sink(Protocol):
    """Takes results one after the other. One that has something to finish is used in a `with` block."""

    def write(self, result: Result) -> None:
        """Take one more result.  Raises UserError: it cannot be written."""


@contextmanager
def opened(sinks: Sequence[Sink]) -> Iterator[None]:
    """A `with` block for all `sinks`: those that have something to finish do so at its end, the last one first."""
    with ExitStack() as stack:
        for sink in sinks:
            if isinstance(sink, AbstractContextManager):
                stack.enter_context(sink)
        yield


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
            rest = f"{f'-{number}' if number > 1 else ''}{suffix}"
            path = self.folder / (shortened(stem, rest) + rest)
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
    """

    def __init__(self, names: OutputNames) -> None:
        self._names = names

    def write(self, result: Result) -> None:
        if result.frame.medium == "image":
            write_image(self._names.take(result.source), result.annotated)


class VideoSink:
    """Writes an annotated .mp4 for each video and live source; images pass it by. Use it in a `with` block.

    A video is finished when the next source begins or the block ends, however it ends: `video_writer.VideoWriter`.

    Args:
        names: what the files are called.
        log: called with a sentence for each video that lacks some of its images.
    """

    def __init__(self, names: OutputNames, log: Callable[[str], object]) -> None:
        self._names = names
        self._log = log
        self._video: VideoWriter | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._finish()

    def write(self, result: Result) -> None:
        frame = result.frame
        if frame.index == 0:
            self._finish()
        if frame.medium == "image":
            return
        if self._video is None:
            self._video = VideoWriter(self._names.take(frame.source, ".mp4"), frame.fps)
        self._video.write(result.annotated, frame.time)

    def _finish(self) -> None:
        if self._video is None:
            return
        video, self._video = self._video, None
        video.close()
        if video.left_out:
            self._log(
                f"{printable(video.path)}: {video.left_out} of {video.given} images came in bursts, "
                f"faster than the video's {video.fps:g} frames a second, and are not in it"
            )


class JsonSink:
    """Writes all detections to one JSON file; use it in a `with` block.

    `{"frames": [...], "names": [...]}` with one `Result.to_dict()` a line. Frames go to disk as they come and the file
    takes its place when the block ends, however it ends.

    Args:
        path: of the file.
        names: of the K classes.
    """

    def __init__(self, path: str | os.PathLike[str], names: Iterable[str]) -> None:
        self.path = Path(path)
        self._class_names = list(names)
        self._stack = ExitStack()
        self._frames = 0

    def __enter__(self) -> Self:
        try:
            temporary = self._stack.enter_context(replacing(self.path))
            self._file = self._stack.enter_context(open(temporary, "w", encoding="ascii"))
            self._file.write('{"frames": [')
        except OSError as error:
            raise cannot_write(self.path, error) from error
        return self

    def __exit__(self, *_: object) -> None:
        try:
            with self._stack:
                self._file.write(f'\n], "names": {json.dumps(self._class_names)}}}\n')
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def write(self, result: Result) -> None:
        try:
            self._file.write((",\n" if self._frames else "\n") + result.to_json())
        except OSError as error:
            raise cannot_write(self.path, error) from error
        self._frames += 1


def _identity(path: str | os.PathLike[str]) -> tuple[int, int] | None:
    """What tells whether two paths are the same file, or None if there is none."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino
