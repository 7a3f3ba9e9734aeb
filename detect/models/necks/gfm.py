"""GFM, the global fusion model that the CSPNet paper compares EFM with (arXiv 1911.11929, Fig. 6b)."""

import functools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from detect.models.layers import ConvNormAct, Resize, compress
from detect.models.necks.bottom_up import BottomUpPrediction
from detect.models.necks.levels import levels_of
from detect.models.registry import NECKS


@NECKS.register
class GFM(nn.Module):
    """All levels and a global average of the coarsest are fused into one map, which is fanned out to every scale.

    Pyramid -> one map per width, fine to coarse.

    Established by Fig. 6b: what is fused, that it is one map, the bottom-up prediction. **Inferred** are all widths:
    every level at the width of the second coarsest scale, twice that width in the fusion, chosen because they give the
    published 4.605 BFLOPs at 416 within 0.2%.

    Args:
        in_channels, strides: of the pyramid.
        widths: one per scale, fine to coarse.
        sam: spatial attention at the entrance of each prediction branch.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        strides: Sequence[int],
        widths: Sequence[int] = (64, 128, 256),
        sam: bool = False,
        activation: str = "leaky_relu",
    ) -> None:
        super().__init__()
        _, self.strides = levels_of("GFM", widths, in_channels, strides)
        width = widths[-2]
        conv = functools.partial(ConvNormAct, activation=activation)
        *finer, top = in_channels
        compressed = [compress(channels, width) for channels in finer]
        self.levels = nn.ModuleList([*(layer for layer, _ in compressed), conv(top, width)])
        self.resize = Resize()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.globe = nn.Conv2d(top, width, 1)  # a norm would see one value per image
        joined = sum(channels for _, channels in compressed) + 2 * width
        self.fuse = nn.Sequential(conv(joined, 2 * width), conv(2 * width, width, 3))
        self.widen = conv(width, widths[-1])
        fused = (width,) * (len(widths) - 1) + (widths[-1],)
        self.predict = BottomUpPrediction(fused, widths, sam, activation)
        self.channels = self.predict.channels

    def forward(self, pyramid: list[Tensor]) -> list[Tensor]:
        size = pyramid[-2].shape[-2:]
        maps = [self.resize(level(x), size) for level, x in zip(self.levels, pyramid, strict=True)]
        globe = self.globe(self.pool(pyramid[-1]))
        fused = self.fuse(torch.cat([*maps, globe.expand(-1, -1, *size)], dim=1))
        scales = [self.resize(fused, x.shape[-2:]) for x in pyramid[-len(self.strides) : -1]]
        return self.predict([*scales, self.widen(self.resize(fused, pyramid[-1].shape[-2:]))])
