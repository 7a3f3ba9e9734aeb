"""A thread that ends a process of a training which waits in vain for another."""

import os
import sys
import threading
import time
from contextlib import suppress

from detect.engine.ending import End, Ending

BEAT = 3  # s between two signs of life
SILENCE = 30  # s without one, after which a process is taken for gone
DONE = "done"
GRACE = 25  # s that this process has to end by itself after another


class Watch(threading.Thread):
    """Gives signs of life, and ends this process some time after another ended or fell silent.

    A collective fails by itself when the process at its other end is gone, and then this thread has nothing to do. It
    does not where a machine falls off the network or a GPU waits for another. There nothing is saved: the process is in
    the middle of a step and cannot be reached.

    The first process looks at all others, they look at the first.

    Args:
        ending: what the processes say of their end, through a store for this thread alone.

    Attributes:
        done: set it to end the thread.
    """

    def __init__(self, ending: Ending) -> None:
        super().__init__(daemon=True)
        self.ending, self.store, self.shard = ending, ending.store, ending.shard
        self.done = threading.Event()
        self.heard: dict[int, tuple[str, float]] = {}  # by process, its last sign and when it came

    def run(self) -> None:
        """Look every `BEAT` seconds until the training has ended somewhere."""
        beat = 0
        while not self.done.wait(BEAT):
            beat += 1
            try:
                self.store.set(f"beat {self.shard.rank}", str(beat))
                if any(self.is_silent(rank) for rank in (range(1, self.shard.size) if not self.shard.rank else (0,))):
                    self.ending.tell(End())
                if self.store.check(["end"]):
                    break
            except RuntimeError:  # the store is gone, and torchrun with it
                break
        else:
            with suppress(RuntimeError):
                self.store.set(f"beat {self.shard.rank}", DONE)
        if not self.done.wait(GRACE):
            print(f"error: {(self.ending.told() or End()).sentence}", file=sys.stderr)
            os._exit(1)

    def is_silent(self, rank: int) -> bool:
        """Whether no sign of process `rank` has come for too long."""
        now, name = time.monotonic(), f"beat {rank}"
        sign = self.store.get(name).decode() if self.store.check([name]) else ""
        last, since = self.heard.get(rank, (None, now))
        if sign != last or sign == DONE:
            self.heard[rank] = sign, now
            return False
        return now - since > SILENCE
