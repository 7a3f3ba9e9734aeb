"""What backbones made of stages have in common."""

from collections.abc import Iterable

from torch import Tensor, nn


def outputs_of(stages: Iterable[nn.Module], x: Tensor) -> list[Tensor]:
    """The output of each stage, where every stage takes the one before it and the first takes `x`."""
    outputs = []
    for stage in stages:
        x = stage(x)
        outputs.append(x)
    return outputs
