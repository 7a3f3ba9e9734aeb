"""What a run tells at its end."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NotRequired, TypedDict

from detect.errors import UserError
from detect.inference.monitor import Monitor
from detect.inference.result import Result
from detect.inference.sinks.output_names import OutputNames

MOST_ERRORS = 1000  # that are kept of a run that may go on for years; all are told


class Latency(TypedDict):
    """Milliseconds from a live frame's coming to its having been written."""

    median: float
    p95: float


def in_words(latencies: tuple[float, float] | None) -> str:
    """`, 31 ms after they came (95%: 40)` of a median and 95th percentile in seconds; nothing where there are none."""
    return f", {latencies[0] * 1000:.0f} ms after they came (95%: {latencies[1] * 1000:.0f})" if latencies else ""


class Summary(TypedDict):
    """What `detect_files` tells at its end."""

    frames: int
    detections: int
    fps: float  # frames per second from file to file
    files: list[str]  # paths of what was written beside the JSON file; folders of crops and labels are one each
    json: str | None  # path; None without a frame
    errors: list[str]  # a sentence for each source that could not be read or written or broke off; the others were done
    counts: dict[str, int]  # detections by class name
    limited: int  # frames in which as many were found as the predictor shows at the most: there may be more
    dropped: NotRequired[int]  # with a live source: frames that came faster than they could be processed
    latency: NotRequired[Latency | None]  # with a live source, of its last frames


class Tally:
    """A sink that counts frames, detections by class name and frames dropped by live sources, and notes the errors.

    Args:
        warn: called with each sentence on a source that could not be read or written.
    """

    def __init__(self, warn: Callable[[str], object]) -> None:
        self.frames = self.limited = 0
        self.counts: Counter[str] = Counter()
        self.errors: list[str] = []
        self._warn = warn
        self._dropped: dict[int, int] = {}  # by source

    @property
    def dropped(self) -> int:
        return sum(self._dropped.values())

    def summary(self, names: OutputNames, json: Path | None, classes: Sequence[str], seconds: float) -> Summary:
        """All that was counted in `seconds`, and the files that were written."""
        return {
            "frames": self.frames,
            "detections": sum(self.counts.values()),
            "fps": self.frames / seconds if self.frames else 0.0,
            "files": [str(path) for path in (*names.taken, *names.folders)],
            "json": str(json) if json and self.frames else None,
            "errors": self.errors,
            "counts": {name: self.counts[name] for name in classes if self.counts[name]},
            "limited": self.limited,
        }

    def live_summary(self, monitor: Monitor) -> Summary:
        """What is told of live sources beside."""
        latencies = monitor.latencies()
        in_ms = None if latencies is None else Latency(median=latencies[0] * 1000, p95=latencies[1] * 1000)
        return {"dropped": self.dropped, "latency": in_ms}  # type: ignore[typeddict-item]  # the rest is `summary`'s

    def note(self, error: UserError) -> None:
        if len(self.errors) < MOST_ERRORS:
            self.errors.append(str(error))
        self._warn(f"error: {error}")

    def write(self, result: Result) -> None:
        if result.frame.medium == "live":
            self._dropped[result.frame.item] = result.frame.dropped
        self.frames += 1
        self.counts.update(result.counts())
