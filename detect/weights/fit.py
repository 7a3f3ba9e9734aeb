"""Whether tensors from a file are those of a network: the same names, shapes and kinds of numbers."""

import torch
from torch import Tensor, nn

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def misfit(tensors: object, network: nn.Module) -> str:
    """The first thing that keeps `tensors` from being the state of `network`, in words; nothing if they fit.

    Floating-point numbers may have another number of bits.
    """
    if not isinstance(tensors, dict):
        return "it has no tensors by name"
    expected = network.state_dict()
    for name in expected.keys() - tensors.keys():
        return f"'{name}' is missing"
    for name, tensor in tensors.items():
        if name not in expected:
            return f"'{str(name)[:60]}' is not part of it"
        if not isinstance(tensor, Tensor):
            return f"'{name}' is no tensor"
        if tensor.shape != expected[name].shape:
            return f"'{name}' has the shape {list(tensor.shape)[:8]}, not {list(expected[name].shape)}"
        if not _is_plain(tensor) or not _same_kind(tensor.dtype, expected[name].dtype):
            return f"'{name}' holds {str(tensor.dtype).removeprefix('torch.')} numbers of no use there"
        if tensor.is_floating_point() and not tensor.isfinite().all():
            return f"'{name}' holds numbers that are not finite"
    return ""


def _is_plain(tensor: Tensor) -> bool:
    """Whether it lies in this machine's memory, number by number."""
    return tensor.device.type == "cpu" and tensor.layout is torch.strided and not tensor.is_quantized


def _same_kind(kind: torch.dtype, expected: torch.dtype) -> bool:
    return kind == expected or (kind in FLOATS and expected in FLOATS)
