"""What was seen in the last hour: how many of each class, and images of the busiest moments."""

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

HOUR = 3600.0  # s that are remembered
PER_COUNT = 10.0  # s that one point of the counts stands for
PER_STILL = 300.0  # s of which the busiest image is kept


@dataclass
class _Period:
    """Counts of some seconds."""

    number: int
    frames: int = 0
    counts: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Still:
    """The image of a period with the most detections."""

    number: int  # of the period
    when: float  # Unix time, s
    count: int
    jpeg: bytes  # with its boxes drawn


class History:
    """The last hour, in memory; times are Unix times, s."""

    def __init__(self) -> None:
        self._periods: deque[_Period] = deque(maxlen=int(HOUR / PER_COUNT))
        self.stills: deque[Still] = deque(maxlen=int(HOUR / PER_STILL))

    def add(self, when: float, counts: Mapping[str, int]) -> None:
        """Count the detections of one frame, by class name."""
        number = int(when // PER_COUNT)
        if not self._periods or self._periods[-1].number < number:
            self._periods.append(_Period(number))
        self._periods[-1].frames += 1
        self._periods[-1].counts.update(counts)

    def wants_still(self, when: float, count: int) -> bool:
        """Whether a frame with so many detections is the busiest of its period so far."""
        newest = self.stills[-1] if self.stills else None
        return count > (newest.count if newest and newest.number == int(when // PER_STILL) else 0)

    def keep_still(self, when: float, count: int, jpeg: bytes) -> None:
        """Keep the busiest frame of a period, in place of the one before."""
        still = Still(int(when // PER_STILL), when, count, jpeg)
        if self.stills and self.stills[-1].number == still.number:
            self.stills.pop()
        self.stills.append(still)

    def points(self, now: float) -> list[dict[str, Any]]:
        """Mean detections a frame by class name, for each `PER_COUNT` seconds of the last hour that had frames."""
        first = (now - HOUR) // PER_COUNT
        return [
            {
                "time": period.number * PER_COUNT,
                "counts": {name: round(count / period.frames, 3) for name, count in period.counts.items()},
            }
            for period in list(self._periods)
            if period.number > first
        ]

    def recent_stills(self, now: float) -> list[Still]:
        """The stills of the last hour, the busiest first."""
        return sorted((s for s in list(self.stills) if s.when > now - HOUR), key=lambda s: -s.count)
