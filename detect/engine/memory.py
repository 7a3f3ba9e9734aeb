"""Memory of a training: how much there is, how much a step takes, and what to do when it ends."""

import ctypes
import sys
from collections.abc import Callable
from typing import Any

import torch

from detect.config.schema import ClassifierSettings, Settings
from detect.data.loading.memory import free_memory

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # glibc's malloc.h
OUT_OF_MEMORY = ("DefaultCPUAllocator: can't allocate memory", "DefaultCPUAllocator: not enough memory")


def keep_freed_memory() -> None:
    """Tell glibc to keep freed memory instead of handing it back to the system after every large tensor.

    The next step needs the same sizes again, and fresh pages cost more than many layers: on two cores a step of
    CSPPeleeNet-EFM takes 1.2 instead of 1.7 seconds. Does nothing where there is no glibc.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    mallopt(M_MMAP_MAX, 0)
    mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether it says that memory ended, on whatever device."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or any(t in str(error) for t in OUT_OF_MEMORY)


def available(device: torch.device) -> int | None:
    """Bytes that a training may still take; None where the system does not tell.

    On the CPU that is Linux's own estimate, or what a container's limit leaves: beyond it a process is killed.
    """
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return free_memory() if device.type == "cpu" else None


def kept_for_backward(forward: Callable[[], Any]) -> int:
    """Bytes of the tensors that `forward()` keeps for the way back: most of what a training step takes."""
    kept: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        result = forward()  # held, so that no two tensors had the same place
    del result
    return sum(kept.values())


def advice(settings: Settings | ClassifierSettings, stride: int, factor: float = 2) -> str:
    """Settings, each of which alone takes less memory by `factor`: three, where there are so many."""
    train, sizes = settings.train, settings.input.train_sizes
    tried, part = [], train.batch // train.accumulate
    fewer = int(part / factor)
    if parts := next(
        (n for n in range(1, train.batch + 1) if train.batch % n == 0 and train.batch // n <= fewer), None
    ):
        tried.append(f"train.accumulate={parts}")
    if fewer:
        tried.append(f"train.batch={fewer * train.accumulate}")  # as many parts of fewer images
    smallest, largest = sizes or (stride, settings.input.size)
    smaller = int(largest / factor**0.5) // stride * stride
    if smaller >= max(stride, 32):
        tried.append(f"input.train_sizes=[{min(smallest, smaller)},{smaller}]" if sizes else f"input.size={smaller}")
    if train.precision in ("auto", "fp32") and len(tried) < 3 and factor <= 2:
        tried.append("train.precision=bf16")
    if not tried:
        return "use a smaller model, or a device with more memory"
    return "try " + " or ".join(filter(None, [", ".join(tried[:-1]), tried[-1]]))
