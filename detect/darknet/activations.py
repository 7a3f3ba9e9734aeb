"""Darknet's activations by their names there."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn


class Elementwise(nn.Module):
    """A function of a tensor as a module."""

    def __init__(self, name: str, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.name, self.function = name, function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x)

    def extra_repr(self) -> str:
        return self.name


def _hard_mish(x: torch.Tensor) -> torch.Tensor:
    return x / 2 * (x + 2).clamp(0, 2)


def _gelu(x: torch.Tensor) -> torch.Tensor:
    return F.gelu(x, approximate="tanh")


def _loggy(x: torch.Tensor) -> torch.Tensor:
    return torch.tanh(x / 2)


def _ramp(x: torch.Tensor) -> torch.Tensor:
    return F.relu(x) + 0.1 * x


def _plse(x: torch.Tensor) -> torch.Tensor:
    return torch.where(x < -4, 0.01 * (x + 4), torch.where(x > 4, 0.01 * (x - 4) + 1, 0.125 * x + 0.5))


def _lhtan(x: torch.Tensor) -> torch.Tensor:
    return torch.where(x < 0, 0.001 * x, torch.where(x > 1, 0.001 * (x - 1) + 1, x))


def _stair(x: torch.Tensor) -> torch.Tensor:
    whole = x.floor()
    half = (x / 2).floor()
    return torch.where(whole.remainder(2) == 0, half, x - whole + half)


def _normalize_channels(x: torch.Tensor) -> torch.Tensor:
    x = F.relu(x)
    return x / (x.sum(dim=1, keepdim=True) + 1e-4)


def _normalize_channels_softmax(x: torch.Tensor) -> torch.Tensor:
    x = x.exp()
    return x / (x.sum(dim=1, keepdim=True) + 1e-4)


def _normalize_channels_softmax_maxval(x: torch.Tensor) -> torch.Tensor:
    return _normalize_channels_softmax(x - x.amax(dim=1, keepdim=True))


FUNCTIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "tanh": torch.tanh,
    "logistic": torch.sigmoid,
    "hard_mish": _hard_mish,
    "gelu": _gelu,
    "loggy": _loggy,
    "ramp": _ramp,
    "plse": _plse,
    "lhtan": _lhtan,
    "stair": _stair,
    "normalize_channels": _normalize_channels,
    "normalize_channels_softmax": _normalize_channels_softmax,
    "normalize_channels_softmax_maxval": _normalize_channels_softmax_maxval,
}
MODULES: dict[str, Callable[[], nn.Module]] = {
    "linear": nn.Identity,
    "leaky": lambda: nn.LeakyReLU(0.1, inplace=True),
    "revleaky": lambda: nn.LeakyReLU(0.1, inplace=True),  # differs in training only
    "relie": lambda: nn.LeakyReLU(0.01, inplace=True),
    "relu": lambda: nn.ReLU(inplace=True),
    "relu6": lambda: nn.ReLU6(inplace=True),
    "hardtan": lambda: nn.Hardtanh(inplace=True),
    "swish": lambda: nn.SiLU(inplace=True),
    "mish": lambda: nn.Mish(inplace=True),
    "elu": lambda: nn.ELU(inplace=True),
    "selu": lambda: nn.SELU(inplace=True),
}


def make_activation(name: str) -> nn.Module:
    """The module of Darknet's activation `name`; a fresh tensor goes in, it may be overwritten."""
    return MODULES[name]() if name in MODULES else Elementwise(name, FUNCTIONS[name])
