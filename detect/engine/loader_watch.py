"""Tells, once, that a training waits for its images, and what helps."""

from collections.abc import Iterator

from detect.config.schema import AugmentSettings, ClassifierSettings, Settings
from detect.data.augment.pipeline import own
from detect.engine.log import Pace
from detect.inference.exported_runtime import cores

WINDOW = 60  # s that are looked at together
BOUND = 0.3  # share of them that may go by waiting
COUNTS = {2: "two", 4: "four", 9: "nine"}


class LoaderWatch:
    """Looks at a training window by window; the first step, in which the loader starts, is left out.

    Args:
        settings: of the training.
        available: cores that this process may use.
    """

    def __init__(self, settings: Settings | ClassifierSettings, available: int | None = None) -> None:
        self.settings, self.available = settings, available or cores()
        self.window: Pace | None = None
        self.has_told = False

    def add(self, images: int, seconds: float, waiting: float) -> str | None:
        """A step with so many images took `seconds`, `waiting` of them for the loader -> a line for the log, once."""
        if self.has_told:
            return None
        if self.window is None:
            self.window = Pace()
            return None
        self.window.add(images, seconds, waiting)
        if self.window.seconds < WINDOW:
            return None
        full, self.window = self.window, Pace()
        self.has_told = full.data_share > BOUND
        return self._line(full) if self.has_told else None

    def _line(self, full: Pace) -> str:
        alone = full.images / max(full.seconds - full.waiting, 1e-9)
        return (
            f"loader-bound: {full.data_share:.0%} of the last {full.seconds:.0f} s went by waiting for images; "
            f"{full.images_per_second:.1f} images/s are trained, {alone:.1f} would be without. What helps: "
            + "; ".join(self._advice())
        )

    def _advice(self) -> Iterator[str]:
        workers = self.settings.train.workers
        if workers < self.available:
            yield f"train.workers={self.available}, a loader process for each core, instead of {workers}"
        if isinstance(self.settings, Settings):
            if self.settings.data and self.settings.data.cache == "none":
                yield "data.cache=ram, or disk, which decodes each image once"
            short = isinstance(self.settings.augment, AugmentSettings)
            for step in own(self.settings.augment):
                if step.others:
                    name = type(step).__name__
                    key = f"augment.{name.lower()}" if short else f"augment: p of {name}"
                    yield f"{key} below {step.p:g}, as each takes {COUNTS.get(1 + step.others, 1 + step.others)} images"
        yield "images saved smaller, as large as the network sees them"
