"""ResNet and ResNeXt, plain and cross-stage partial, as the authors' Darknet cfgs have them.

Shortcuts carry no parameters: where a block changes the shape, the input is subsampled and added to the first channels
(`AddChannels`), so ResNet-50 counts 22.73 M weights instead of the original's 25.5 M.
"""

from typing import NamedTuple

from torch import Tensor, nn

from detect.errors import OptionError
from detect.models.backbones.stages import outputs_of
from detect.models.csp import CrossStagePartial
from detect.models.elastic import ElasticResidual
from detect.models.layers import ConvNormAct, Residual
from detect.models.registry import BACKBONES


class Variant(NamedTuple):
    """A net of four stages at strides 4, 8, 16, 32."""

    block: str  # basic: 3x3, 3x3; bottleneck: 1x1, 3x3, 1x1
    blocks: tuple  # residual blocks per stage
    inner: tuple  # width of the blocks' 3x3 convolutions
    widths: tuple  # width of the blocks' output
    groups: int = 1  # of the 3x3 convolutions
    elastic_groups: int = 1  # the same in elastic blocks
    joined: tuple | None = None  # cross-stage partial: width of the stage's output; None: plain
    down: tuple = ()  # width of the 3x3 convolutions that lead to stages 2-4


VARIANTS = {
    # established by resnet10.cfg, resnext50.cfg, csresnet50.cfg, csresnext50.cfg, and resnet50.cfg of Darknet's author
    "ResNet10": Variant("basic", (1, 1, 1, 1), (64, 128, 256, 512), (64, 128, 256, 512)),
    "ResNet50": Variant("bottleneck", (3, 4, 6, 3), (64, 128, 256, 512), (256, 512, 1024, 2048)),
    "ResNeXt50": Variant("bottleneck", (3, 4, 6, 3), (128, 256, 512, 1024), (256, 512, 1024, 2048), groups=32),
    "CSPResNet50": Variant(
        "bottleneck", (3, 3, 5, 2), (64, 128, 256, 512), (128, 256, 512, 1024),
        joined=(128, 256, 512, 1024), down=(128, 256, 512),
    ),
    "CSPResNeXt50": Variant(
        "bottleneck", (3, 3, 5, 2), (128, 256, 512, 1024), (128, 256, 512, 1024), groups=32, elastic_groups=16,
        joined=(256, 512, 1024, 2048), down=(256, 512, 1024),
    ),
}  # fmt: skip


def elastic_block(in_channels: int, width: int, groups: int, activation: str) -> ElasticResidual:
    """The elastic block of csresnet50-elastic.cfg and csresnext50-elastic.cfg: both halves are 1x1, 3x3, 1x1.

    [B, in, H, W] -> [B, width, H, W]
    """

    def half() -> nn.Sequential:
        inner = width // 2
        return nn.Sequential(
            ConvNormAct(in_channels // 2, inner, activation=activation),
            ConvNormAct(inner, inner, 3, groups=groups, activation=activation),
            ConvNormAct(inner, inner, activation="linear"),
        )

    return ElasticResidual(half(), half(), activation)


def residual_block(
    block: str,
    in_channels: int,
    inner: int,
    width: int,
    stride: int = 1,
    groups: int = 1,
    activation: str = "leaky_relu",
) -> Residual:
    """A residual block, `basic` or `bottleneck`. [B, in, H, W] -> [B, width, H/stride, W/stride]"""
    if block == "basic":
        layers = [
            ConvNormAct(in_channels, inner, 3, stride, groups, activation=activation),
            ConvNormAct(inner, width, 3, activation="linear"),
        ]
    else:
        layers = [
            ConvNormAct(in_channels, inner, activation=activation),
            ConvNormAct(inner, inner, 3, stride, groups, activation=activation),
            ConvNormAct(inner, width, activation="linear"),
        ]
    return Residual(nn.Sequential(*layers), activation)


@BACKBONES.register_variants(VARIANTS)
class ResNet(nn.Module):
    """Images -> pyramid C2..C5 at strides 4, 8, 16, 32.

    A plain stage is its residual blocks, the first of which strides. A cross-stage-partial one is a 3x3 convolution
    that strides, then CSP around the blocks with both transitions (Fig. 5b).

    Args:
        variant: a name of `VARIANTS`.
        activation: `leaky_relu`, `relu`, `swish` or `mish`.
        elastic: half of every block works at half resolution; only for CSPResNet50 and CSPResNeXt50, established by
            csresnet50-elastic.cfg and csresnext50-elastic.cfg.
    """

    strides = (4, 8, 16, 32)

    def __init__(self, variant: str, activation: str = "leaky_relu", elastic: bool = False) -> None:
        super().__init__()
        self.table = VARIANTS[variant]
        self.activation, self.elastic = activation, elastic
        if elastic and self.table.joined is None:
            raise OptionError("elastic", f"elastic is known of CSPResNet50 and CSPResNeXt50, not of {variant}")
        self.stem = nn.Sequential(ConvNormAct(3, 64, 7, stride=2, activation=activation), nn.MaxPool2d(2))
        make_stage = self._plain_stage if self.table.joined is None else self._partial_stage
        self.stages = nn.ModuleList(make_stage(number) for number in range(4))
        self.channels = tuple(self.table.joined or self.table.widths)

    def _plain_stage(self, number: int) -> nn.Sequential:
        in_channels = 64 if number == 0 else self.table.widths[number - 1]
        return self._blocks(number, in_channels, first_stride=1 if number == 0 else 2)

    def _partial_stage(self, number: int) -> nn.Sequential:
        table, activation = self.table, self.activation
        width, joined = table.widths[number], table.joined[number]
        down, base = nn.Identity(), 64
        part2 = 64 if number == 0 and not self.elastic else width  # the first residual block widens it
        if number > 0:
            base = table.down[number - 1]
            before = table.joined[number - 1]
            down = ConvNormAct(before, base, 3, 2, table.groups, activation=activation)
        # the cfgs leave the parts of stages 2 and 3 without activation
        part_activation = "linear" if number in (1, 2) else activation
        csp = CrossStagePartial(
            base, width, part2, self._blocks(number, part2), width,
            activation=activation, part_activation=part_activation,
        )  # fmt: skip
        return nn.Sequential(down, csp, ConvNormAct(csp.channels, joined, activation=activation))

    def _blocks(self, number: int, in_channels: int, first_stride: int = 1) -> nn.Sequential:
        table, width = self.table, self.table.widths[number]
        blocks = []
        for block in range(table.blocks[number]):
            if self.elastic:
                blocks.append(elastic_block(in_channels, width, table.elastic_groups, self.activation))
            else:
                stride = first_stride if block == 0 else 1
                blocks.append(
                    residual_block(
                        table.block, in_channels, table.inner[number], width, stride, table.groups, self.activation
                    )
                )
            in_channels = width
        return nn.Sequential(*blocks)

    def forward(self, images: Tensor) -> list[Tensor]:
        return outputs_of(self.stages, self.stem(images))


@BACKBONES.register
class CSPResNet10(nn.Module):
    """Images -> pyramid C2..C5: 64, 256, 256, 512 channels at strides 4, 8, 16, 32.

    **Inferred**: only its totals are published (2.73 M weights, 1.905 BFLOPs at 256; met within 0.5%). ResNet-10's stem
    and first stage; stages 2-4 are a 3x3 convolution that strides, then CSP around a block of 1x1 and 3x3, joined
    without transitions.
    """

    strides = (4, 8, 16, 32)

    def __init__(self, activation: str = "leaky_relu") -> None:
        super().__init__()
        self.stem = nn.Sequential(ConvNormAct(3, 64, 7, stride=2, activation=activation), nn.MaxPool2d(2))
        self.stages = nn.ModuleList([residual_block("basic", 64, 64, 64, activation=activation)])
        channels = 64
        for width in (128, 128, 256):
            layers = [
                ConvNormAct(width, width, activation=activation),
                ConvNormAct(width, width, 3, activation="linear"),
            ]
            block = Residual(nn.Sequential(*layers), activation)
            csp = CrossStagePartial(width, width, width, block, width, "first", activation)
            self.stages.append(nn.Sequential(ConvNormAct(channels, width, 3, stride=2, activation=activation), csp))
            channels = csp.channels
        self.channels = (64, 256, 256, 512)

    def forward(self, images: Tensor) -> list[Tensor]:
        return outputs_of(self.stages, self.stem(images))
