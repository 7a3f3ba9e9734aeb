"""Files that follow one another, each of so many seconds."""

from datetime import datetime

from detect.errors import UserError
from detect.files import printable
from detect.inference.sources import Frame

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class Segments:
    """When the next file of a source, or of a run, begins and what it adds to its name.

    Args:
        seconds: of a file; None for a single one.
    """

    def __init__(self, seconds: float | None) -> None:
        self.name = ""  # of the file that has begun: _20261128-181000 of live sources, _000600s of videos
        self._seconds = seconds
        self._start: float | None = None

    def begins(self, frame: Frame) -> bool:
        """Whether a file begins with this frame."""
        now = (frame.clock if frame.clock is not None else frame.time) or 0.0
        if self._start is None or (self._seconds and not 0 <= now - self._start < self._seconds):
            self._start = now
            self.name = self._named(frame, now) if self._seconds else ""
            return True
        return False

    def _named(self, frame: Frame, now: float) -> str:
        if frame.clock is None:
            return f"_{now:06.0f}s"
        return datetime.fromtimestamp(now).strftime("_%Y%m%d-%H%M%S")


def seconds_of(text: str) -> float:
    """Seconds of `90`, `90s`, `10m`, `1h` or `1d`.  Raises UserError: it is none of these, or less than a second."""
    number, unit = (text[:-1], text[-1:]) if text[-1:] in UNITS else (text, "s")
    seconds = int(number) * UNITS[unit] if number.isascii() and number.isdecimal() and len(number) < 9 else 0
    if not seconds:
        raise UserError(f"'{printable(text)}' is no length of time; give 90s, 10m or 1h", argument="segment")
    return float(seconds)
