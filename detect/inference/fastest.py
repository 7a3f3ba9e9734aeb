"""The fastest of several ways to compute a network on the machine at hand: measured once, then remembered."""

import hashlib
import json
import platform
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import median

from detect.errors import UserError
from detect.files import cache_folder, write_text

SECONDS = 0.25  # that each way is measured for
MARGIN = 1.03  # what a later way must be faster by, to be taken


def fastest(engine: str, path: Path, ways: Sequence[str], runner: Callable[[str], Callable[[], object]]) -> str:
    """The one of `ways` to run the file `path` that takes least time; measured the first time, in turns.

    The first of them wins unless another is faster by more than noise.

    Args:
        engine: name and version of what runs it.
        runner: makes, for a way, a function that computes one image.
    """
    if len(ways) == 1:
        return ways[0]
    remembered = cache_folder() / "fastest" / f"{_key(engine, path, ways)}.json"
    with suppress(OSError, ValueError, TypeError, KeyError):  # what is remembered may be lost
        way = json.loads(remembered.read_text())["fastest"]
        if way in ways:
            return way
    times = measured({way: runner(way) for way in ways})
    best = ways[0]
    for way in ways[1:]:
        if times[way] * MARGIN < times[best]:
            best = way
    with suppress(UserError, OSError):
        remembered.parent.mkdir(parents=True, exist_ok=True)
        write_text(remembered, json.dumps({"file": str(path), "engine": engine, "fastest": best, "ms": times}))
    return best


def measured(runs: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Median milliseconds of each; they take turns until each has had its time."""
    times: dict[str, list[float]] = {way: [] for way in runs}
    for run in runs.values():
        run()  # warm
    while min(map(sum, times.values())) < SECONDS * 1000:
        for way, run in runs.items():
            start = time.perf_counter()
            run()
            times[way].append((time.perf_counter() - start) * 1000)
    return {way: median(of) for way, of in times.items()}


def _key(engine: str, path: Path, ways: Sequence[str]) -> str:
    """Changes with the engine, the processor and the file."""
    stat = path.stat()
    about = [engine, _processor(), str(path.resolve()), stat.st_size, stat.st_mtime_ns, *ways]
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()[:24]


def _processor() -> str:
    """Its name and abilities, where the system tells them."""
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return " ".join(sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}))
    return platform.processor() or platform.machine()
