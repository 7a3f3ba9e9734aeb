"""Darknet-53 (YOLOv3), CSPDarknet-53, the Darknet reference model and the bodies of YOLOv3- and YOLOv4-tiny, by cfg."""

import functools
import itertools

import torch
from torch import Tensor, nn

from detect.errors import OptionError
from detect.models.backbones.stages import outputs_of
from detect.models.csp import CrossStagePartial, Slice
from detect.models.elastic import ElasticResidual
from detect.models.layers import ConvNormAct, Residual, SamePool
from detect.models.registry import BACKBONES

# (residual blocks, width of the stage) at strides 2, 4, 8, 16, 32; 'darknet53.cfg' and 'csdarknet53.cfg'
STAGES = ((1, 64), (2, 128), (8, 256), (8, 512), (4, 1024))


def elastic_block(width: int, activation: str) -> ElasticResidual:
    """The elastic block of csdarknet53-elastic.cfg: both halves are 1x1, 3x3. [B, width, H, W] -> the same"""

    def half() -> nn.Sequential:
        inner = width // 2
        return nn.Sequential(
            ConvNormAct(inner, inner, activation=activation), ConvNormAct(inner, inner, 3, activation=activation)
        )

    return ElasticResidual(half(), half(), "linear")


def residual_block(width: int, inner: int, activation: str) -> Residual:
    """Darknet-53's block: 1x1 to `inner`, 3x3 back to `width`, added without an activation."""
    layers = [ConvNormAct(width, inner, activation=activation), ConvNormAct(inner, width, 3, activation=activation)]
    return Residual(nn.Sequential(*layers), "linear")


@BACKBONES.register_variants(("Darknet53", "CSPDarknet53"))
class Darknet(nn.Module):
    """Images -> pyramid C2..C5: 128, 256, 512, 1024 channels at strides 4, 8, 16, 32.

    Args:
        variant: `Darknet53` or `CSPDarknet53`.
        elastic: half of every block works at half resolution; only for CSPDarknet53, established by
            csdarknet53-elastic.cfg.
    """

    strides = (4, 8, 16, 32)
    channels = (128, 256, 512, 1024)

    def __init__(self, variant: str, activation: str = "leaky_relu", elastic: bool = False) -> None:
        super().__init__()
        partial = variant.startswith("CSP")
        if elastic and not partial:
            raise OptionError("elastic", f"elastic is known of CSPDarknet53, not of {variant}")
        make_stage = functools.partial(_partial_stage, elastic=elastic) if partial else _plain_stage
        self.stem = ConvNormAct(3, 32, 3, activation=activation)
        before = (32, *(width for _, width in STAGES))
        self.stages = nn.ModuleList(
            make_stage(channels, width, blocks, activation)
            for channels, (blocks, width) in zip(before, STAGES, strict=False)
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        return outputs_of(self.stages, self.stem(images))[1:]


def _plain_stage(in_channels: int, width: int, blocks: int, activation: str) -> nn.Sequential:
    down = ConvNormAct(in_channels, width, 3, stride=2, activation=activation)
    return nn.Sequential(down, *(residual_block(width, width // 2, activation) for _ in range(blocks)))


def _partial_stage(in_channels: int, width: int, blocks: int, activation: str, elastic: bool) -> nn.Sequential:
    """Half of the width goes through the blocks; the first stage keeps all of it in both parts."""
    first = width == STAGES[0][1]
    part = width if first else width // 2
    inner = width // 2  # of the residual blocks
    make_block = functools.partial(elastic_block, part) if elastic else functools.partial(residual_block, part, inner)
    deep = nn.Sequential(*(make_block(activation=activation) for _ in range(blocks)))
    csp = CrossStagePartial(width, part, part, deep, part, activation=activation)
    down = ConvNormAct(in_channels, width, 3, stride=2, activation=activation)
    return nn.Sequential(down, csp, ConvNormAct(csp.channels, width, activation=activation))


# what follows the six pooled convolutions of 16 to 512 channels, at stride 32
TAILS = ("DarknetRef", "DarknetTiny", "DarknetTinyPRN")


@BACKBONES.register_variants(TAILS)
class DarknetReference(nn.Module):
    """Images -> pyramid C2..C5 at strides 4, 8, 16, 32: 64, 128, 256 and 512 or 1024 channels.

    3x3 convolutions of 16, 32, .., 512 channels with a 2x2 max pooling before all but the first; then

    - `DarknetRef` (darknet.cfg): nothing in a detector; a classifier goes on to 1024 channels at stride 64;
    - `DarknetTiny` (yolov3-tiny.cfg): a max pooling that keeps the size, and 1024 channels;
    - `DarknetTinyPRN` (yolov3-tiny-prn.cfg): the same pooling, and 512 channels with a residual around both.
    """

    strides = (4, 8, 16, 32)

    def __init__(self, variant: str, activation: str = "leaky_relu") -> None:
        super().__init__()
        self.variant, self.activation = variant, activation
        widths = (16, 32, 64, 128, 256, 512)
        self.stem = ConvNormAct(3, widths[0], 3, activation=activation)
        self.stages = nn.ModuleList(
            nn.Sequential(nn.MaxPool2d(2), ConvNormAct(before, width, 3, activation=activation))
            for before, width in itertools.pairwise(widths)
        )
        last = widths[-1]
        if variant == "DarknetTiny":
            self.tail = nn.Sequential(SamePool(), ConvNormAct(last, 2 * last, 3, activation=activation))
            last *= 2
        elif variant == "DarknetTinyPRN":
            layers = nn.Sequential(SamePool(), ConvNormAct(last, last, 3, activation=activation))
            self.tail = Residual(layers, activation)
        else:
            self.tail = nn.Identity()
        self.channels = (*widths[2:5], last)

    def forward(self, images: Tensor) -> list[Tensor]:
        _, *pyramid, last = outputs_of(self.stages, self.stem(images))
        return [*pyramid, self.tail(last)]

    def classifier_layers(self) -> tuple[nn.Module, int]:
        """What a classifier has between C5 and its last convolution, and the channels of that."""
        pool = nn.AdaptiveAvgPool2d(1)
        if self.variant != "DarknetRef":
            return pool, self.channels[-1]
        conv = ConvNormAct(512, 1024, 3, activation=self.activation)
        return nn.Sequential(nn.MaxPool2d(2, ceil_mode=True), conv, pool), 1024


class SliceAndJoin(nn.Module):
    """A stage of yolov4-tiny.cfg: the second half of the base map goes through two convolutions and is joined twice.

    Not `CrossStagePartial`: part 1 is the whole base map, part 2 a slice of the same, and the base map comes first.

    [B, in_channels, H, W] -> the transition [B, width, H, W], and concat(base map, transition) [B, 2 * width, H, W]
    """

    def __init__(self, in_channels: int, width: int, activation: str) -> None:
        super().__init__()
        half = width // 2
        self.base = ConvNormAct(in_channels, width, 3, activation=activation)
        self.part2 = Slice(half, width)
        self.first = ConvNormAct(half, half, 3, activation=activation)
        self.second = ConvNormAct(half, half, 3, activation=activation)
        self.transition = ConvNormAct(width, width, activation=activation)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        base = self.base(x)
        first = self.first(self.part2(base))
        deep = self.transition(torch.cat([self.second(first), first], dim=1))
        return deep, torch.cat([base, deep], dim=1)


@BACKBONES.register
class CSPDarknet53Tiny(nn.Module):
    """Images -> pyramid C2..C5: 64, 128, 256, 512 channels at strides 4, 8, 16, 32 (yolov4-tiny.cfg).

    Three stages that slice and join, each followed by a 2x2 max pooling, and a last 3x3 convolution. C2 to C4 are the
    stages' transitions, as the cfg's neck takes C4 (its layer 23); the joined maps go on to the next stage.
    """

    strides = (4, 8, 16, 32)
    channels = (64, 128, 256, 512)

    def __init__(self, activation: str = "leaky_relu") -> None:
        super().__init__()
        conv = functools.partial(ConvNormAct, activation=activation)
        *widths, last = self.channels
        self.stem = nn.Sequential(conv(3, 32, 3, stride=2), conv(32, 64, 3, stride=2))
        before = (64, *(2 * width for width in widths))
        self.stages = nn.ModuleList(
            SliceAndJoin(channels, width, activation) for channels, width in zip(before, widths, strict=False)
        )
        self.pool = nn.MaxPool2d(2)
        self.last = conv(before[-1], last, 3)

    def forward(self, images: Tensor) -> list[Tensor]:
        x, pyramid = self.stem(images), []
        for stage in self.stages:
            level, joined = stage(x)
            pyramid.append(level)
            x = self.pool(joined)
        return [*pyramid, self.last(x)]
