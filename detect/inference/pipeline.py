"""The whole way of the command line: read, detect, draw, write, and tell how it goes."""

import os
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import NotRequired, Protocol, TypedDict

from detect.errors import UserError
from detect.files import printable
from detect.inference.output_names import OutputNames
from detect.inference.progress import ProgressSink, above_bars
from detect.inference.result import Result
from detect.inference.sinks import ImageSink, JsonSink, Sink, VideoSink, opened
from detect.inference.sources import Item, OnError, Source, find_items
from detect.inference.window import WindowClosed, WindowSink
from detect.interrupt import held


class Summary(TypedDict):
    """What `detect_files` tells at its end."""

    frames: int
    detections: int
    fps: float  # frames per second from file to file
    files: list[str]  # paths of the annotated images and videos
    json: str | None  # path; None without a frame
    errors: list[str]  # a sentence for each source that could not be read or written or broke off; the others were done
    counts: dict[str, int]  # detections by class name
    limited: int  # frames in which as many were found as the predictor shows at the most: there may be more
    dropped: NotRequired[int]  # with a live source: frames that came faster than they could be processed


class ItemPredictor(Protocol):
    """What `detect_files` asks of a `detect.inference.predictor.Predictor`."""

    @property
    def names(self) -> tuple[str, ...]: ...

    @property
    def max_detections(self) -> int: ...

    def predict_items(self, items: list[Item], on_error: OnError) -> Generator[Result, None, None]: ...


def detect_files(
    predictor: ItemPredictor,
    source: Source,
    out_folder: str | os.PathLike[str],
    save_json: bool = True,
    show_progress: bool = True,
    show: bool = False,
    verbose: bool = False,
    log: Callable[[str], object] = print,
    warn: Callable[[str], object] | None = None,
) -> Summary:
    """Detect in `source` and write annotated images, videos and `detections.json` to `out_folder`.

    Outputs of an earlier run there are replaced, other files are not: then a number is added to the name.

    Images get one line each with what was found; videos and live sources a progress bar that shows it, or a line
    every few seconds where the output is no terminal; `verbose` gives them a line for every frame.

    Args:
        source: see `sources.find_items`.
        show: also show each image in a window; the key q ends the run.
        log: called with each line.
        warn: called with each sentence on what could not be read or written, was left out, chosen or interrupted; `log`
            by default.

    Raises:
        UserError: there is nothing to read, or `detections.json` cannot be written.
        KeyboardInterrupt: Ctrl-C, or another signal that asks to stop; the files are finished.
    """
    say, tell = above_bars(log), above_bars(warn or log)
    tally = Tally(tell, predictor.max_detections)
    items = find_items(source, tally.note, tell)
    names = OutputNames(out_folder, _paths_of(items))
    json_path = names.json if save_json else None
    sinks: list[Sink] = [VideoSink(names, tell, tally.note), ImageSink(names, tally.note)]
    sinks += [JsonSink(json_path, predictor.names, names.ours)] if json_path else []
    sinks += [tally, ProgressSink(say, tell, sum(item.medium == "image" for item in items), show_progress, verbose)]
    sinks += [WindowSink()] if show else []
    start = time.perf_counter()
    with opened(sinks), closing(predictor.predict_items(items, tally.note)) as results:
        try:
            write_all(results, sinks)
        except KeyboardInterrupt:
            if tally.frames:
                tell(f"interrupted after {tally.frames} frames; their results are kept in {printable(names.folder)}")
            raise
    summary = tally.summary(names, json_path, predictor.names, time.perf_counter() - start)
    return summary | {"dropped": tally.dropped} if any(item.medium == "live" for item in items) else summary


def write_all(results: Iterable[Result], sinks: Sequence[Sink]) -> None:
    """Give each result to every sink, until there are no more or the window is closed; signals wait."""
    with suppress(WindowClosed):
        for result in results:
            with held():
                for sink in sinks:
                    sink.write(result)


class Tally:
    """A sink that counts frames, detections by class name and frames dropped by live sources, and notes the errors.

    Args:
        warn: called with each sentence on a source that could not be read or written.
        max_detections: that a frame may have at the most; those that reach it are counted.
    """

    def __init__(self, warn: Callable[[str], object], max_detections: int) -> None:
        self.frames = self.dropped = self.limited = 0
        self.counts: Counter[str] = Counter()
        self.errors: list[str] = []
        self._warn = warn
        self._max_detections = max_detections
        self._dropped_here = 0  # by the source of the last result

    def summary(self, names: OutputNames, json_path: Path | None, classes: Sequence[str], seconds: float) -> Summary:
        """All that was counted in `seconds`, and the files that were written."""
        return {
            "frames": self.frames,
            "detections": sum(self.counts.values()),
            "fps": self.frames / seconds if self.frames else 0.0,
            "files": [str(path) for path in names.taken],
            "json": str(json_path) if json_path and self.frames else None,
            "errors": self.errors,
            "counts": {name: self.counts[name] for name in classes if self.counts[name]},
            "limited": self.limited,
        }

    def note(self, error: UserError) -> None:
        self.errors.append(str(error))
        self._warn(f"error: {error}")

    def write(self, result: Result) -> None:
        before = self._dropped_here if result.frame.index else 0
        self._dropped_here = result.frame.dropped
        self.dropped += self._dropped_here - before
        self.frames += 1
        self.limited += len(result) >= self._max_detections
        self.counts.update(result.counts())


def _paths_of(items: Iterable[Item]) -> list[str | Path]:
    """The files among the sources."""
    return [item.value for item in items if item.medium != "live" and isinstance(item.value, (str, Path))]
