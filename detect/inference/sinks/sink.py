"""What takes results, all of one shape: `outputs` has the table of those that write files.

What tells the user how it goes (`progress`, `tally`, `monitor`) and shows it in a window (`window`) has the same shape.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Protocol

from detect.inference.result import Result
from detect.interrupt import held


class Sink(Protocol):
    """Takes results one after the other. One that has something to finish is used in a `with` block."""

    def write(self, result: Result) -> None:
        """Take one more result.  Raises UserError: it cannot be written."""


@contextmanager
def opened(sinks: Sequence[Sink]) -> Iterator[None]:
    """A `with` block for all `sinks`: those that have something to finish do so at its end, the last one first."""
    stack = ExitStack()
    try:
        for sink in sinks:
            if isinstance(sink, AbstractContextManager):
                stack.enter_context(sink)
        yield
    finally:
        with held():
            stack.close()
