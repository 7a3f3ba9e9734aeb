"""The average of a network's weights over its training, which is what gets evaluated and released."""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn


class WeightAverage:
    """`average` <- d * average + (1 - d) * network, parameters and running statistics alike, after each step.

    d grows with the number of updates t as min(decay, (1 + t) / (10 + t)), so that a short training is averaged too.
    After step `start` the average begins anew, and is the mean over the steps since (arXiv 1803.05407). That paper
    estimates the norms' statistics anew from a pass over the data in the end; here they are averaged like the weights,
    which takes no pass, and leaves the average at every step a function of the settings and the step.

    Args:
        decay: of the moving average; with 0 it is the network itself.
        start: the last step of the moving average.
    """

    def __init__(self, network: nn.Module, decay: float, start: int) -> None:
        self.average = copy.deepcopy(network).eval().requires_grad_(False)
        self.decay, self.start = decay, start
        self.updates = 0

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Take in the weights of `network` after `step` steps."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        if step > self.start:
            decay = 1 - 1 / (step - self.start)
        averages, currents = self.average.state_dict(), network.state_dict()
        floats = [name for name, value in averages.items() if value.is_floating_point()]
        torch._foreach_lerp_([averages[n] for n in floats], [currents[n] for n in floats], 1 - decay)
        for name in averages.keys() - set(floats):
            averages[name].copy_(currents[name])

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of it."""
        return {"model": self.average.state_dict(), "updates": self.updates}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        self.average.load_state_dict(state["model"])
        self.updates = state["updates"]
