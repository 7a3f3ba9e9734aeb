"""Shared memory, in which loader processes hand over their batches: enough of it, or one sentence before the start."""

import os
from typing import TYPE_CHECKING

from detect.errors import UserError

if TYPE_CHECKING:
    from detect.config.schema import ClassifierSettings, Settings

SHARED = "/dev/shm"  # where Linux keeps it
PREFETCH = 2  # batches that each loader process makes ahead
IN_USE = 2  # batches that the training may hold at the same time
BYTES_PER_IMAGE = 3 * 4096  # for boxes, labels and weights, a page each
ADVICE = "give more (docker run --shm-size=1g) or set train.workers=0"


def loader_processes(settings: "Settings | ClassifierSettings") -> int:
    """How many processes read the images."""
    return min(settings.train.workers, os.cpu_count() or 1)


def check_shared_memory(settings: "Settings | ClassifierSettings") -> None:
    """Raise UserError if the largest batches of a training would not find room in the shared memory that is free."""
    workers, free = loader_processes(settings), free_bytes()
    if not workers or free is None or settings.train.batch == "auto":
        return
    largest = max(settings.input.train_sizes or [settings.input.size])
    images = settings.train.batch // settings.train.accumulate
    needed = (workers * PREFETCH + IN_USE) * images * (largest**2 * 3 + BYTES_PER_IMAGE)
    if needed > free:
        raise UserError(
            f"train.workers: {workers} loader processes need {needed / 1e6:.0f} MB of shared memory for batches of "
            f"{images} images of {largest} px, and {SHARED} has {free / 1e6:.0f} MB free; {ADVICE}"
        )


def free_bytes() -> int | None:
    """Bytes of shared memory that are free; None where there is no such limit."""
    try:
        status = os.statvfs(SHARED)
    except (OSError, AttributeError):  # AttributeError: Windows
        return None
    return status.f_bavail * status.f_frsize if status.f_blocks else None
