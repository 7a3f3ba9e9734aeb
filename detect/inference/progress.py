"""Tells the user how it goes: a line for each image, a bar or lines for videos and live sources."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from tqdm import tqdm

from detect.files import printable
from detect.inference.result import Result, describe
from detect.inference.sources import Frame

PLAIN_LINE_EVERY = 5.0  # seconds between two lines about a video where no bar can be drawn


def above_bars(log: Callable[[str], object]) -> Callable[[str], None]:
    """`log`, whose lines come to stand above the bars that are being drawn."""

    def say(line: str) -> None:
        with tqdm.external_write_mode():
            log(line)

    return say


class ProgressSink:
    """Tells what was found in each image, and how far a video is; use it in a `with` block, which ends the bar.

    Args:
        log: called with each line; see `above_bars`.
        warn: called with each note that comes with an image.
        images: how many the sources hold.
        moving: tell how far videos and live sources are: a bar on stderr where that is a terminal, else a line every
            `PLAIN_LINE_EVERY` seconds.
        verbose: a line for every frame of them.
    """

    def __init__(
        self,
        log: Callable[[str], object],
        warn: Callable[[str], object],
        images: int = 0,
        moving: bool = True,
        verbose: bool = False,
    ) -> None:
        self._log = log
        self._warn = warn
        self._images = images
        self._moving = moving
        self._verbose = verbose
        self._done = 0  # images
        self._bar: tqdm | None = None
        self._frame: Frame | None = None  # the last one of the source
        self._began = self._last_line = 0.0  # time.perf_counter()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end_source()

    def write(self, result: Result) -> None:
        if result.frame.index == 0:
            self._end_source()
            self._begin_source(result.frame)
        self._frame = result.frame
        if result.frame.note:
            self._warn(f"{printable(result.source)}: {result.frame.note}")
        if result.frame.medium == "image":
            self._tell_image(result)
        else:
            self._tell_frame(result)

    def _begin_source(self, frame: Frame) -> None:
        self._began = self._last_line = time.perf_counter()
        if frame.medium != "image" and self._moving and sys.stderr.isatty():
            name = printable(Path(frame.source).name)
            self._bar = tqdm(total=frame.total, desc=name, unit="frame", dynamic_ncols=True, file=sys.stderr)

    def _end_source(self) -> None:
        if self._bar is not None:
            bar, self._bar = self._bar, None
            bar.close()
        frame, self._frame = self._frame, None
        if frame is not None and frame.dropped:
            came = f"{frame.dropped} of {frame.index + 1 + frame.dropped} frames came"
            self._log(f"{printable(frame.source)}: {came} faster than they could be processed and were dropped")

    def _tell_image(self, result: Result) -> None:
        self._done += 1
        height, width = result.image.shape[:2]
        place = f"[{self._done}/{self._images}] {printable(result.source)} {width}x{height}"
        self._log(f"{place}: {describe(result.counts())}")

    def _tell_frame(self, result: Result) -> None:
        frame, found = result.frame, describe(result.counts())
        place = f"{printable(frame.source)} frame {frame.index + 1}" + (f" of {frame.total}" if frame.total else "")
        dropped = f"{frame.dropped} dropped" if frame.dropped else ""
        if self._verbose:
            self._log(f"{_listed(place, dropped)}: {found}")
        if self._bar is not None:
            self._bar.set_postfix_str(f"{dropped}: {found}" if dropped else found, refresh=False)
            self._bar.update()
        elif self._moving and not self._verbose and time.perf_counter() - self._last_line > PLAIN_LINE_EVERY:
            self._last_line = time.perf_counter()
            fps = (frame.index + 1) / (self._last_line - self._began)
            self._log(f"{_listed(place, f'{fps:.1f} fps', dropped)}: {found}")


def _listed(*parts: str) -> str:
    """Those `parts` that are not empty, with commas."""
    return ", ".join(filter(None, parts))
