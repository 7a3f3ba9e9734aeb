"""Elastic (arXiv 1812.05262): a part of every block works at half resolution, so the net chooses its scale."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from detect.models.layers import AddChannels, make_activation


def doubled(x: Tensor, like: Tensor) -> Tensor:
    """x [B, C, ceil(H/2), ceil(W/2)] repeated to the height and width of `like`. -> [B, C, H, W]"""
    height, width = like.shape[-2:]
    return F.interpolate(x, scale_factor=2.0, mode="nearest")[..., :height, :width]


class ElasticResidual(nn.Module):
    """act(concat(full(A), up(low(pool(B)))) + x), where A and B are the two halves of x's channels.

    The idiom of the authors' csresnet50-elastic.cfg. [B, C, H, W] -> [B, C', H, W], C' as `full` and `low` return.

    Args:
        full, low: the layers of either half; together they return as many channels as the block.
    """

    def __init__(self, full: nn.Module, low: nn.Module, activation: str) -> None:
        super().__init__()
        self.full, self.low = full, low
        self.pool = nn.MaxPool2d(2, ceil_mode=True)
        self.add = AddChannels()
        self.act = make_activation(activation)

    def forward(self, x: Tensor) -> Tensor:
        a, b = x.chunk(2, dim=1)
        joined = torch.cat([self.full(a), doubled(self.low(self.pool(b)), like=x)], dim=1)
        return self.act(self.add(joined, x))
