"""DenseNet-201 (arXiv 1608.06993), with Elastic (arXiv 1812.05262), and cross-stage partial (arXiv 1911.11929)."""

import torch
from torch import Tensor, nn

from detect.models.csp import CrossStagePartial
from detect.models.elastic import doubled
from detect.models.layers import ConvNormAct, make_activation
from detect.models.registry import BACKBONES

GROWTH_RATE = 32
BOTTLENECK = 4 * GROWTH_RATE
LAYERS = (6, 12, 48, 32)  # dense layers per block
ELASTIC_LAYERS = (10, 20, 40, 30)  # the first three blocks are elastic


class DenseLayer(nn.Module):
    """x -> concat(x, 3x3(1x1(x))), norm and activation behind the convolutions. [B, C, H, W] -> [B, C + 32, H, W]"""

    def __init__(self, in_channels: int, bottleneck: int, activation: str) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            ConvNormAct(in_channels, bottleneck, activation=activation),
            ConvNormAct(bottleneck, GROWTH_RATE, 3, activation=activation),
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.layers(x)], dim=1)


class NormAct(nn.Sequential):
    """Batch normalisation and activation, before a convolution. [B, C, H, W] -> the same"""

    def __init__(self, channels: int, activation: str) -> None:
        super().__init__(nn.BatchNorm2d(channels), make_activation(activation))


class PreActivationDenseLayer(nn.Module):
    """DenseNet's own layer: norm, activation, 1x1, norm, activation, 3x3. [B, C, H, W] -> [B, C + 32, H, W]

    `elastic`: two such paths of half the bottleneck's width, one of them on the pooled map, are added.
    """

    def __init__(self, in_channels: int, elastic: bool, activation: str) -> None:
        super().__init__()
        width = BOTTLENECK // 2 if elastic else BOTTLENECK
        self.norm = NormAct(in_channels, activation)

        def path() -> nn.Sequential:
            return nn.Sequential(
                nn.Conv2d(in_channels, width, 1, bias=False),
                NormAct(width, activation),
                nn.Conv2d(width, GROWTH_RATE, 3, padding=1, bias=False),
            )

        self.full = path()
        self.low = nn.Sequential(nn.AvgPool2d(2, ceil_mode=True), *path()) if elastic else None

    def forward(self, x: Tensor) -> Tensor:
        normed = self.norm(x)
        new = self.full(normed)
        if self.low is not None:
            new = new + doubled(self.low(normed), like=x)
        return torch.cat([x, new], dim=1)


class Transition(nn.Sequential):
    """DenseNet's transition: norm, activation, 1x1. [B, C, H, W] -> [B, channels, H, W]"""

    def __init__(self, in_channels: int, channels: int, activation: str) -> None:
        super().__init__(NormAct(in_channels, activation), nn.Conv2d(in_channels, channels, 1, bias=False))


@BACKBONES.register_variants(("DenseNet201", "CSPDenseNet201"))
class DenseNet(nn.Module):
    """Images -> pyramid C2..C5 at strides 4, 8, 16, 32; C2..C4 are taken before the transitions.

    `DenseNet201` is established by its paper, but for the stem's pooling (2x2 here, 3x3 there); with `elastic` it is
    recovered: dense blocks of 10, 20, 40, 30 layers count the published 19.48 M parameters. `CSPDenseNet201` is
    **inferred**, as only the totals of its elastic form are published (20.17 M, 7.13 BFLOPs, met within 1%): blocks 2-4
    are cross-stage partial with fusion first, half of the base map bypasses them untouched, and the transitions come
    behind the pooling, as in CSPPeleeNet.

    Args:
        variant: `DenseNet201` or `CSPDenseNet201`.
        activation: `relu` in the papers.
        elastic: half of the bottleneck works at half resolution, in the first three blocks.
    """

    strides = (4, 8, 16, 32)

    def __init__(self, variant: str, activation: str = "relu", elastic: bool = False) -> None:
        super().__init__()
        partial = variant.startswith("CSP")
        self.stem = nn.Sequential(ConvNormAct(3, 64, 7, stride=2, activation=activation), nn.MaxPool2d(2))
        self.stages, self.transitions = nn.ModuleList(), nn.ModuleList()
        channels, pyramid = 64, []
        for number, layers in enumerate(ELASTIC_LAYERS if elastic else LAYERS):
            csp = partial and number > 0
            base = channels // 2 if csp else channels
            blocks = [
                PreActivationDenseLayer(base + i * GROWTH_RATE, elastic and number < 3, activation)
                for i in range(layers)
            ]
            deep = base + layers * GROWTH_RATE
            stage = nn.Sequential(*blocks)
            if csp:
                stage = CrossStagePartial(
                    channels, channels - base, base, stage, deep, "first", activation, split="bypass"
                )
            joined = deep + channels - base
            pyramid.append(joined)
            self.stages.append(stage)
            last = number == len(LAYERS) - 1
            channels = joined if last else joined // 2
            if not last:
                convs = [Transition(joined, channels, activation)]
                self.transitions.append(
                    nn.Sequential(*([nn.AvgPool2d(2), *convs] if partial else [*convs, nn.AvgPool2d(2)]))
                )
        self.last = Transition(channels, channels, activation) if partial else nn.Identity()
        self.norm = NormAct(channels, activation)
        self.channels = tuple(pyramid)

    def forward(self, images: Tensor) -> list[Tensor]:
        x = self.stem(images)
        pyramid = []
        for number, stage in enumerate(self.stages):
            x = stage(self.transitions[number - 1](x) if number else x)
            pyramid.append(x)
        return [*pyramid[:-1], self.norm(self.last(x))]
