"""Signals that ask to stop: Ctrl-C, SIGTERM (systemd, docker, timeout) and SIGHUP (the terminal has gone).

They interrupt a run between two steps or two images, never within one, so that what was done is kept whole.
"""

import os
import signal
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import NoReturn

STOPS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class Interrupted(Exception):
    """A training was asked to stop, after `step` steps; the checkpoint in `folder` is written.

    Attributes:
        number: of the signal.
    """

    def __init__(self, step: int, folder: Path, number: int = signal.SIGINT) -> None:
        super().__init__(f"stopped after step {step}")
        self.step, self.folder, self.number = step, folder, number


def stop_interrupts() -> AbstractContextManager[None]:
    """A block in which every signal that asks to stop raises `KeyboardInterrupt`, as Ctrl-C always does."""
    return _handled(_interrupt)


@contextmanager
def held() -> Iterator[list[int]]:
    """A block in which such signals wait: they are delivered at its end, unless it ends with an exception.

    Yields the list of those that came. A second Ctrl-C interrupts at once.
    """
    came = _Held()

    def hold(number: int) -> None:
        came.append(number)
        if came.is_heard or len(came) > 1:
            _interrupt(number)

    _blocks.append(came)
    try:
        with _handled(hold):
            yield came
    finally:
        _blocks.pop()
    if came:
        signal.raise_signal(came[0])


@contextmanager
def heard() -> Iterator[None]:
    """A block within a `held` one that a signal interrupts at once: one that waits, perhaps for ever."""
    block = _blocks[-1] if _blocks else _Held()
    block.is_heard = True
    try:
        let_through()
        yield
    finally:
        block.is_heard = False


class _Held(list[int]):
    """The numbers of the signals that came in a `held` block."""

    is_heard = False  # whether the next one interrupts


_blocks: list[_Held] = []  # the `held` blocks that are open, the innermost last


def let_through() -> None:
    """Raise `KeyboardInterrupt` if a signal waits for the end of the `held` block around.

    To be called now and then where nothing is done but waiting, perhaps for ever.
    """
    if _blocks and _blocks[-1]:
        _interrupt(_blocks[-1][0])


def status_of(interrupt: KeyboardInterrupt) -> int:
    """The exit status that says which signal it was: 130 Ctrl-C, 143 SIGTERM, 129 SIGHUP."""
    return 128 + (interrupt.args[0] if interrupt.args else signal.SIGINT)


def _interrupt(number: int) -> NoReturn:
    raise KeyboardInterrupt(number)


@contextmanager
def _handled(handle: Callable[[int], object]) -> Iterator[None]:
    """A block in which `handle` gets the number of each signal that asks to stop.

    A signal that is ignored (nohup) stays so. SIGTERM and SIGHUP often come twice (timeout, a closing terminal): after
    a first signal only Ctrl-C counts. Threads beside the main one get no signals: there this does nothing.
    """
    came: list[int] = []

    def on_signal(number: int, _: object) -> None:
        if number != signal.SIGINT:
            _leave_dead_terminal()
            if came:
                return
        came.append(number)
        handle(number)

    before = {}
    with suppress(ValueError):  # not in the main thread
        for number in STOPS:
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                before[number] = signal.signal(number, on_signal)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave_dead_terminal() -> None:
    """Send what is said from now on nowhere, where it would go to a terminal that has gone and fail."""
    for output in (1, 2):
        with suppress(OSError):
            if stat.S_ISCHR(os.fstat(output).st_mode) and not os.isatty(output):
                os.dup2(os.open(os.devnull, os.O_WRONLY), output)
