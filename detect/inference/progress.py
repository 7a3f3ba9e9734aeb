"""Tells the user how it goes: a line for each image, a bar or lines for videos and live sources."""

import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tqdm import tqdm

from detect.files import printable
from detect.inference.options import Options
from detect.inference.result import Result, describe
from detect.inference.sources import Frame, ended_by

ALL_DEFAULT = Options()
PLAIN_LINE_EVERY = 5.0  # seconds between two lines about a video where no bar can be drawn


def above_bars(log: Callable[[str], object]) -> Callable[[str], None]:
    """`log`, whose lines come to stand above the bars that are being drawn."""

    def say(line: str) -> None:
        with tqdm.external_write_mode():
            log(line)

    return say


@dataclass
class _Source:
    """A source that is being watched."""

    frame: Frame  # its last one
    bar: tqdm | None
    done: int = 0  # frames
    began: float = field(default_factory=time.perf_counter)
    last_line: float = field(default_factory=time.perf_counter)


class ProgressSink:
    """Tells what was found in each image, and how far a video is; use it in a `with` block, which ends the bars.

    Args:
        log: called with each line; see `above_bars`.
        warn: called with each note that comes with an image.
        images: how many the sources hold.
        options: `show_progress` tells how far videos and live sources are: a bar on stderr where that is a terminal,
            else a line every `PLAIN_LINE_EVERY` seconds; `verbose` gives a line for every frame of them.
    """

    def __init__(
        self,
        log: Callable[[str], object],
        warn: Callable[[str], object],
        images: int = 0,
        options: Options = ALL_DEFAULT,
    ) -> None:
        self._log = log
        self._warn = warn
        self._images = images
        self._options = options
        self._done = 0  # images
        self._sources: dict[int, _Source] = {}  # videos and live sources that are not at their end

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end(list(self._sources))

    def write(self, result: Result) -> None:
        frame = result.frame
        self._end(ended_by(frame, {item: source.frame for item, source in self._sources.items()}))
        if frame.note:
            self._warn(f"{printable(result.source)}: {frame.note}")
        if frame.medium == "image":
            self._tell_image(result)
            return
        if frame.index == 0:
            self._sources[frame.item] = _Source(frame, self._bar(frame))
        self._tell_frame(result, self._sources[frame.item])

    def _bar(self, frame: Frame) -> tqdm | None:
        if not self._options.show_progress or not sys.stderr.isatty():
            return None
        name = printable(frame.source if "://" in frame.source else Path(frame.source).name)
        return tqdm(total=frame.total, desc=name, unit="frame", dynamic_ncols=True, file=sys.stderr)

    def _end(self, items: Iterable[int]) -> None:
        sources = [self._sources.pop(item) for item in items]
        for source in sources:
            if source.bar is not None:
                source.bar.close()
        for source in sources:
            dropped = source.frame.dropped
            if dropped:
                came = f"{dropped} of {source.done + dropped} frames came"
                name = printable(source.frame.source)
                self._log(f"{name}: {came} faster than they could be processed and were dropped")

    def _tell_image(self, result: Result) -> None:
        self._done += 1
        height, width = result.image.shape[:2]
        place = f"[{self._done}/{self._images}] {printable(result.source)} {width}x{height}"
        self._log(f"{place}: {describe(result.counts())}")

    def _tell_frame(self, result: Result, source: _Source) -> None:
        frame, found = result.frame, ", ".join(filter(None, (describe(result.counts()), counted_in_words(result))))
        step = frame.index - source.frame.index or 1
        source.frame, source.done = frame, source.done + 1
        place = f"{printable(frame.source)} frame {frame.index + 1}" + (f" of {frame.total}" if frame.total else "")
        dropped = f"{frame.dropped} dropped" if frame.dropped else ""
        if self._options.verbose:
            self._log(f"{_listed(place, dropped)}: {found}")
        if source.bar is not None:
            source.bar.set_postfix_str(f"{dropped}: {found}" if dropped else found, refresh=False)
            source.bar.update(step)
            return
        now = time.perf_counter()
        if self._options.show_progress and not self._options.verbose and now - source.last_line > PLAIN_LINE_EVERY:
            source.last_line = now
            fps = source.done / (now - source.began)
            self._log(f"{_listed(place, f'{fps:.1f} fps', dropped)}: {found}")


def counted_in_words(result: Result) -> str:
    """What was counted with a result: `line 1: 3 in, 2 out, door: 4 inside`; nothing where nothing is."""
    if result.counted is None:
        return ""
    lines = [f"line {n}: {came} in, {went} out" for n, (came, went) in enumerate(result.counted.crossed, 1)]
    zones = zip(result.counted.zones or (), result.counted.inside, strict=True)
    return ", ".join([*lines, *(f"{printable(name)}: {inside} inside" for name, inside in zones)])


def _listed(*parts: str) -> str:
    """Those `parts` that are not empty, with commas."""
    return ", ".join(filter(None, parts))
