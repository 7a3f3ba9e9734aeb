"""How a run goes just now: frames a second, latency, dropped frames, and the newest image of each source."""

import threading
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import quantiles

from detect.inference.result import Result
from detect.inference.sources import ended_by

WINDOW = 2.0  # seconds that the rate is measured over
KEPT_LATENCIES = 5000  # the last ones, of which the run's median and 95th percentile are told


@dataclass(frozen=True)
class Pace:
    """Of one source, up to its newest frame.

    `fps` are frames a second, `latency` seconds from the frame's coming to its having been written (of live sources).
    """

    frames: int = 0
    fps: float | None = None
    latency: float | None = None
    dropped: int = 0


@dataclass
class _Source:
    newest: Result
    pace: Pace = Pace()
    times: deque[float] = field(default_factory=deque)  # time.perf_counter() of the frames in the window


class Monitor:
    """A sink, the last of all, that knows how it goes; other threads may ask it: what is drawn, and a page.

    Sources are known by their place among those of the run, `Frame.item`.
    """

    def __init__(self) -> None:
        self._sources: dict[int, _Source] = {}
        self._latencies: deque[float] = deque(maxlen=KEPT_LATENCIES)
        self._news = threading.Condition()

    def write(self, result: Result) -> None:
        now, frame = time.perf_counter(), result.frame
        latency = None if frame.clock is None else max(time.time() - frame.clock, 0.0)
        with self._news:
            for item in ended_by(frame, {item: source.newest.frame for item, source in self._sources.items()}):
                del self._sources[item]
            source = self._sources.setdefault(frame.item, _Source(result))
            source.times.append(now)
            while now - source.times[0] > WINDOW:
                source.times.popleft()
            lasted = now - source.times[0]
            fps = (len(source.times) - 1) / lasted if lasted else None
            source.pace = Pace(source.pace.frames + 1, fps, latency, frame.dropped)
            source.newest = result
            if latency is not None:
                self._latencies.append(latency)
            self._news.notify_all()

    def pace(self, item: int) -> Pace:
        """How the source goes; all zero before its first frame."""
        with self._news:
            source = self._sources.get(item)
            return source.pace if source else Pace()

    def newest(self, item: int, after: int = 0, timeout: float = 0.0) -> tuple[int, Result] | None:
        """(number of frames so far, the newest `Result`) of a source, whose `annotated` is as in the files.

        It is waited for until there are more than `after` frames; None where that takes longer than `timeout` seconds.
        """
        with self._news:
            self._news.wait_for(lambda: self._count(item) > after, timeout)
            source = self._sources.get(item)
            if source is None or source.pace.frames <= after:
                return None
            return source.pace.frames, source.newest

    def items(self) -> Iterable[int]:
        """The sources that have given a frame."""
        with self._news:
            return tuple(self._sources)

    def latencies(self) -> tuple[float, float] | None:
        """(median, 95th percentile) in seconds of the last frames of live sources; None where there were none."""
        with self._news:
            latencies = list(self._latencies)
        if len(latencies) < 2:
            return (latencies[0], latencies[0]) if latencies else None
        parts = quantiles(latencies, n=20)
        return parts[9], parts[18]

    def _count(self, item: int) -> int:
        source = self._sources.get(item)
        return source.pace.frames if source else 0
