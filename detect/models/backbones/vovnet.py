"""VoVNet V1 (arXiv 1904.09730) and V2 (arXiv 1911.06667): one-shot aggregation."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from detect.errors import OptionError
from detect.models.backbones.stages import outputs_of
from detect.models.layers import ConvNormAct, EffectiveSqueezeExcite
from detect.models.registry import BACKBONES


class Variant(NamedTuple):
    """The four stages of a net, at strides 4, 8, 16, 32."""

    blocks: tuple  # OSA blocks per stage
    layers: int  # 3x3 convolutions per block
    inner: tuple = (128, 160, 192, 224)  # their width
    widths: tuple = (256, 512, 768, 1024)  # of a stage's output
    v2: bool = True  # residual from the second block of a stage on, eSE
    depthwise: bool = False  # depthwise and 1x1 in place of the 3x3 convolutions


SLIM = (64, 80, 96, 112)
# the authors' table (vovnet-detectron2) and timm's 27-slim
VARIANTS = {
    "VoVNet27Slim": Variant((1, 1, 1, 1), 5, SLIM, (128, 256, 384, 512), v2=False),
    "VoVNet39": Variant((1, 1, 2, 2), 5, v2=False),
    "VoVNet57": Variant((1, 1, 4, 3), 5, v2=False),
    "VoVNet99": Variant((1, 3, 9, 3), 5, v2=False),
    "VoVNetV2-19SlimDW": Variant((1, 1, 1, 1), 3, SLIM, (112, 256, 384, 512), depthwise=True),
    "VoVNetV2-19DW": Variant((1, 1, 1, 1), 3, depthwise=True),
    "VoVNetV2-19Slim": Variant((1, 1, 1, 1), 3, SLIM, (112, 256, 384, 512)),
    "VoVNetV2-19": Variant((1, 1, 1, 1), 3),
    "VoVNetV2-39": Variant((1, 1, 2, 2), 5),
    "VoVNetV2-57": Variant((1, 1, 4, 3), 5),
    "VoVNetV2-99": Variant((1, 3, 9, 3), 5),
}


def depthwise_conv(in_channels: int, out_channels: int, stride: int, activation: str) -> nn.Sequential:
    """Depthwise 3x3 without norm and activation, then 1x1, norm, activation, as the authors have it."""
    depthwise = nn.Conv2d(in_channels, in_channels, 3, stride, padding=1, groups=in_channels, bias=False)
    return nn.Sequential(depthwise, ConvNormAct(in_channels, out_channels, activation=activation))


class OneShotAggregation(nn.Module):
    """OSA: successive 3x3 convolutions, whose outputs are joined with the input once, at the end, by a 1x1.

    [B, in, H, W] -> [B, width, H, W]
    """

    def __init__(
        self,
        in_channels: int,
        inner: int,
        width: int,
        layers: int,
        depthwise: bool,
        residual: bool,
        attention: bool,
        activation: str,
    ) -> None:
        super().__init__()
        joined = in_channels + layers * inner
        self.reduce = nn.Identity()
        if depthwise and in_channels != inner:
            self.reduce = ConvNormAct(in_channels, inner, activation=activation)
            in_channels = inner
        self.layers = nn.ModuleList()
        for _ in range(layers):
            if depthwise:
                self.layers.append(depthwise_conv(in_channels, inner, 1, activation))
            else:
                self.layers.append(ConvNormAct(in_channels, inner, 3, activation=activation))
            in_channels = inner
        self.join = ConvNormAct(joined, width, activation=activation)
        self.attention = EffectiveSqueezeExcite(width) if attention else nn.Identity()
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        maps, deep = [x], self.reduce(x)
        for layer in self.layers:
            deep = layer(deep)
            maps.append(deep)
        y = self.attention(self.join(torch.cat(maps, dim=1)))
        return x + y if self.residual else y


@BACKBONES.register_variants(VARIANTS)
class VoVNet(nn.Module):
    """Images -> pyramid C2..C5 at strides 4, 8, 16, 32.

    Args:
        variant: a name of `VARIANTS`.
        activation: `relu` in the papers.
        attention: which blocks of a stage V2 has eSE on: `every`, as in the authors' code, or `last`, as in timm, whose
            weights need it. V2-39, -57 and -99 differ; V1 has none.
    """

    strides = (4, 8, 16, 32)

    def __init__(self, variant: str, activation: str = "relu", attention: str = "every") -> None:
        super().__init__()
        if attention not in ("every", "last"):
            raise OptionError("attention", f"attention is '{attention}'; it must be 'every' or 'last'")
        table = VARIANTS[variant]
        if attention == "last" and not table.v2:
            raise OptionError("attention", "attention is eSE's, which only V2 has; remove it")
        self.stem = nn.Sequential(
            ConvNormAct(3, 64, 3, stride=2, activation=activation),
            *(
                [depthwise_conv(64, 64, 1, activation), depthwise_conv(64, 64, 2, activation)]
                if table.depthwise
                else [ConvNormAct(64, 64, 3, activation=activation), ConvNormAct(64, 128, 3, 2, activation=activation)]
            ),
        )
        self.stages = nn.ModuleList()
        channels = 64 if table.depthwise else 128
        for number, (blocks, inner, width) in enumerate(zip(table.blocks, table.inner, table.widths, strict=True)):
            stage = [nn.MaxPool2d(3, stride=2, ceil_mode=True)] if number else []
            for block in range(blocks):
                gated = table.v2 and (attention == "every" or block == blocks - 1)
                stage.append(
                    OneShotAggregation(
                        channels, inner, width, table.layers, table.depthwise,
                        residual=table.v2 and block > 0, attention=gated, activation=activation,
                    )
                )  # fmt: skip
                channels = width
            self.stages.append(nn.Sequential(*stage))
        self.channels = table.widths

    def forward(self, images: Tensor) -> list[Tensor]:
        return outputs_of(self.stages, self.stem(images))
