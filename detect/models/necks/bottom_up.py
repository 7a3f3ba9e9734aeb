"""The bottom-up prediction path that GFM and EFM share (arXiv 1911.11929, Fig. 6b and 6c)."""

import functools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from detect.models.layers import SAM, ConvNormAct


class BottomUpPrediction(nn.Module):
    """Fused maps F, fine to coarse -> maps P for the head, each built on its F and the next finer P.

    P_s = 3x3(1x1([SAM](concat(3x3/2(P_finer), F_s)))); the finest has no P_finer, and at the coarsest scale the two are
    added instead of concatenated. [B, C_s, H/s, W/s] -> [B, channels_s, H/s, W/s]

    Args:
        fused: channels of the F; the coarsest has `widths[-1]`.
        widths: w_s of the scales; P has w_s channels, at the coarsest scale those of the scale before it.
        sam: spatial attention at the entrance of each scale's branch.
    """

    def __init__(self, fused: Sequence[int], widths: Sequence[int], sam: bool, activation: str) -> None:
        super().__init__()
        conv = functools.partial(ConvNormAct, activation=activation)
        self.down, self.branches = nn.ModuleList(), nn.ModuleList()  # fine to coarse
        self.channels = (*widths[:-1], widths[-2])
        coarsest = len(widths) - 1
        for scale, (width, out) in enumerate(zip(widths, self.channels, strict=True)):
            joined = fused[scale]
            if scale:
                self.down.append(conv(self.channels[scale - 1], width, 3, stride=2))
                joined += width if scale < coarsest else 0
            attention = [SAM(joined)] if sam else []
            self.branches.append(nn.Sequential(*attention, conv(joined, out), conv(out, out, 3)))

    def forward(self, fused: list[Tensor]) -> list[Tensor]:
        maps = [self.branches[0](fused[0])]
        for scale, (down, branch) in enumerate(zip(self.down, self.branches[1:], strict=True), start=1):
            finer = down(maps[-1])
            coarsest = scale == len(self.down)
            joined = finer + fused[scale] if coarsest else torch.cat([finer, fused[scale]], dim=1)
            maps.append(branch(joined))
        return maps
