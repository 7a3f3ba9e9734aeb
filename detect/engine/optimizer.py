"""What changes the weights: SGD or AdamW, with learning rates and decay by part."""

from typing import Any

import torch
from torch import Tensor, nn

from detect.config.schema import TrainSettings
from detect.engine.freeze import parts_named

# by `train.optimizer`: what is kept of each parameter, of which Adam's "step" is a number and stays on the CPU
KEPT = {"sgd": ("momentum_buffer",), "adamw": ("step", "exp_avg", "exp_avg_sq")}


def make_optimizer(network: nn.Module, train: TrainSettings) -> torch.optim.Optimizer:
    """The optimizer of a network's trained parameters; weight decay is on convolutions' weights only, as in Darknet.

    AdamW is that of arXiv 1711.05101. A group's "scale" is what its learning rate is multiplied by (`train.lr_scale`;
    of patterns that name the same parameter, the last).

    Raises:
        UserError: a pattern names nothing.
    """
    scales: dict[nn.Parameter, float] = {}
    for pattern, scale in train.lr_scale.items():
        scales |= dict.fromkeys(parts_named(network, pattern, "train.lr_scale")[1], scale)
    groups: dict[tuple[bool, float], list[nn.Parameter]] = {}
    for parameter in trained(network):
        groups.setdefault((parameter.ndim > 1, scales.get(parameter, 1.0)), []).append(parameter)
    options: list[dict[str, Any]] = [
        {"params": parameters, "weight_decay": train.weight_decay if decayed else 0.0, "scale": scale}
        for (decayed, scale), parameters in sorted(groups.items(), key=lambda group: not group[0][0])
    ]
    if train.optimizer == "adamw":
        return torch.optim.AdamW(options, lr=train.lr, betas=tuple(train.betas))
    return torch.optim.SGD(options, lr=train.lr, momentum=train.momentum, nesterov=train.nesterov)


def trained(network: nn.Module) -> list[nn.Parameter]:
    """The parameters that a training changes, in the network's order."""
    return [parameter for parameter in network.parameters() if parameter.requires_grad]


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Learning rate of the next step."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["scale"]


def moments(optimizer: torch.optim.Optimizer, network: nn.Module) -> list[dict[str, Tensor]]:
    """What the optimizer keeps of each trained parameter by name, nothing before its first step."""
    kept = [optimizer.state.get(parameter, {}) for parameter in trained(network)]
    return [{name: value for name, value in of.items() if value is not None} for of in kept]


def set_moments(optimizer: torch.optim.Optimizer, network: nn.Module, kept: list[dict[str, Tensor]]) -> None:
    """Go on from what `moments` gave."""
    for parameter, of in zip(trained(network), kept, strict=True):
        for name, value in of.items():
            optimizer.state[parameter][name] = value if name == "step" else value.to(parameter.device)


def are_moments(value: object, parameters: list[nn.Parameter], optimizer: str) -> bool:
    """Whether it is what `moments` gives of `parameters` and an optimizer of this name."""
    if not isinstance(value, list) or len(value) != len(parameters):
        return False
    return all(_is_of(of, parameter, KEPT[optimizer]) for of, parameter in zip(value, parameters, strict=True))


def _is_of(value: object, parameter: nn.Parameter, names: tuple[str, ...]) -> bool:
    if not isinstance(value, dict) or (value and value.keys() != set(names)):
        return False
    return all(
        isinstance(tensor, Tensor)
        and tensor.layout == torch.strided
        and tensor.device.type == "cpu"
        and tensor.dtype == (torch.float32 if name == "step" else parameter.dtype)
        and tensor.shape == (() if name == "step" else parameter.shape)
        for name, tensor in value.items()
    )
