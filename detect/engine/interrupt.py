"""Ctrl-C between two steps of a training, never within one."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


class Interrupted(Exception):
    """Ctrl-C, after the checkpoint was written."""


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
