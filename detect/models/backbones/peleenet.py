"""CSPPeleeNet: PeleeNet (arXiv 1804.06882) with cross-stage-partial dense blocks (arXiv 1911.11929).

The authors published no cfg. This layer table was recovered from the per-layer BFLOPs of the paper's Fig. 7 and
counts exactly as published: 2.83 M weights with the classifier, 0.888 BFLOPs at 224. Open in the figure, and chosen
here: max pooling between the stages (Darknet had no average pooling with a window then; the count is the same) and
the order inside the concatenations (the block's path first, the bypass second, as in the sister nets' cfgs).
"""

import torch
from torch import nn

from detect.models.csp import CrossStagePartial
from detect.models.layers import ConvNormAct, SqueezeExcite
from detect.registry import BACKBONES

GROWTH_RATE = 32
# (two-way dense layers, bottleneck width t, channels of the join, stride of the output) per stage
STAGES = ((2, 16, 128, 4), (4, 32, 256, 8), (8, 64, 512, 16), (4, 64, 640, 32))


class Stem(nn.Module):
    """PeleeNet's stem without its last 1x1 (Fig. 7, layers 0-4). [B, 3, H, W] -> [B, 64, H/4, W/4]"""

    def __init__(self, in_channels, activation):
        super().__init__()
        self.conv = ConvNormAct(in_channels, 32, 3, stride=2, activation=activation)
        self.pooled = nn.Sequential(nn.MaxPool2d(2), ConvNormAct(32, 32, activation=activation))
        self.convolved = nn.Sequential(
            ConvNormAct(32, 16, activation=activation), ConvNormAct(16, 32, 3, stride=2, activation=activation)
        )

    def forward(self, images):
        x = self.conv(images)
        return torch.cat([self.pooled(x), self.convolved(x)], dim=1)


class TwoWayDenseLayer(nn.Module):
    """PeleeNet's dense layer with two receptive fields. [B, C, H, W] -> [B, C + 32, H, W]

    right: 1x1 to t, 3x3 to 16, 3x3 to 16;  left: 1x1 to t, 3x3 to 16;  output: concat(x, left, right).
    """

    def __init__(self, in_channels, bottleneck, activation):
        super().__init__()
        half = GROWTH_RATE // 2
        self.right = nn.Sequential(
            ConvNormAct(in_channels, bottleneck, activation=activation),
            ConvNormAct(bottleneck, half, 3, activation=activation),
            ConvNormAct(half, half, 3, activation=activation),
        )
        self.left = nn.Sequential(
            ConvNormAct(in_channels, bottleneck, activation=activation),
            ConvNormAct(bottleneck, half, 3, activation=activation),
        )

    def forward(self, x):
        return torch.cat([x, self.left(x), self.right(x)], dim=1)


@BACKBONES.register
class CSPPeleeNet(nn.Module):
    """Images -> pyramid C2..C5: [B, 128, H/4, W/4], [B, 256, H/8, W/8], [B, 512, H/16, W/16], [B, 640, H/32, W/32].

    Args:
        partial_ratio: share of a stage's input channels that bypass the dense block, in stages 2-4 (stage 1 is 32+32
            always). 0.75, 0.5, 0.25 count 0.800, 0.888, 0.986 BFLOPs at 224 (Table 1).
        fusion: `both`, `first` or `last`, Fig. 3 (b), (c), (d). Without a second transition (`last`) the maps are
            pooled only. The paper's ablation nets for `first` and `last` differ from ours in some unpublished detail.
        activation: `leaky_relu`, `swish` or `mish`.
        squeeze_excite: squeeze-and-excitation on the output of each stage's dense block.
    """

    strides = (4, 8, 16, 32)

    def __init__(self, in_channels=3, partial_ratio=0.5, fusion="both", activation="leaky_relu", squeeze_excite=False):
        super().__init__()
        if not 0 < partial_ratio < 1:
            raise ValueError(f"partial_ratio is {partial_ratio}; it must lie between 0 and 1")
        self.stem = Stem(in_channels, activation)
        self.stages = nn.ModuleList()
        self.downs = nn.ModuleList()  # pooling and second transition before the next stage
        channels = 64
        for number, (depth, bottleneck, joined, _) in enumerate(STAGES, start=1):
            part1 = channels // 2 if number == 1 else int(channels * partial_ratio)
            part2 = channels - part1
            if not 0 < part1 < channels:
                raise ValueError(f"partial_ratio is {partial_ratio}; it leaves a part without channels")
            blocks = [TwoWayDenseLayer(part2 + i * GROWTH_RATE, bottleneck, activation) for i in range(depth)]
            deep = part2 + depth * GROWTH_RATE
            if squeeze_excite:
                blocks.append(SqueezeExcite(deep, reduction=32))  # +0.02 M weights, as published
            stage = CrossStagePartial(channels, part1, part2, nn.Sequential(*blocks), deep, fusion, activation)
            assert stage.channels == joined
            last = number == len(STAGES)
            down = [] if last else [nn.MaxPool2d(2)]
            if stage.has_second_transition:
                down.append(ConvNormAct(joined, joined, activation=activation))
            self.stages.append(stage)
            self.downs.append(nn.Sequential(*down))
            channels = joined
        self.channels = tuple(joined for _, _, joined, _ in STAGES)

    def forward(self, images):
        x = self.stem(images)
        pyramid = []
        for stage, down in zip(self.stages, self.downs, strict=True):
            joined = stage(x)
            x = down(joined)
            pyramid.append(joined)
        pyramid[-1] = x  # the last second transition does not pool: C5 is taken behind it
        return pyramid
