"""PeleeNet (arXiv 1804.06882), its sparse and grouped variants, and CSPPeleeNet (arXiv 1911.11929).

The authors published no cfg of CSPPeleeNet. Its layer table was recovered from the per-layer BFLOPs of the paper's
Fig. 7 and counts exactly as published: 2.83 M weights with the classifier, 0.888 BFLOPs at 224. Open in the figure, and
chosen here: max pooling between the stages (Darknet had no average pooling with a window then; the count is the same)
and the order inside the concatenations (the block's path first, the bypass second, as in the sister nets' cfgs).
"""

import torch
from torch import Tensor, nn

from detect.errors import OptionError
from detect.models.csp import CrossStagePartial
from detect.models.layers import ConvNormAct, SqueezeExcite
from detect.models.registry import BACKBONES

GROWTH_RATE = 32
SE_REDUCTION = 32  # inferred: adds 0.02 M weights to CSPPeleeNet, as published, but 0.05 M to PeleeNet (published 0.02)
# (two-way dense layers, their bottleneck width t) per stage
PELEE_STAGES = ((3, 16), (4, 32), (8, 64), (6, 64))
CSP_STAGES = ((2, 16), (4, 32), (8, 64), (4, 64))


class Stem(nn.Module):
    """PeleeNet's two-way stem. [B, 3, H, W] -> [B, 64, H/4, W/4]

    CSPPeleeNet's has a 1x1 behind the pooling (Fig. 7, layers 0-4), PeleeNet's has one behind the join.
    """

    def __init__(self, activation: str, pooled_conv: bool) -> None:
        super().__init__()
        self.conv = ConvNormAct(3, 32, 3, stride=2, activation=activation)
        self.pooled = nn.Sequential(
            nn.MaxPool2d(2), ConvNormAct(32, 32, activation=activation) if pooled_conv else nn.Identity()
        )
        self.convolved = nn.Sequential(
            ConvNormAct(32, 16, activation=activation), ConvNormAct(16, 32, 3, stride=2, activation=activation)
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        x = self.conv(images)
        return torch.cat([self.pooled(x), self.convolved(x)], dim=1)


class TwoWayDenseLayer(nn.Module):
    """PeleeNet's dense layer with two receptive fields. [B, C, H, W] -> [B, C + 32, H, W]

    right: 1x1 to t, 3x3 to 16, 3x3 to 16;  left: 1x1 to t, 3x3 to 16;  output: concat(x, left, right).
    `group_width`: channels of a group in the 3x3 convolutions (0: no groups).
    """

    def __init__(self, in_channels: int, bottleneck: int, activation: str, group_width: int = 0) -> None:
        super().__init__()
        half = GROWTH_RATE // 2

        def conv(in_channels: int, out_channels: int, kernel_size: int = 1) -> ConvNormAct:
            groups = in_channels // group_width if group_width and kernel_size > 1 else 1
            return ConvNormAct(in_channels, out_channels, kernel_size, groups=groups, activation=activation)

        self.right = nn.Sequential(conv(in_channels, bottleneck), conv(bottleneck, half, 3), conv(half, half, 3))
        self.left = nn.Sequential(conv(in_channels, bottleneck), conv(bottleneck, half, 3))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.new_maps(x)], dim=1)

    def new_maps(self, x: Tensor) -> Tensor:
        """The 32 channels that the layer adds."""
        return torch.cat([self.left(x), self.right(x)], dim=1)


class SparseDenseBlock(nn.Module):
    """Dense layers with exponentially spaced connections (SparseNet, arXiv 1801.05895).

    Layer i reads the outputs i-1, i-2, i-4, i-8, ... (output 0 is the block's input); the block returns all of them.
    [B, C, H, W] -> [B, C + 32 * depth, H, W]
    """

    def __init__(self, in_channels: int, depth: int, bottleneck: int, activation: str) -> None:
        super().__init__()
        channels = (in_channels, *(GROWTH_RATE,) * depth)
        self.sources = [_exponentially_before(i) for i in range(1, depth + 1)]
        self.layers = nn.ModuleList(
            TwoWayDenseLayer(sum(channels[j] for j in sources), bottleneck, activation) for sources in self.sources
        )

    def forward(self, x: Tensor) -> Tensor:
        maps = [x]
        for sources, layer in zip(self.sources, self.layers, strict=True):
            maps.append(layer.new_maps(torch.cat([maps[j] for j in sources], dim=1)))
        return torch.cat(maps, dim=1)


def _exponentially_before(i: int) -> list[int]:
    """i - 1, i - 2, i - 4, .. down to 0, ascending."""
    steps = (2**power for power in range(i.bit_length()))
    return sorted(i - step for step in steps)


def dense_block(in_channels: int, depth: int, bottleneck: int, activation: str, group_width: int = 0) -> nn.Sequential:
    """`depth` two-way dense layers, one after another. [B, C, H, W] -> [B, C + 32 * depth, H, W]"""
    return nn.Sequential(
        *(TwoWayDenseLayer(in_channels + i * GROWTH_RATE, bottleneck, activation, group_width) for i in range(depth))
    )


@BACKBONES.register_variants(("PeleeNet", "SPeleeNet", "PeleeNeXt"))
class PeleeNet(nn.Module):
    """Images -> pyramid C2..C5: [B, 128, H/4, W/4], [B, 256, H/8, W/8], [B, 512, H/16, W/16], [B, 704, H/32, W/32].

    `PeleeNet` is established by its authors' code. `SPeleeNet` (sparse connections) and `PeleeNeXt` (groups of 8
    channels in the dense layers' 3x3 convolutions) are recovered: they count exactly what the CSPNet paper prints
    (2.39 M and 0.904 BFLOPs; 0.837 BFLOPs). Where squeeze-and-excitation sits is inferred.

    Args:
        variant: `PeleeNet`, `SPeleeNet` or `PeleeNeXt`.
        activation: `leaky_relu`, `relu`, `swish` or `mish`.
        squeeze_excite: squeeze-and-excitation on the output of each dense block.
    """

    strides = (4, 8, 16, 32)
    channels = (128, 256, 512, 704)

    def __init__(self, variant: str, activation: str = "leaky_relu", squeeze_excite: bool = False) -> None:
        super().__init__()
        self.stem = nn.Sequential(Stem(activation, pooled_conv=False), ConvNormAct(64, 32, activation=activation))
        self.stages = nn.ModuleList()
        before = 32
        for (depth, bottleneck), channels in zip(PELEE_STAGES, self.channels, strict=True):
            if variant == "SPeleeNet":
                block = SparseDenseBlock(before, depth, bottleneck, activation)
            else:
                group_width = 8 if variant == "PeleeNeXt" else 0
                block = dense_block(before, depth, bottleneck, activation, group_width)
            attention = [SqueezeExcite(channels, SE_REDUCTION)] if squeeze_excite else []
            self.stages.append(nn.Sequential(block, *attention, ConvNormAct(channels, channels, activation=activation)))
            before = channels
        self.down = nn.AvgPool2d(2)

    def forward(self, images: Tensor) -> list[Tensor]:
        x = self.stem(images)
        pyramid = []
        for stage in self.stages:
            x = stage(self.down(x) if pyramid else x)
            pyramid.append(x)
        return pyramid


@BACKBONES.register
class CSPPeleeNet(nn.Module):
    """Images -> pyramid C2..C5: [B, 128, H/4, W/4], [B, 256, H/8, W/8], [B, 512, H/16, W/16], [B, 640, H/32, W/32].

    Args:
        partial_ratio: share of a stage's input channels that bypass the dense block, in stages 2-4 (stage 1 is 32+32
            always). 0.75, 0.5, 0.25 count 0.800, 0.888, 0.986 BFLOPs at 224 (Table 1).
        fusion: `both`, `first` or `last`, Fig. 3 (b), (c), (d). The ablation nets `first` and `last` are **inferred**:
            no more than their BFLOPs is published, which they meet within 1.5%. `last` has no second transitions
            between the stages but keeps the one behind the last stage; `first` joins the dense block with the whole
            base map, and a transition of the block's width follows before the pooling, as in PeleeNet, so its
            channels follow from the ratio.
        activation: `leaky_relu`, `swish` or `mish`.
        squeeze_excite: squeeze-and-excitation on the output of each stage's dense block.
    """

    strides = (4, 8, 16, 32)

    def __init__(
        self,
        partial_ratio: float = 0.5,
        fusion: str = "both",
        activation: str = "leaky_relu",
        squeeze_excite: bool = False,
    ) -> None:
        super().__init__()
        if not isinstance(partial_ratio, (int, float)) or not 0 < partial_ratio < 1:
            raise OptionError("partial_ratio", f"partial_ratio is {partial_ratio}; it must lie between 0 and 1")
        self.stem = Stem(activation, pooled_conv=True)
        self.stages = nn.ModuleList()
        self.downs = nn.ModuleList()  # pooling and second transition before the next stage
        channels = 64
        for number, (depth, bottleneck) in enumerate(CSP_STAGES, start=1):
            part1 = channels // 2 if number == 1 else int(channels * partial_ratio)
            part2 = channels - part1
            if not 0 < part1 < channels:
                raise OptionError(
                    "partial_ratio", f"partial_ratio is {partial_ratio}; it leaves a part without channels"
                )
            blocks = dense_block(part2, depth, bottleneck, activation)
            deep = part2 + depth * GROWTH_RATE
            if squeeze_excite:
                blocks.append(SqueezeExcite(deep, SE_REDUCTION))
            last = number == len(CSP_STAGES)
            pool = [] if last else [nn.MaxPool2d(2)]
            if fusion == "first":
                stage = CrossStagePartial(channels, channels, part2, blocks, deep, fusion, activation, split="whole")
                down = [ConvNormAct(stage.channels, deep, activation=activation), *pool]
                channels = deep
            else:
                stage = CrossStagePartial(channels, part1, part2, blocks, deep, fusion, activation)
                channels = stage.channels
                transition = [ConvNormAct(channels, channels, activation=activation)]
                down = pool + (transition if last or fusion == "both" else [])
            self.stages.append(stage)
            self.downs.append(nn.Sequential(*down))
        self.channels = (*(stage.channels for stage in self.stages[:-1]), channels)

    def forward(self, images: Tensor) -> list[Tensor]:
        x = self.stem(images)
        pyramid = []
        for stage, down in zip(self.stages, self.downs, strict=True):
            joined = stage(x)
            x = down(joined)
            pyramid.append(joined)
        pyramid[-1] = x  # the last second transition does not pool: C5 is taken behind it
        return pyramid
