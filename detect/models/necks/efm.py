"""EFM, the exact fusion model (arXiv 1911.11929, section 3.2, Fig. 6c)."""

import functools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from detect.models.layers import SPP, AddChannels, ConvNormAct, Upsample, compress
from detect.models.necks.bottom_up import BottomUpPrediction
from detect.models.necks.levels import levels_of
from detect.models.registry import NECKS

MakeConv = Callable[..., ConvNormAct]  # (in_channels, out_channels, kernel_size=1, stride=1)


class FuseCoarsest(nn.Module):
    """F5 <- L5, L4: 3x3(1x1(L5)) + pool(Maxout(L4)). -> [B, width, H, W] at L5's size"""

    def __init__(self, own: int, finer: int, width: int, conv: MakeConv) -> None:
        super().__init__()
        self.own = nn.Sequential(conv(own, width), conv(width, width, 3))
        self.finer, _ = compress(finer, width)
        self.down = nn.MaxPool2d(2)
        self.add = AddChannels()
        self.channels = width

    def forward(self, own: Tensor, finer: Tensor) -> Tensor:
        return self.add(self.own(own), self.down(self.finer(finer)))


class FuseBetween(nn.Module):
    """F4 <- F5, L4, L3: 1x1(3x3(1x1(concat(up(1x1(F5)), L4)))), joined with 3x3/2(L3); L4 and L3 are compressed.

    -> [B, 2 * finer_width, H, W] at L4's size
    """

    def __init__(self, coarser: int, own: int, finer: int, width: int, finer_width: int, conv: MakeConv) -> None:
        super().__init__()
        self.reduce = nn.Sequential(conv(coarser, width), Upsample())
        self.fuse = nn.Sequential(conv(width + own, width), conv(width, width, 3), conv(width, finer_width))
        self.down = conv(finer, finer_width, 3, stride=2)
        self.channels = 2 * finer_width

    def forward(self, coarser: Tensor, own: Tensor, finer: Tensor) -> Tensor:
        deep = self.fuse(torch.cat([self.reduce(coarser), own], dim=1))
        return torch.cat([deep, self.down(finer)], dim=1)


class FuseFinest(nn.Module):
    """F3 <- F4, L3, L2: g = 1x1(3x3(1x1(concat(3x3(1x1(L3)), pool(Maxout(L2)))))); concat(g, 3x3(g), up(Maxout(F4))).

    `finer` is 0 where the pyramid has no finer level. -> [B, 2 * (width // 2) + width, H, W] at L3's size
    """

    def __init__(self, coarser: int, own: int, finer: int, width: int, conv: MakeConv) -> None:
        super().__init__()
        half = width // 2
        self.own = nn.Sequential(conv(own, half), conv(half, half, 3))
        self.finer, finer = compress(finer, half)
        self.down = nn.MaxPool2d(2)
        self.fuse = nn.Sequential(conv(half + finer, width), conv(width, width, 3), conv(width, half))
        self.widen = conv(half, half, 3)
        self.coarser, coarser = compress(coarser, width)
        self.up = Upsample()
        self.channels = 2 * half + coarser

    def forward(self, coarser: Tensor, own: Tensor, finer: Tensor | None = None) -> Tensor:
        maps = [self.own(own)] if finer is None else [self.own(own), self.down(self.finer(finer))]
        g = self.fuse(torch.cat(maps, dim=1))
        return torch.cat([g, self.widen(g), self.up(self.coarser(coarser))], dim=1)


@NECKS.register
class EFM(nn.Module):
    """Fuse each scale with its two neighbours, compress with Maxout, predict bottom-up.

    C2..C5 at strides s, 2s, 4s, 8s -> P3 [B, w3, H/2s, W/2s], P4 [B, w4, H/4s, W/4s], P5 [B, w4, H/8s, W/8s].

    Established by Fig. 6c: F5 fuses L5 and L4; F4 fuses L4, L3 and F5; F3 fuses L3, L2 and F4; then P3 <- F3,
    P4 <- (P3, F4), P5 <- (P4, F5). Recovered from Fig. 7: every convolution with its width (4.158 M floats and
    4.866 BFLOPs at 416 on CSPPeleeNet, 4.308 M and 5.066 with SAM). Inferred ("EFM-R1"), because they cost neither
    parameters nor BFLOPs: that C4 enters F5 by addition, the order inside F3, that F4 is upsampled through Maxout,
    and that F5 joins P5 by addition. Inferred too: where SPP stands.

    With two or four widths the same fusions stand elsewhere: F5's at the coarsest scale, F3's at the finest (P2 has no
    finer level to fuse), F4's at those between.

    Args:
        in_channels, strides: of the pyramid.
        widths: (w3, w4, w5), the widths of the fusion at each scale, fine to coarse.
        sam: spatial attention on the fused map at the entrance of each prediction branch.
        spp: spatial pyramid pooling of F5 on its way to the next finer scale.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        strides: Sequence[int],
        widths: Sequence[int] = (64, 128, 256),
        sam: bool = False,
        spp: bool = False,
        activation: str = "leaky_relu",
    ) -> None:
        super().__init__()
        levels, self.strides = levels_of("EFM", widths, in_channels, strides)
        scales = len(widths)
        self.finer_levels = len(in_channels) - scales  # below the finest scale
        finer = in_channels[self.finer_levels - 1] if self.finer_levels else 0
        conv = functools.partial(ConvNormAct, activation=activation)
        compressed = [compress(level, width) for level, width in zip(levels[:-1], widths, strict=False)]
        self.levels = nn.ModuleList(layer for layer, _ in compressed)
        own = [channels for _, channels in compressed]

        self.coarsest = FuseCoarsest(levels[-1], levels[-2], widths[-1], conv)
        fused = [self.coarsest.channels]
        self.spp = SPP() if spp else nn.Identity()
        coarser = fused[0] * (4 if spp else 1)
        self.between = nn.ModuleList()  # coarse to fine
        for scale in reversed(range(1, scales - 1)):
            fuse = FuseBetween(coarser, own[scale], own[scale - 1], widths[scale], widths[scale - 1], conv)
            self.between.append(fuse)
            coarser = fuse.channels
            fused.insert(0, coarser)
        self.finest = FuseFinest(coarser, own[0], finer, widths[0], conv)
        fused.insert(0, self.finest.channels)

        self.predict = BottomUpPrediction(fused, widths, sam, activation)
        self.channels = self.predict.channels

    def forward(self, pyramid: list[Tensor]) -> list[Tensor]:
        finer, levels = pyramid[: self.finer_levels], pyramid[self.finer_levels :]
        own = [compress(x) for compress, x in zip(self.levels, levels[:-1], strict=True)]

        fused = [self.coarsest(levels[-1], levels[-2])]
        coarser = self.spp(fused[0])
        for scale, fuse in zip(reversed(range(1, len(own))), self.between, strict=True):
            coarser = fuse(coarser, own[scale], own[scale - 1])
            fused.insert(0, coarser)
        fused.insert(0, self.finest(coarser, own[0], *finer[-1:]))
        return self.predict(fused)
