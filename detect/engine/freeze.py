"""Parts of a model that a training leaves as they are, chosen by name."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from torch import nn

from detect.errors import UserError, nearest


def freeze(model: nn.Module, patterns: Sequence[str]) -> None:
    """Fix what `patterns` name: no gradient, and modules in eval mode (norms keep their statistics, no dropout).

    Call it after `model.train()`, which would undo the eval mode.

    Args:
        patterns: names of modules or parameters, shell-style wildcards allowed: `backbone`, `layers.1?`, `*.norm`. A
            module stands for everything in it.

    Raises:
        UserError: a pattern names nothing, or nothing is left to train.
    """
    for pattern in patterns:
        modules = [module for name, module in model.named_modules() if name and fnmatchcase(name, pattern)]
        parameters = [parameter for name, parameter in model.named_parameters() if fnmatchcase(name, pattern)]
        if not modules and not parameters:
            children = [name for name, _ in model.named_children()]
            raise UserError(f"train.freeze: '{pattern}' names no part of the model{nearest(pattern, children)}")
        for module in modules:
            module.eval().requires_grad_(False)
        for parameter in parameters:
            parameter.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise UserError(f"train.freeze: {', '.join(patterns)} leaves nothing to train; freeze less")
