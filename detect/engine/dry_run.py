"""What could go wrong hours after the start, tried before it: memory, and the precision of 16 bits."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from detect.config.schema import ClassifierSettings, Settings
from detect.engine.memory import advice, available, kept_for_backward
from detect.engine.task import Task
from detect.errors import UserError

LARGEST_BATCH = 64  # that `train.batch: auto` takes
MORE = 1.25  # what a step takes at its peak by what it keeps for the way back: 1.14 to 1.25 where it was measured
SHARE = 0.8  # of the memory that is there, which `train.batch: auto` counts with
TOLERANCE = 0.05  # by which the loss of 16 bits may differ from that of 32, as a share of it

Forward = Callable[[Any], dict[str, torch.Tensor]]  # a batch -> named terms of the loss


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


def largest_size(settings: Settings | ClassifierSettings) -> int:
    """Side of the largest images of a training, px."""
    return max(settings.input.train_sizes or [settings.input.size])


def fitting_batch(task: Task, network: nn.Module, forward: Forward, device: torch.device) -> int:
    """The greatest power of two of images that fit into memory at once and are there, 64 at the most.

    Raises:
        UserError: not even two fit, or the system does not tell how much memory there is.
    """
    there = available(device)
    if there is None:
        raise UserError(f"train.batch: auto does not know the memory of {device}; give a number")
    each = _bytes_per_image(task, network, forward, device)
    most = min(LARGEST_BATCH, len(task.train_set), int(SHARE * there / each))
    if most < 2:
        raise UserError(
            f"train.batch: auto finds no room for two images of {largest_size(task.settings)} px: one takes about "
            f"{each / 1e9:.2f} of {there / 1e9:.2f} GB; make input.size or input.train_sizes smaller"
        )
    return 1 << int(math.log2(most))


def check_memory(task: Task, network: Any, forward: Forward, device: torch.device) -> None:
    """Raise UserError if a step would take more than the CPU's memory, where a process that does is killed."""
    there = available(device)
    if device.type != "cpu" or there is None:
        return
    train, size = task.settings.train, largest_size(task.settings)
    part = train.batch // train.accumulate
    needed = part * _bytes_per_image(task, network, forward, device)
    if needed > there:
        raise UserError(
            f"{part} images of up to {size} px at a time take about {needed / 1e9:.2f} GB of memory, and "
            f"{there / 1e9:.2f} GB are there; {advice(task.settings, network.stride, needed / there)}"
        )


def _bytes_per_image(task: Task, network: nn.Module, forward: Forward, device: torch.device) -> float:
    """About what an image takes at the peak of a step, measured with two of the largest."""
    with unchanged(network, device):
        batch = task.largest_batch(2, largest_size(task.settings))
        return MORE * kept_for_backward(lambda: forward(batch)) / 2


def dry_run(
    task: Task, network: nn.Module, forward: Forward, scaler: torch.amp.GradScaler, device: torch.device, kept: int
) -> None:
    """Do all that takes memory once, at its largest, and leave everything as it was.

    Args:
        kept: how many tensors the optimizer keeps of each parameter.

    Raises:
        torch.OutOfMemoryError, RuntimeError: memory is too small.
    """
    train = task.settings.train
    with unchanged(network, device):
        moments = [torch.empty_like(p) for p in network.parameters() if p.requires_grad for _ in range(kept)]
        batch = task.largest_batch(train.batch // train.accumulate, largest_size(task.settings))
        scaler.scale(sum(forward(batch).values())).backward()
        if task.val_set:
            task.evaluate_batch(network, device)
        del moments


@torch.no_grad()
def check_precision(
    task: Task, network: nn.Module, forward: Forward, exact: Forward, device: torch.device, name: str
) -> str:
    """A sentence on the loss of one step in 16 bits beside that in 32.

    Args:
        forward, exact: in 16 and in 32 bits; `name` is what the former are called.

    Raises:
        UserError: they are too far apart.
    """
    with unchanged(network, device):
        batch = task.largest_batch(2, task.settings.input.size)
        ours, theirs = (float(sum(of(batch).values())) for of in (forward, exact))
    if not abs(ours - theirs) <= TOLERANCE * abs(theirs):
        raise UserError(
            f"train.precision: the loss of the first step is {ours:.5g} in {name} and {theirs:.5g} in fp32; set "
            "train.precision=fp32"
        )
    return f"{name}: the loss of a made-up batch is {ours:.5g}, {theirs:.5g} in fp32"
