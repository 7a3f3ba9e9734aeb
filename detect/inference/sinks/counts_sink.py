"""How many of what, second by second, as a table."""

import csv
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from io import StringIO
from typing import Any, Self

from detect.files import printable
from detect.inference.counting import Counts
from detect.inference.result import Result
from detect.inference.sinks.line_file import LineFile
from detect.inference.sinks.output_names import OutputNames
from detect.inference.sources import Frame, ended_by


@dataclass
class _Second:
    """What is known of one second of a source."""

    frame: Frame  # its first one
    frames: int = 0
    most: Counter[Any] = field(default_factory=Counter)  # in one frame, by label, or by the number of a zone


class CountsSink:
    """Writes counts.csv: a row for each second of a source, and for each image; use it in a `with` block.

    `source,time,frames,CLASS,...,line 1 in,line 1 out,...,zone NAME,...`: of a class and in a zone the most that a
    frame of that second has, of a line how many crossed it in that second. Times are seconds from the start, or the
    clock of live sources.

    Args:
        names: what the file is called.
        classes: (label, name) of those that get a column.
        lines: how many there are.
        zones: their names.
    """

    def __init__(
        self, names: OutputNames, classes: Iterable[tuple[int, str]], lines: int = 0, zones: Sequence[str] = ()
    ) -> None:
        self._names = names
        self._classes = {label: printable(name) for label, name in classes}
        self._lines, self._zones = lines, [printable(zone) for zone in zones]
        self._file: LineFile | None = None
        self._seconds: dict[int, _Second] = {}  # by source: those that are not over
        self._crossed: dict[int, tuple[tuple[int, int], ...]] = {}  # by source: until the last row
        self._now: dict[int, Counts] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for item in list(self._seconds):
            self._end(item)
        if self._file is not None:
            self._file.close()

    def write(self, result: Result) -> None:
        frame = result.frame
        for item in ended_by(frame, {item: second.frame for item, second in self._seconds.items()}):
            self._end(item)
            del self._crossed[item]
        second = self._seconds.get(frame.item)
        if second is None or _second_of(second.frame) != _second_of(frame):
            self._end(frame.item)
            second = self._seconds[frame.item] = _Second(frame)
        second.frames += 1
        found: Counter[Any] = Counter(result.labels.tolist())
        if result.counted:
            self._now[frame.item] = result.counted
            found |= Counter({f"zone {n}": inside for n, inside in enumerate(result.counted.inside)})
        second.most |= found

    def _end(self, item: int) -> None:
        """Write the row of the second that is over, if there is one."""
        second = self._seconds.pop(item, None)
        if second is None:
            return
        if self._file is None:
            self._file = LineFile(self._names.take("counts", ".csv"))
            self._file.write(_row(self._header()))
        nothing = ((0, 0),) * self._lines
        counts = self._now.get(item)
        crossed, before = (counts.crossed if counts else nothing), self._crossed.get(item, nothing)
        self._crossed[item] = crossed
        ways = zip(sum(crossed, ()), sum(before, ()), strict=True)
        classes = [second.most[label] for label in self._classes]
        zones = [second.most[f"zone {n}"] for n in range(len(self._zones))]
        place = [printable(second.frame.source), _second_of(second.frame), second.frames]
        self._file.write(_row([*place, *classes, *(now - then for now, then in ways), *zones]))

    def _header(self) -> list[str]:
        lines = [f"line {n} {way}" for n in range(1, self._lines + 1) for way in ("in", "out")]
        return ["source", "time", "frames", *self._classes.values(), *lines, *(f"zone {name}" for name in self._zones)]


def _second_of(frame: Frame) -> str:
    """As it stands in the table."""
    if frame.clock is not None:
        return f"{(frame.clock_text or '')[:19]}{(frame.clock_text or '')[23:]}"
    return "" if frame.time is None else str(int(frame.time))


def _row(values: Iterable[Any]) -> str:
    text = StringIO()
    csv.writer(text, lineterminator="").writerow(values)
    return text.getvalue()
