"""PANet-SPP, the neck of CSPResNeXt50-PANet-SPP and YOLOv4 (arXiv 1803.01534; the authors' cfgs)."""

import functools
import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from detect.models.layers import SAM, ConvNormAct, Upsample
from detect.models.necks.fpn import five_convolutions
from detect.models.necks.levels import levels_of
from detect.models.registry import NECKS


@NECKS.register
class PANet(nn.Module):
    """Top-down fusion as in FPN, then bottom-up again; maps are joined by concatenation.

    Pyramid -> one map per width, fine to coarse, of twice the width: [B, 2w, H/s, W/s].
    Established by csresnext50-panet-spp.cfg, layers 81 to 137.

    Args:
        in_channels, strides: of the pyramid.
        widths: one per scale, fine to coarse.
        spp: spatial pyramid pooling at the coarsest level.
        sam: spatial attention on the joined map at the entrance of each prediction branch. The cfg of the authors'
            SAM model is not published; the place follows their other cfgs with SAM (inferred).
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        strides: Sequence[int],
        widths: Sequence[int] = (128, 256, 512),
        spp: bool = True,
        sam: bool = False,
        activation: str = "leaky_relu",
    ) -> None:
        super().__init__()
        in_channels, self.strides = levels_of("PANet", widths, in_channels, strides)
        conv = functools.partial(ConvNormAct, activation=activation)

        def fuse(width: int, attention: bool) -> nn.Module:
            convolutions = five_convolutions(2 * width, width, activation)
            return nn.Sequential(SAM(2 * width), convolutions) if attention else convolutions

        self.top = five_convolutions(in_channels[-1], widths[-1], activation, spp)
        self.reduce, self.laterals, self.fuse_up = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()  # coarse to fine
        for scale in reversed(range(len(widths) - 1)):
            self.reduce.append(conv(widths[scale + 1], widths[scale]))
            self.laterals.append(conv(in_channels[scale], widths[scale]))
            self.fuse_up.append(fuse(widths[scale], attention=sam and scale == 0))
        self.down, self.fuse_down = nn.ModuleList(), nn.ModuleList()  # fine to coarse
        for finer, width in itertools.pairwise(widths):
            self.down.append(conv(finer, width, 3, stride=2))
            self.fuse_down.append(fuse(width, attention=sam))
        self.predict = nn.ModuleList(conv(width, 2 * width, 3) for width in widths)
        self.up = Upsample()
        self.channels = tuple(2 * width for width in widths)

    def forward(self, pyramid: list[Tensor]) -> list[Tensor]:
        *levels, top = pyramid[-len(self.strides) :]
        n = [self.top(top)]
        for level, reduce, lateral, fuse in zip(
            reversed(levels), self.reduce, self.laterals, self.fuse_up, strict=True
        ):
            up = self.up(reduce(n[0]))
            n.insert(0, fuse(torch.cat([lateral(level), up], dim=1)))
        m = n[0]
        fused = [self.predict[0](m)]
        for coarser, down, fuse, predict in zip(n[1:], self.down, self.fuse_down, self.predict[1:], strict=True):
            m = fuse(torch.cat([down(m), coarser], dim=1))
            fused.append(predict(m))
        return fused
