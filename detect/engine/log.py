"""What a training shows: a progress bar on a terminal, plain lines elsewhere, and results.csv."""

import csv
import io
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tqdm import tqdm

from detect.files import write_text
from detect.report.events import Events

SECONDS_PER_LINE = 20


class TrainingLog:
    """Progress of a run on standard error and in `log.txt`, and one row an evaluation in `results.csv`.

    Args:
        folder: the run's folder; it exists.
        total_steps: length of the training.
        start: steps that were done before.
        events: TensorBoard's, if the numbers shall go there too.
    """

    def __init__(self, folder: Path, total_steps: int, start: int, events: Events | None = None) -> None:
        self.events = events
        self.folder = folder
        self.path = folder / "log.txt"
        self.total_steps = total_steps
        self.bar = tqdm(total=total_steps, initial=start, unit="step", disable=not sys.stderr.isatty())
        self.last_line = time.monotonic()
        self.started, self.start = time.monotonic(), start

    def say(self, text: str) -> None:
        """Show a line, above the progress bar where there is one."""
        self.bar.write(text, file=sys.stderr)
        note(self.path, text)

    def step(
        self, step: int, epoch: int, terms: Mapping[str, float], lr: float, images_per_second: float, data_share: float
    ) -> None:
        """Show how it goes after optimizer step `step` (counted from 1)."""
        if self.events:
            self.events.step(step, terms, lr)
        named = "  ".join(f"{name} {value:.3f}" for name, value in terms.items())
        text = f"epoch {epoch}  {named}  lr {lr:.5f}  {images_per_second:.1f} img/s  data {data_share:.0%}"
        self.bar.set_description_str(text, refresh=False)
        self.bar.update(1)
        now = time.monotonic()
        if now - self.last_line >= SECONDS_PER_LINE or step == self.total_steps:
            self.last_line = now
            left = (now - self.started) / max(step - self.start, 1) * (self.total_steps - step)
            line = f"step {step}/{self.total_steps}  {text}" + (f"  {duration(left)} left" if left else "")
            if self.bar.disable:
                self.say(line)
            else:
                note(self.path, line)

    def results(self, history: Sequence[Mapping[str, Any]]) -> None:
        """Write all rows (mappings with the same keys) to results.csv, numbers in six digits."""
        text = io.StringIO()
        columns = dict.fromkeys(name for row in history for name in row)
        writer = csv.DictWriter(text, fieldnames=columns, restval="", lineterminator="\n")
        writer.writeheader()
        for row in history:
            writer.writerow({name: f"{v:.6g}" if isinstance(v, float) else v for name, v in row.items()})
        write_text(self.folder / "results.csv", text.getvalue())
        if self.events:
            self.events.evaluated(history[-1])

    def close(self) -> None:
        """Take the progress bar away."""
        self.bar.close()
        if self.events:
            self.events.close()


class Silence:
    """Stands in for the log and the album of a run where nothing is shown or written."""

    def say(self, text: str) -> None: ...

    def step(self, *about: Any) -> None: ...

    def results(self, history: Sequence[Mapping[str, Any]]) -> None: ...

    def add(self, name: str, make: Any) -> None: ...

    def close(self) -> None: ...


def duration(seconds: float) -> str:
    """A length of time in the unit that people would take: "40 s", "12 min", "3.5 h"."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 100 * 60 else f"{seconds / 3600:.3g} h"


def note(path: Path, line: str) -> None:
    """Add a line to a log file, if the disk lets us: a log is no reason to stop a training."""
    with suppress(OSError), open(path, "a", encoding="utf-8", errors="backslashreplace") as file:
        file.write(line + "\n")


class Pace:
    """How fast this process trains, and how much of the time it waits for the loader."""

    def __init__(self) -> None:
        self.images, self.seconds, self.waiting = 0, 1e-9, 0.0

    def add(self, images: int, seconds: float, waiting: float) -> None:
        """A step with so many images took `seconds`, `waiting` of them for the loader."""
        self.images += images
        self.seconds += seconds
        self.waiting += waiting

    @property
    def images_per_second(self) -> float:
        """Of all steps together."""
        return self.images / self.seconds

    @property
    def data_share(self) -> float:
        """Share of the time, 0..1, that was spent waiting."""
        return self.waiting / self.seconds
