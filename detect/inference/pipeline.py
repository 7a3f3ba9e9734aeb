"""The whole way of the command line: read, detect, follow and count, draw, write, and tell how it goes.

Each is a stage in a thread of its own (`ahead`), so that they overlap; writing is in the caller's, where signals come.
Every frame of a file goes through them in order; live sources give their newest one whenever the detector is free.
"""

import os
import threading
import time
from collections.abc import Callable, Collection, Generator, Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from detect.errors import UserError
from detect.files import printable
from detect.inference.ahead import Ahead
from detect.inference.annotate import Annotator
from detect.inference.counting import Counter
from detect.inference.monitor import Monitor
from detect.inference.options import USUAL, USUAL_LIVE, Options
from detect.inference.progress import ProgressSink, above_bars
from detect.inference.reading import read_frames
from detect.inference.result import Result
from detect.inference.sinks.output_names import OutputNames
from detect.inference.sinks.outputs import Wanted, sinks_of
from detect.inference.sinks.sink import Sink, opened
from detect.inference.sources import Frame, Item, Source, find_items
from detect.inference.tally import Summary, Tally, in_words
from detect.inference.tracks import Tracker, load_tracker
from detect.inference.window import WindowClosed, WindowSink
from detect.interrupt import held

DEPTH = 2  # frames of files that wait between two stages
ALL_DEFAULT = Options()


class FramePredictor(Protocol):
    """What `detect_files` asks of a `detect.inference.predictor.Predictor`."""

    @property
    def names(self) -> tuple[str, ...]: ...

    @property
    def lowest_score(self) -> float: ...

    @property
    def max_detections(self) -> int: ...

    def predict_frames(
        self, frames: Iterable[Frame], on_error: Callable[[UserError], object]
    ) -> Generator[Result, None, None]: ...


def detect_files(
    predictor: FramePredictor,
    source: Source,
    out_folder: str | os.PathLike[str],
    options: Options = ALL_DEFAULT,
    log: Callable[[str], object] = print,
    warn: Callable[[str], object] | None = None,
) -> Summary:
    """Detect in `source` and write what `options` ask for to `out_folder`.

    Outputs of an earlier run that `detections.json` there lists are replaced, other files are not: then a number is
    added to the name.

    Images get one line each with what was found; videos and live sources a progress bar that shows it, or a line
    every few seconds where the output is no terminal; `verbose` gives them a line for every frame.

    Args:
        source: see `sources.find_items`.
        log: called with each line.
        warn: called with each sentence on what could not be read or written, was left out, chosen or interrupted, and
            on a live source that is lost or back; `log` by default. It may be called from a thread beside the caller's.

    Raises:
        UserError: there is nothing to read, a class is unknown, JSON or the video of a live source cannot be written.
        ImportError: things are to be followed, and the library for it is not installed.
        KeyboardInterrupt: Ctrl-C, or another signal that asks to stop; the files are finished.
    """
    say, tell = above_bars(log), above_bars(warn or log)
    tally, monitor = Tally(tell), Monitor()
    chosen = options.chosen(predictor.names)
    items = find_items(source, tally.note, tell)
    is_live = any(item.medium == "live" for item in items)
    outputs = tuple(options.outputs if options.outputs is not None else USUAL_LIVE if is_live else USUAL)
    names = OutputNames(out_folder, _paths_of(items))
    moving = any(item.medium != "image" for item in items)
    sinks = sinks_of(outputs, Wanted(options, names, predictor.names, moving, tell, tally.note))
    sinks += [tally, ProgressSink(say, tell, sum(item.medium == "image" for item in items), options)]
    sinks += [WindowSink()] if options.show else []
    follower, stop = Follower(options, chosen, predictor), threading.Event()
    annotate = Annotator(options.resize_output, monitor.pace) if "annotated" in outputs or options.show else None

    def detected() -> Generator[Result, None, None]:
        frames = read_frames(items, tally.note, tell, options.watching, stop)
        with closing(frames), closing(predictor.predict_frames(frames, tally.note)) as results:
            yield from map(follower.follow, results)

    start = time.perf_counter()
    with opened(sinks), closing(_staged(detected(), annotate, is_live)) as results:
        try:
            write_all(results, [*sinks, monitor])
        except KeyboardInterrupt:
            if tally.frames:
                kept = f"; their results are kept in {printable(names.folder)}" if outputs else ""
                tell(f"interrupted after {tally.frames} frames{in_words(monitor.latencies())}{kept}")
            raise
        finally:
            stop.set()
    json = names.json if "json" in outputs else None
    tally.limited = follower.limited
    summary = tally.summary(names, json, predictor.names, time.perf_counter() - start)
    return summary | tally.live_summary(monitor) if is_live else summary


def _staged(results: Iterable[Result], annotate: Callable[[Result], Result] | None, is_live: bool) -> Ahead[Result]:
    """The results as other threads make them; of live sources as few as can be wait, as they grow old."""
    if is_live:
        return Ahead(results, 1, annotate)
    found: Ahead[Result] = Ahead(results, DEPTH)
    return Ahead(found, DEPTH, annotate) if annotate else found


def write_all(results: Iterable[Result], sinks: Sequence[Sink]) -> None:
    """Give each result to every sink, until there are no more or the window is closed; signals wait."""
    with suppress(WindowClosed):
        for result in results:
            with held():
                for sink in sinks:
                    sink.write(result)


class Follower:
    """Leaves out what is not looked for, follows the rest and counts it, in each source for itself.

    Attributes:
        limited: frames in which as many were found as the predictor shows at the most.
    """

    def __init__(self, options: Options, classes: Collection[str] | None, predictor: FramePredictor) -> None:
        self.limited = 0
        self._options = options
        self._classes = classes
        self._predictor = predictor
        self._sources: dict[int, tuple[Tracker | None, Counter]] = {}
        if self._tracks:
            load_tracker()  # what is missing shows before anything is read

    def follow(self, result: Result) -> Result:
        """The result with what is left of it, its tracks and counts."""
        self.limited += len(result) >= self._predictor.max_detections
        if self._classes is not None:
            result = result.filter(self._classes)
        if not self._tracks and not self._options.zones:
            return result
        frame = result.frame
        if frame.index == 0:
            if frame.medium != "live":
                self._sources.clear()
            tracker = (
                Tracker(self._predictor.lowest_score, frame.fps) if self._tracks and frame.medium != "image" else None
            )
            self._sources[frame.item] = tracker, Counter(self._options.lines, self._options.zones)
        tracker, counter = self._sources[frame.item]
        if tracker:
            result = tracker.follow(result)
        counted = counter.count(result.boxes, result.tracks, frame.time or 0.0)
        return replace(result, counted=counted)

    @property
    def _tracks(self) -> bool:
        return self._options.track or bool(self._options.lines)


def _paths_of(items: Iterable[Item]) -> list[str | Path]:
    """The files among the sources."""
    return [item.value for item in items if item.medium != "live" and isinstance(item.value, (str, Path))]
