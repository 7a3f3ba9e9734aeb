"""How a run goes just now: frames a second, latency, dropped frames."""

import threading
import time
from collections import deque
from dataclasses import dataclass, field
from statistics import quantiles

from detect.inference.result import Result
from detect.inference.sources import Frame, ended_by

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
    last: Frame
    pace: Pace = Pace()
    times: deque[float] = field(default_factory=deque)  # time.perf_counter() of the frames in the window


class Monitor:
    """A sink, the last of all, that knows how it goes; the thread that draws asks it.

    Sources are known by their place among those of the run, `Frame.item`.
    """

    def __init__(self) -> None:
        self._sources: dict[int, _Source] = {}
        self._latencies: deque[float] = deque(maxlen=KEPT_LATENCIES)
        self._lock = threading.Lock()

    def write(self, result: Result) -> None:
        now, frame = time.perf_counter(), result.frame
        latency = None if frame.clock is None else max(time.time() - frame.clock, 0.0)
        with self._lock:
            for item in ended_by(frame, {item: source.last for item, source in self._sources.items()}):
                del self._sources[item]
            source = self._sources.setdefault(frame.item, _Source(frame))
            source.times.append(now)
            while now - source.times[0] > WINDOW:
                source.times.popleft()
            lasted = now - source.times[0]
            fps = (len(source.times) - 1) / lasted if lasted else None
            source.pace = Pace(source.pace.frames + 1, fps, latency, frame.dropped)
            source.last = frame
            if latency is not None:
                self._latencies.append(latency)

    def pace(self, item: int) -> Pace:
        """How the source goes; all zero before its first frame."""
        with self._lock:
            source = self._sources.get(item)
            return source.pace if source else Pace()

    def latencies(self) -> tuple[float, float] | None:
        """(median, 95th percentile) in seconds of the last frames of live sources; None where there were none."""
        with self._lock:
            latencies = list(self._latencies)
        if len(latencies) < 2:
            return (latencies[0], latencies[0]) if latencies else None
        parts = quantiles(latencies, n=20)
        return parts[9], parts[18]
