"""Parts of a model by name, and those that a training leaves as they are."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from torch import nn

from detect.errors import UserError, nearest


def parts_named(model: nn.Module, pattern: str, setting: str) -> tuple[list[nn.Module], list[nn.Parameter]]:
    """The modules that a pattern names, and the parameters that it names or that are in these modules.

    Args:
        pattern: a name with shell-style wildcards: `backbone`, `layers.1?`, `*.norm`, `head.predictions.0.bias`.
        setting: the pattern's, for the message.

    Raises:
        UserError: it names nothing.
    """
    modules = [module for name, module in model.named_modules() if name and fnmatchcase(name, pattern)]
    parameters = [parameter for name, parameter in model.named_parameters() if fnmatchcase(name, pattern)]
    if not modules and not parameters:
        children = [name for name, _ in model.named_children()]
        raise UserError(f"{setting}: '{pattern}' names no part of the model{nearest(pattern, children)}")
    inner = [parameter for module in modules for parameter in module.parameters()]
    return modules, list(dict.fromkeys(parameters + inner))


def freeze(model: nn.Module, patterns: Sequence[str]) -> None:
    """Fix what `patterns` name: no gradient, and modules in eval mode (norms keep their statistics, no dropout).

    Call it after `model.train()`, which would undo the eval mode.

    Raises:
        UserError: a pattern names nothing, or nothing is left to train.
    """
    for pattern in patterns:
        modules, parameters = parts_named(model, pattern, "train.freeze")
        for module in modules:
            module.eval()
        for parameter in parameters:
            parameter.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise UserError(f"train.freeze: {', '.join(patterns)} leaves nothing to train; freeze less")
