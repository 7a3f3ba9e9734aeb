"""FPN as in YOLOv3 (arXiv 1804.02767), and the smaller one of YOLOv3-tiny."""

import functools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from detect.models.layers import SPP, ConvNormAct, Upsample
from detect.models.necks.levels import check_channels, levels_of
from detect.models.registry import NECKS


def five_convolutions(in_channels: int, width: int, activation: str, spp: bool = False) -> nn.Sequential:
    """1x1, 3x3, 1x1, 3x3, 1x1 of `width`, twice, `width`, ...; with `spp` pooling and a 1x1 after the third.

    [B, in_channels, H, W] -> [B, width, H, W]
    """

    conv = functools.partial(ConvNormAct, activation=activation)
    pooled = [SPP(), conv(4 * width, width)] if spp else []
    return nn.Sequential(
        conv(in_channels, width), conv(width, 2 * width, 3), conv(2 * width, width),
        *pooled,
        conv(width, 2 * width, 3), conv(2 * width, width),
    )  # fmt: skip


@NECKS.register
class FPN(nn.Module):
    """Top-down fusion of YOLOv3: each scale joins its level of the pyramid with the upsampled coarser scale.

    Pyramid -> one map per width, fine to coarse, of twice the width: [B, 2w, H/s, W/s].
    Established by yolov3.cfg, yolov3-spp.cfg and csresnext50-fpn-spp.cfg.

    Args:
        in_channels, strides: of the pyramid.
        widths: one per scale, fine to coarse.
        spp: spatial pyramid pooling at the coarsest scale (YOLOv3-SPP).
        lateral: a 1x1 convolution of each level before it is joined; YOLOv3 joins the levels as they are.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        strides: Sequence[int],
        widths: Sequence[int] = (128, 256, 512),
        spp: bool = False,
        lateral: bool = False,
        activation: str = "leaky_relu",
    ) -> None:
        super().__init__()
        in_channels, self.strides = levels_of("FPN", widths, in_channels, strides)
        conv = functools.partial(ConvNormAct, activation=activation)
        self.top = five_convolutions(in_channels[-1], widths[-1], activation, spp)
        self.reduce, self.laterals, self.fuse = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()  # coarse to fine
        for channels, width, coarser in reversed(list(zip(in_channels, widths, widths[1:], strict=False))):
            self.reduce.append(conv(coarser, width))
            self.laterals.append(conv(channels, width) if lateral else nn.Identity())
            joined = width + (width if lateral else channels)
            self.fuse.append(five_convolutions(joined, width, activation))
        self.up = Upsample()
        self.predict = nn.ModuleList(conv(width, 2 * width, 3) for width in widths)
        self.lateral = lateral
        self.channels = tuple(2 * width for width in widths)

    def forward(self, pyramid: list[Tensor]) -> list[Tensor]:
        *levels, top = pyramid[-len(self.strides) :]
        deep = self.top(top)
        fused = [self.predict[-1](deep)]
        steps = zip(reversed(levels), self.reduce, self.laterals, self.fuse, self.predict[-2::-1], strict=True)
        for level, reduce, lateral, fuse, predict in steps:
            pair = [self.up(reduce(deep)), lateral(level)]
            deep = fuse(torch.cat(pair[::-1] if self.lateral else pair, dim=1))  # the order of the cfgs
            fused.insert(0, predict(deep))
        return fused


@NECKS.register
class TinyFPN(nn.Module):
    """The neck of YOLOv3-tiny, with two scales, three (yolov3-tiny_3l.cfg) or four.

    Pyramid -> one map per width, fine to coarse: [B, w, H/s, W/s].

    Args:
        in_channels, strides: of the pyramid.
        widths: of the 3x3 convolution of each scale, fine to coarse.
        top_width: of the 1x1 convolution of the coarsest level.
        up_width: of the map that goes to the next finer scale.
        joined: the prediction of a finer scale also sees the map that its 3x3 convolution reads: PeleeNet-YOLO of
            Fig. 7 in arXiv 1911.11929 (recovered; 5.06 BFLOPs at 416).
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        strides: Sequence[int],
        widths: Sequence[int] = (256, 512),
        top_width: int = 256,
        up_width: int = 128,
        joined: bool = False,
        activation: str = "leaky_relu",
    ) -> None:
        super().__init__()
        in_channels, self.strides = levels_of("TinyFPN", widths, in_channels, strides)
        check_channels("top_width", top_width)
        check_channels("up_width", up_width)
        conv = functools.partial(ConvNormAct, activation=activation)
        self.reduce_top = conv(in_channels[-1], top_width)
        self.predict_top = conv(top_width, widths[-1], 3)
        self.reduce, self.predict = nn.ModuleList(), nn.ModuleList()  # coarse to fine
        coarser = top_width
        for channels, width in reversed(list(zip(in_channels[:-1], widths[:-1], strict=True))):
            self.reduce.append(conv(coarser, up_width))
            self.predict.append(conv(up_width + channels, width, 3))
            coarser = width
        self.up = Upsample()
        self.joined = joined
        beside = [up_width + channels for channels in in_channels[:-1]] if joined else [0] * (len(widths) - 1)
        self.channels = tuple(width + more for width, more in zip(widths, [*beside, 0], strict=True))

    def forward(self, pyramid: list[Tensor]) -> list[Tensor]:
        *levels, top = pyramid[-len(self.strides) :]
        coarser = self.reduce_top(top)
        fused = [self.predict_top(coarser)]
        for level, reduce, predict in zip(reversed(levels), self.reduce, self.predict, strict=True):
            pair = torch.cat([self.up(reduce(coarser)), level], dim=1)
            coarser = predict(pair)
            fused.insert(0, torch.cat([coarser, pair], dim=1) if self.joined else coarser)
        return fused
