"""A detector run by PyTorch: the only file of this folder that imports it."""

import copy
import os
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from detect.errors import UserError
from detect.models.detector import as_input, fits
from detect.ops.decode import Decoder, Functions
from detect.ops.nms import Candidates

PROCESS = os.getpid()  # that imported this
DEVICES = ("cpu", "cuda", "mps")


class TorchRuntime:
    """A `detect.inference.runtime.Runtime` of a detector.

    Args:
        detector: a `detect.models.detector.Detector` or `detect.darknet.network.DarknetNetwork`; it stays as it is, a
            copy is fused and put in eval mode.
        names: the K class names.
        size: side of the network's square input in px, a multiple of `detector.stride`.
        device: where the detector runs; None for CUDA where there is one, else the CPU.

    Raises:
        UserError: an argument does not fit the detector, or the device is not there.
    """

    def __init__(
        self, detector: Any, names: Sequence[str], size: int, device: str | torch.device | None = "cpu"
    ) -> None:
        self.names = tuple(str(name) for name in names)
        self.size = size
        self._check(detector)
        self.decoder = decoder_of(detector.head)
        self.network = copy.deepcopy(detector).eval().fuse().requires_grad_(False)
        self.to(device)

    def __repr__(self) -> str:
        return f"PyTorch on {self.device}"

    def to(self, device: str | torch.device | None) -> "TorchRuntime":
        """Move to another device; returns itself.  Raises UserError."""
        self.device = pick_device(device)
        self.network.to(self.device, memory_format=torch.channels_last)
        return self

    def __call__(self, squares: np.ndarray, min_score: float) -> list[Candidates]:
        """uint8 RGB [B, size, size, 3] -> of each image the candidates above `min_score`, boxes in network px."""
        # The CPU's convolutions round differently for other batch sizes: one by one, a batch changes no result there.
        at_once = 1 if self.device.type == "cpu" else max(len(squares), 1)
        parts = (squares[start : start + at_once] for start in range(0, len(squares), at_once))
        return [found for part in parts for found in self.decoder(self.raw(part), min_score)]

    @torch.inference_mode()
    def raw(self, squares: np.ndarray) -> list[np.ndarray]:
        """uint8 RGB [B, size, size, 3] -> the head's raw maps, float32 [B, A*(5+K), H_i, W_i]."""
        if os.getpid() != PROCESS and torch.get_num_threads() > 1:
            torch.set_num_threads(1)  # a forked process has none of PyTorch's threads, and would wait for them for ever
        images = torch.from_numpy(squares).to(self.device).permute(0, 3, 1, 2)  # [B, 3, size, size], channels last
        return [level.float().cpu().numpy() for level in self.network(as_input(images))]

    def _check(self, detector: Any) -> None:
        stride = detector.stride
        if not fits(self.size, stride):
            raise UserError(
                f"size is {self.size} px; give a multiple of {stride}, such as {_near(self.size, stride)}",
                argument="size",
            )
        if len(self.names) != detector.num_classes:
            raise UserError(
                f"there are {len(self.names)} class names for a detector of {detector.num_classes} classes; "
                "give the names it was trained with"
            )


def decoder_of(head: Any) -> Decoder:
    """The `Decoder` of a `detect.models.heads.yolo.YOLOv3` or `detect.darknet.head.DarknetHead`."""
    exclusive = getattr(head, "exclusive_classes", False)
    return Decoder(
        anchors=tuple(tuple((float(width), float(height)) for width, height in scale) for scale in head.anchors),
        strides=tuple(head.strides),
        num_classes=head.num_classes,
        scale_x_y=tuple(head.scale_x_y),
        new_coords=tuple(getattr(head, "new_coords", [False] * len(head.anchors))),
        exclusive_classes=exclusive,
        only_sure=exclusive and head.sections[0]["classfix"] == -1,
        functions=TORCH,
    )


def pick_device(name: str | torch.device | None = None) -> torch.device:
    """torch device of that name; CUDA where there is one, else the CPU, for None.  Raises UserError."""
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        if device.type not in DEVICES:
            raise UserError(f"{name}: not supported; give cpu, cuda, cuda:1, ... or mps", argument="device")
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UserError(f"{name}: not there ({_first_sentence(error)})", argument="device") from error
    return device


def use_threads(count: int | None) -> None:
    """Let PyTorch compute with so many threads, in all of this process; None leaves them as they are."""
    if count:
        torch.set_num_threads(count)


def _first_sentence(error: Exception) -> str:
    """What PyTorch says first; for some devices it goes on for a page."""
    return re.split(r"\. |\n", str(error), maxsplit=1)[0][:200]


def _in_torch(function: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[np.ndarray], np.ndarray]:
    return lambda x: function(torch.from_numpy(x)).numpy()


TORCH = Functions(
    sigmoid=_in_torch(torch.sigmoid),
    exp=_in_torch(torch.exp),
    softmax=_in_torch(lambda x: torch.softmax(x, dim=-1)),
)


def _near(size: Any, stride: int) -> int:
    """The positive multiple of `stride` nearest to `size`, if that is a number at all."""
    return max(round(size / stride), 1) * stride if isinstance(size, (int, float)) else 13 * stride
