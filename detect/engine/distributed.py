"""The processes of one training: which of them this one is, and what they tell each other.

torchrun starts them. Each computes its shard of every batch, and after every step all hold the same weights, so that
any of them can write a checkpoint. The first writes all files. A training that is one process meets nobody, and all
of this does nothing in it.

Numbers go through PyTorch's collectives, which on CPUs fail at once when a process at the other end is gone; on GPUs
they wait, and `Watch` ends them. Why it went is in the store that torchrun keeps: the first that ends tells, and all
others say the same.

gloo's threads live until the process ends, and let go of a tensor a little after its collective is over. Were they the
last to, they would need the interpreter; where that has just ended, the process aborts. So the last collective of a
training is one that gives them no tensor.
"""

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from detect.data.loading.shard import WHOLE, Shard
from detect.engine.ending import Ending, says_lost
from detect.engine.watch import BEAT, Watch
from detect.errors import UserError
from detect.inference.exported_runtime import cores
from detect.interrupt import held

VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
MEETING = 300  # s that all processes have to come
PATIENCE = 900  # s that the others may let wait: a loader alone may take 600 for a batch
ADVICE = "start it as `torchrun --nproc-per-node=N tools/train.py ...` (docs/scale.md)"


class World:
    """The processes of a training, seen from one of them; see the module.

    Attributes:
        shard: which part of every batch is this process's.
        local: the same among the processes of this machine.
        machine: number of the machine.
    """

    def __init__(self, shard: Shard = WHOLE, local: Shard = WHOLE, machine: int = 0) -> None:
        self.shard, self.local, self.machine = shard, local, machine
        self.size = shard.size
        self.is_first = shard.rank == 0
        self.ending: Any = None  # `Ending`, where there are several
        self.watch: Watch | None = None

    # ---- what each computes with ---------------------------------------------------------------------------------

    def device_name(self, name: str | None) -> str | None:
        """Of this process's device, where the user asked for `name`: each has its own GPU.  Raises UserError."""
        if self.size == 1 or not (name or "cuda").startswith("cuda"):
            return name
        if name not in (None, "cuda"):
            raise UserError(f"{name}: each process takes a GPU of its own; give cuda", argument="device")
        return f"cuda:{self.local.rank}" if name or torch.cuda.is_available() else None

    def threads(self, count: int | None) -> int | None:
        """How many compute here: `count`, else this process's share of the cores, as torchrun gives each one only."""
        if count or self.size == 1 or os.environ.get("OMP_NUM_THREADS", "1") != "1":
            return count
        return max(cores() // self.local.size, 1)

    def parallel(self, network: nn.Module) -> nn.Module:
        """`network`, so that its gradients are averaged over the processes, and the weights begin as the first's."""
        if self.size == 1:
            return network
        device = next(network.parameters()).device
        if device.type == "cuda":
            torch.cuda.set_device(device)
        with warnings.catch_warnings():  # the new name of the argument came with PyTorch 2.14
            warnings.simplefilter("ignore", FutureWarning)
            return nn.parallel.DistributedDataParallel(network, broadcast_buffers=False)

    # ---- what they tell each other: all have to call the same -----------------------------------------------------

    def total(self, values: Sequence[float]) -> list[float]:
        """Each of the numbers summed over the processes."""
        if self.size == 1:
            return list(values)
        summed = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(summed)
        return summed.tolist()

    def least(self, value: int) -> int:
        """The smallest of the processes' numbers."""
        found = torch.tensor(value)
        if self.size > 1:
            dist.all_reduce(found, dist.ReduceOp.MIN)
        return int(found)

    @torch.no_grad()
    def average(self, tensors: Sequence[Tensor]) -> None:
        """Give every process the mean of the processes' tensors, which are floats."""
        if self.size == 1 or not tensors:
            return
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        dist.all_reduce(flat)
        parts = (flat / self.size).split([tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view_as(tensor))

    def gathered(self, value: Any) -> list[Any]:
        """The processes' values in their order, on the first; an empty list on the others."""
        if self.size == 1:
            return [value]
        values: list[Any] | None = [None] * self.size if self.is_first else None
        dist.gather_object(value, values)
        return values or []

    def shared(self, value: Any) -> Any:
        """The first process's value."""
        values = [value]
        if self.size > 1:
            dist.broadcast_object_list(values)
        return values[0]

    def stop(self, number: int) -> int:
        """The signal that any of the processes was given, where this one was given `number`; 0 for none."""
        row = [0.0] * self.size
        row[self.shard.rank] = number
        return int(max(self.total(row)))

    # ---- how it ends ----------------------------------------------------------------------------------------------

    def is_lost(self, error: BaseException) -> bool:
        """Whether it says that another process is gone."""
        return self.size > 1 and says_lost(error)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """A block in which this process ends even where it waits in vain; see `Watch`."""
        if self.size > 1:
            self.total([0])  # until all are here: who watches takes silence for death
            self.watch = Watch(Ending(self.ending.store.clone(), self.shard, self.machine))
            self.watch.start()
        try:
            yield
        finally:
            self.stop_watching()
            if self.watch:
                self.watch.join(BEAT)  # a thread that is in the store when Python ends would crash it

    def stop_watching(self) -> None:
        """Call it where this process is about to end by itself."""
        if self.watch:
            self.watch.done.set()

    def _meet(self) -> None:
        """Wait for all processes.  Raises UserError: some do not come."""
        waiting = timedelta(seconds=MEETING)
        try:
            store, rank, size = next(dist.rendezvous("env://", timeout=waiting))
            ours = dist.PrefixStore("detect", store)
            backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() and dist.is_nccl_available() else "gloo"
            if ours.add("here", 1) == size:
                ours.set("all", "")
            ours.wait(["all"], waiting)
        except (RuntimeError, ValueError, OSError) as error:
            where = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
            raise UserError(
                f"process {self.shard.rank} of {self.size} did not meet the others at {where} within {MEETING} s "
                f"({str(error).splitlines()[0][:200]}); {ADVICE}"
            ) from error
        self.ending = Ending(ours, self.shard, self.machine)
        dist.init_process_group(
            backend,
            store=dist.PrefixStore("group", store),
            rank=rank,
            world_size=size,
            timeout=timedelta(seconds=PATIENCE),
        )


ALONE = World()


@contextmanager
def joined() -> Iterator[World]:
    """The processes of the training that torchrun started, this one alone without it.

    All end when one does: at an exception the others raise the same, and of a `UserError` one process of each machine
    tells (`is_told` says whether another does).

    Raises:
        UserError: some of the processes did not come, or the environment says half of what torchrun says.
    """
    world = place(os.environ)
    if world.size == 1:
        yield world
        return
    world._meet()
    try:
        yield world
        dist.barrier()  # until the first has written everything; and without a tensor of Python's, see the module
    except BaseException as error:
        with held():  # torchrun sends a signal as soon as one has gone
            ending = world.ending.leave(error)
        if ending is error:
            raise
        raise ending from error
    finally:
        dist.destroy_process_group()


def place(environment: Mapping[str, str]) -> World:
    """Which of the processes the variables in the environment say that this is.  Raises UserError."""
    if environment.get("WORLD_SIZE", "") in ("", "1"):
        tasks = environment.get("SLURM_STEP_NUM_TASKS", "1")
        if tasks != "1" and "RANK" not in environment:
            raise UserError(f"srun started {tasks} tasks, which know nothing of each other; on each machine, {ADVICE}")
        return World()
    given = [name for name in VARIABLES if environment.get(name)]
    missing = [name for name in VARIABLES if name not in given]
    if missing:
        raise UserError(
            f"{', '.join(given)} in the environment {'say' if len(given) > 1 else 'says'} that this is one of several "
            f"processes, but {', '.join(missing)} {'are' if len(missing) > 1 else 'is'} missing; {ADVICE}, or unset "
            "what is there"
        )
    try:
        rank, size, local_rank, local_size = (int(environment[name]) for name in VARIABLES[:4])
        machine = int(environment.get("GROUP_RANK", rank // local_size))
        if not (0 <= rank < size and 0 <= local_rank < local_size <= size):
            raise ValueError
    except (ValueError, ZeroDivisionError):
        values = ", ".join(f"{name}={environment[name]}" for name in VARIABLES[:4])
        raise UserError(f"{values} in the environment are no place among several processes; {ADVICE}") from None
    return World(Shard(rank, size), Shard(local_rank, local_size), machine)
