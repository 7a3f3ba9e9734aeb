"""What could go wrong hours after the start, tried before it: memory, and the precision of 16 bits."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from detect.engine.distributed import ALONE, World
from detect.engine.memory import advice, available, is_out_of_memory, kept_for_backward
from detect.engine.optimizer import KEPT, trained
from detect.engine.task import Task
from detect.errors import UserError

LARGEST_BATCH = 64  # that `train.batch: auto` takes
MORE = 1.25  # what a step takes at its peak by what it keeps for the way back: 1.14 to 1.25 where it was measured
SHARE = 0.8  # of the memory that is there, which `train.batch: auto` counts with
TOLERANCE = 0.2  # by which the loss of 16 bits may differ, as a share: roundings may give an object one prediction more

Losses = Callable[..., dict[str, torch.Tensor]]


@contextmanager
def unchanged(network: nn.Module, device: torch.device) -> Iterator[None]:
    """A block after which random numbers, running statistics and gradients are what they were before."""
    buffers = [buffer.clone() for buffer in network.buffers()]
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        try:
            yield
        finally:
            network.zero_grad(set_to_none=True)
            with torch.no_grad():
                for buffer, before in zip(network.buffers(), buffers, strict=True):
                    buffer.copy_(before)


class DryRun:
    """Steps of a training that change nothing of it.

    Args:
        task, network: what is trained.
        losses: a batch, and whether to compute in 32 bits whatever the training's precision -> named terms of the loss.
        device: torch device.
        world: the processes that train together.
    """

    def __init__(self, task: Task, network: Any, losses: Losses, device: torch.device, world: World = ALONE) -> None:
        self.task, self.network, self.losses, self.device, self.world = task, network, losses, device, world

    def fitting_batch(self) -> int:
        """The greatest power of two of images that fit into memory at once and are there, 64 at the most.

        Of several processes each takes as many as fit for the one with the least memory, all together 64 at the most.

        Raises:
            UserError: not even two fit, or the system does not tell how much memory there is.
        """
        there, size = self.memory, self.world.size
        if there is None:
            raise UserError(f"train.batch: auto does not know the memory of {self.device}; give a number")
        each = self.bytes_per_image()
        room = self.world.least(int(SHARE * there / each))
        if room < 2:
            raise UserError(
                f"train.batch: auto finds no room for two images of {self.size} px: one takes about {each / 1e9:.2f} "
                f"of {there / 1e9:.2f} GB; make input.size or input.train_sizes smaller"
            )
        most = min(room, LARGEST_BATCH // size, len(self.task.train_set) // size)
        return size << int(math.log2(max(most, 1)))

    def bytes_per_image(self) -> float:
        """About what an image takes at the peak of a step, measured with two of the largest."""
        with unchanged(self.network, self.device):
            batch = self.task.largest_batch(2, self.size)
            return MORE * kept_for_backward(lambda: self.losses(batch)) / 2

    def run(self, scaler: torch.amp.GradScaler) -> None:
        """Do all that takes memory once, at its largest.  Raises UserError where memory is too small."""
        try:
            self._check_memory()
            self._step_and_evaluation(scaler)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise self.out_of_memory("tried before the first step") from error

    def out_of_memory(self, when: str) -> UserError:
        """The error that memory ended, and what to do."""
        return UserError(
            f"{when}: out of memory with {self.part} images of up to {self.size} px at a time; "
            f"{advice(self.task.settings, self.network.stride)}"
        )

    @torch.no_grad()
    def compare_precision(self, name: str) -> str:
        """A sentence on the loss of one step in 16 bits, which are called `name`, beside that in 32.

        Raises:
            UserError: they are too far apart.
        """
        with unchanged(self.network, self.device):
            batch = self.task.largest_batch(2, self.task.settings.input.size)
            ours, exact = (float(sum(self.losses(batch, exactly).values())) for exactly in (False, True))
        if not abs(ours - exact) <= TOLERANCE * abs(exact):
            raise UserError(
                f"train.precision: the loss of the first step is {ours:.5g} in {name} and {exact:.5g} in fp32; set "
                "train.precision=fp32"
            )
        return f"{name}: the loss of a made-up batch is {ours:.5g}, {exact:.5g} in fp32"

    @property
    def size(self) -> int:
        """Side of the largest images, px."""
        settings = self.task.settings
        return max(settings.input.train_sizes or [settings.input.size])

    @property
    def part(self) -> int:
        """Images at a time, in this process."""
        images = self.task.settings.train.batch // self.task.settings.train.accumulate
        return len(range(images)[self.world.shard.of(images)])

    @property
    def memory(self) -> int | None:
        """Bytes that this process may take; those of the CPU are shared by all processes of the machine."""
        there = available(self.device)
        return there // self.world.local.size if there and self.device.type == "cpu" else there

    def _check_memory(self) -> None:
        """Raise UserError if a step would take more than the CPU's memory, where a process that does is killed."""
        there = self.memory
        if self.device.type != "cpu" or there is None:
            return
        needed = self.part * self.bytes_per_image()
        if needed > there:
            raise UserError(
                f"{self.part} images of up to {self.size} px at a time take about {needed / 1e9:.2f} GB of memory, and "
                f"{there / 1e9:.2f} GB are there; {advice(self.task.settings, self.network.stride, needed / there)}"
            )

    def _step_and_evaluation(self, scaler: torch.amp.GradScaler) -> None:
        kept = len(KEPT[self.task.settings.train.optimizer])
        with unchanged(self.network, self.device):
            moments = [torch.empty_like(p) for p in trained(self.network) for _ in range(kept)]
            scaler.scale(sum(self.losses(self.task.largest_batch(self.part, self.size)).values())).backward()
            if self.task.val_set:
                self.task.evaluate_batch(self.network, self.device)
            del moments
