"""The stages of a pipeline: an iterator that a thread of its own runs ahead, through a bounded queue."""

import threading
from collections.abc import Callable, Iterable, Iterator
from queue import Empty, Full, Queue
from typing import Any, Generic, NamedTuple, TypeVar

T = TypeVar("T")
WAKE = 0.1  # seconds after which a thread that waits looks whether it is to end; the main one hears Ctrl-C
LONGEST_END = 2.0  # seconds that closing waits for the thread: a silent stream may hold it longer, it ends by itself


class _End(NamedTuple):
    """What comes after the last item."""

    error: BaseException | None = None


class Ahead(Iterator[T], Generic[T]):
    """The items in their order, made by a thread, which is `depth` of them and one in the making ahead.

    What is raised while they are made is raised here, after all that came before it. Closing ends the thread and closes
    `items`; the thread begins when the first item is asked for.

    Args:
        items: of which this thread takes one after the other; another `Ahead`, say.
        each: makes our item of one of those, in the thread.
    """

    def __init__(self, items: Iterable[Any], depth: int, each: Callable[[Any], T] | None = None) -> None:
        self._items = items
        self._each = each
        self._queue: Queue[Any] = Queue(depth)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ahead", daemon=True)

    def __next__(self) -> T:
        if self._thread.ident is None:
            self._thread.start()
        while not self._closed.is_set():
            try:
                item = self._queue.get(timeout=WAKE)
            except Empty:
                continue
            if not isinstance(item, _End):
                return item
            self._closed.set()
            if item.error is not None:
                raise item.error
        raise StopIteration

    def close(self) -> None:
        """End the thread, now or as soon as what it waits for comes."""
        self._closed.set()
        if isinstance(self._items, Ahead) or self._thread.ident is None:
            _close(self._items)
        if self._thread.ident is not None:
            self._thread.join(LONGEST_END)

    def _run(self) -> None:
        """The thread: queue all items until told to stop; then close what they came from, if it can be."""
        end = _End()
        try:
            for item in self._items:
                if not self._put(self._each(item) if self._each else item):
                    break
        except BaseException as error:  # handed on, whatever it is
            end = _End(error)
        try:
            _close(self._items)
        except BaseException as error:
            end = _End(end.error or error)
        self._put(end)

    def _put(self, item: Any) -> bool:
        """Whether there was room for the item before all was closed."""
        while not self._closed.is_set():
            try:
                self._queue.put(item, timeout=WAKE)
                return True
            except Full:
                continue
        return False


def _close(items: Iterable[Any]) -> None:
    getattr(items, "close", lambda: None)()
