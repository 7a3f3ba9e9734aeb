"""Numbers for Prometheus, in its text format."""

import os
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator
from threading import Lock

from detect.serve.watch import Watch

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)  # s


class Requests:
    """How many images were sent, with which answer, and how long the good answers took."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._statuses: Counter[int] = Counter()
        self._buckets = [0] * (len(BUCKETS) + 1)
        self._seconds = 0.0

    def add(self, status: int, seconds: float) -> None:
        with self._lock:
            self._statuses[status] += 1
            if status == 200:
                self._buckets[bisect_left(BUCKETS, seconds)] += 1
                self._seconds += seconds

    def lines(self) -> Iterator[str]:
        with self._lock:
            statuses, buckets, seconds = dict(self._statuses), list(self._buckets), self._seconds
        yield "# HELP detect_requests_total Images sent to /detect, by the status of the answer."
        yield "# TYPE detect_requests_total counter"
        for status, count in sorted(statuses.items()):
            yield f'detect_requests_total{{status="{status}"}} {count}'
        yield "# HELP detect_request_seconds From an image's first byte to its answer."
        yield "# TYPE detect_request_seconds histogram"
        total = 0
        for bound, count in zip((*map(str, BUCKETS), "+Inf"), buckets, strict=True):
            total += count
            yield f'detect_request_seconds_bucket{{le="{bound}"}} {total}'
        yield f"detect_request_seconds_sum {seconds:.6f}"
        yield f"detect_request_seconds_count {total}"


def exposition(requests: Requests, watch: Watch | None, viewers: int) -> str:
    """All numbers as Prometheus reads them."""
    lines = list(requests.lines())
    lines += _one("detect_viewers", "gauge", "Pages that watch the source.", viewers)
    if watch:
        lines += _one("detect_source_up", "gauge", "1 while the source gives frames.", int(watch.state == "running"))
        lines += _one("detect_frames_total", "counter", "Frames of the source detected in.", watch.frames)
        lines += _one("detect_frames_dropped_total", "counter", "Frames that came too fast.", watch.dropped)
        lines += _one("detect_frames_per_second", "gauge", "Of late.", watch.fps)
        lines += _one("detect_latency_seconds", "gauge", "From a frame's arrival to its boxes.", watch.latency)
    if memory := _resident_bytes():
        lines += _one("process_resident_memory_bytes", "gauge", "Memory of the process.", memory)
    return "\n".join(lines) + "\n"


def _one(name: str, kind: str, text: str, value: float) -> Iterable[str]:
    return f"# HELP {name} {text}", f"# TYPE {name} {kind}", f"{name} {value:.10g}"


def _resident_bytes() -> int:
    """0 where the system does not tell."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):
        return 0
