"""Ctrl-C between two steps of a training, never within one."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Interrupted(Exception):
    """Ctrl-C after `step` steps; the checkpoint in `folder` is written."""

    def __init__(self, step: int, folder: Path) -> None:
        super().__init__(f"stopped after step {step}")
        self.step, self.folder = step, folder


@contextmanager
def interrupt_flag() -> Iterator[list[bool]]:
    """Yield a list that Ctrl-C fills, so that a step is never cut in two; a second Ctrl-C interrupts at once."""
    pressed: list[bool] = []

    def press(*_: object) -> None:
        if pressed:
            raise KeyboardInterrupt
        pressed.append(True)

    try:
        before = signal.signal(signal.SIGINT, press)
    except ValueError:  # not in the main thread: Ctrl-C does not come here
        yield pressed
        return
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before)
