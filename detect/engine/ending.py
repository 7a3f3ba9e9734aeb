"""How the processes of a training end: the first that does says why, and the others end with the same."""

import json
import signal
import time
from contextlib import suppress
from typing import Any, NamedTuple

import torch.distributed as dist

from detect.data.loading.shard import Shard
from detect.errors import UserError
from detect.interrupt import Interrupted

TELLING = 3  # s that a process which goes has to say why
LOST = (
    "a process of the training is gone without a word: it was killed, or its machine is out of reach; the run can be "
    "resumed from its last checkpoint"
)


class End(NamedTuple):
    """Why a training ended: a signal, or an error's sentence."""

    number: int = 0
    sentence: str = LOST

    @classmethod
    def of(cls, error: BaseException, rank: int) -> "End":
        """What process `rank` tells the others of the exception that ends it."""
        if isinstance(error, Interrupted):
            return cls(error.number)
        if isinstance(error, KeyboardInterrupt):
            return cls(error.args[0] if error.args else signal.SIGINT)
        if isinstance(error, UserError):
            return cls(sentence=str(error))
        return cls(sentence=f"process {rank} ended with {type(error).__name__}: {error}")

    def exception(self) -> BaseException:
        """What another process raises for it."""
        return KeyboardInterrupt(self.number) if self.number else UserError(self.sentence)


def says_lost(error: BaseException) -> bool:
    """Whether an error is a collective's that another process is gone, or out of reach."""
    return isinstance(error, dist.DistError) or (isinstance(error, RuntimeError) and "gloo" in str(error).lower())


class Ending:
    """What the processes say of their end in a store that outlives each of them, as torchrun's does.

    Args:
        store: the training's.
        shard: which of the processes this is.
        machine: number of the machine that it is on.
    """

    def __init__(self, store: Any, shard: Shard, machine: int) -> None:
        self.store, self.shard, self.machine = store, shard, machine

    def takes_over(self) -> bool:
        """Whether this process is to write the checkpoint now that another is gone: the first, if it is there."""
        with suppress(RuntimeError):
            if self._is_here():
                return True
            return not self._comes("first") and self.store.add("writers", 1) == 1
        return False

    def told(self) -> End | None:
        """Why the first process that ended did; None if it does not say, as one that was killed."""
        with suppress(RuntimeError):
            if self._comes("end"):
                return End(*json.loads(self.store.get("end")))
        return None

    def tell(self, end: End) -> End:
        """Say why this process ends.  Returns what was said first, maybe by another."""
        return End(*json.loads(self.store.compare_set("end", "", json.dumps(end))))

    def leave(self, error: BaseException) -> BaseException:
        """Say that this process ends with an exception.  Returns what to raise: what the first one to end told.

        Of a `UserError` one process of each machine speaks to the user.
        """
        is_lost, is_told = says_lost(error), False
        end = (self.told() or End()) if is_lost else End.of(error, self.shard.rank)
        with suppress(RuntimeError):  # without a store each says what it knows
            self._is_here()
            end = self.tell(end)
            is_told = self.store.add(f"told {self.machine}", 1) > 1
        if is_lost or isinstance(error, KeyboardInterrupt):  # torchrun ends the others by a signal when one is gone
            error = end.exception()
        if isinstance(error, UserError):
            error.is_told = is_told
        return error

    def _is_here(self) -> bool:
        """Whether this is the first process, which then says that it is there."""
        if self.shard.rank == 0:
            self.store.set("first", "")
        return self.shard.rank == 0

    def _comes(self, name: str) -> bool:
        """Whether something of this name is in the store, or comes there while it is waited for."""
        until = time.monotonic() + TELLING
        while not (is_there := self.store.check([name])) and time.monotonic() < until:
            time.sleep(0.1)
        return is_there
