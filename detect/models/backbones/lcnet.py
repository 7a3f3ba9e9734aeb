"""PP-LCNet (arXiv 2109.15099): depthwise-separable convolutions without shortcuts, made for Intel CPUs."""

from collections.abc import Collection

from torch import Tensor, nn

from detect.errors import OptionError
from detect.models.backbones.stages import outputs_of
from detect.models.layers import ConvNormAct, SqueezeExcite, make_activation
from detect.models.registry import BACKBONES

# (width at scale 1, stride) of the blocks that lead to C2..C5
STAGES = (((32, 1), (64, 2), (64, 1)), ((128, 2), (128, 1)), ((256, 2), *((256, 1),) * 5), ((512, 2), (512, 1)))
BLOCKS = sum(map(len, STAGES))


def scaled(width: int, scale: float) -> int:
    """`width * scale`, rounded to a multiple of 8, but not down by more than a tenth."""
    wanted = width * scale
    rounded = max(8, int(wanted + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * wanted else rounded + 8


class DepthSepConv(nn.Sequential):
    """Depthwise convolution, [squeeze-and-excitation], 1x1. [B, in, H, W] -> [B, out, H/stride, W/stride]"""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, stride: int, squeeze_excite: bool, activation: str
    ) -> None:
        super().__init__(
            ConvNormAct(in_channels, in_channels, kernel_size, stride, groups=in_channels, activation=activation),
            SqueezeExcite(in_channels, reduction=4, gate="h_sigmoid") if squeeze_excite else nn.Identity(),
            ConvNormAct(in_channels, out_channels, activation=activation),
        )


@BACKBONES.register
class PPLCNet(nn.Module):
    """Images -> pyramid C2..C5 at strides 4, 8, 16, 32: 64, 128, 256, 512 channels times `scale`.

    The four switches are those of the paper's ablation, which also tries other positions (its Tables 7 and 8).

    Args:
        scale: width; published are 0.25, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5.
        h_swish: h-swish in place of ReLU.
        large_kernel: numbers, from 1 to 13, of the blocks with a 5x5 depthwise convolution in place of 3x3.
        squeeze_excite: numbers of the blocks with squeeze-and-excitation.
        wide_classifier: a 1280-wide layer and dropout between a classifier's pooling and its last layer.
    """

    strides = (4, 8, 16, 32)

    def __init__(
        self,
        scale: float = 1.0,
        h_swish: bool = True,
        large_kernel: Collection[int] = (7, 8, 9, 10, 11, 12, 13),
        squeeze_excite: Collection[int] = (12, 13),
        wide_classifier: bool = True,
    ) -> None:
        super().__init__()
        if not isinstance(scale, (int, float)) or not 0.05 <= scale <= 20:
            raise OptionError("scale", f"scale is {scale}; it must lie between 0.05 and 20")
        for option, blocks in (("large_kernel", large_kernel), ("squeeze_excite", squeeze_excite)):
            if not isinstance(blocks, (list, tuple)) or not set(blocks) <= set(range(1, BLOCKS + 1)):
                raise OptionError(option, f"{option} is {blocks}; it must be a list of blocks, from 1 to {BLOCKS}")
        self.wide_classifier = wide_classifier
        self.activation = "h_swish" if h_swish else "relu"
        channels = scaled(16, scale)
        self.stem = ConvNormAct(3, channels, 3, stride=2, activation=self.activation)
        self.stages = nn.ModuleList()
        number = 0
        for blocks in STAGES:
            stage = []
            for width, stride in blocks:
                number, width = number + 1, scaled(width, scale)
                kernel_size, gated = 5 if number in large_kernel else 3, number in squeeze_excite
                stage.append(DepthSepConv(channels, width, kernel_size, stride, gated, self.activation))
                channels = width
            self.stages.append(nn.Sequential(*stage))
        self.channels = tuple(scaled(blocks[-1][0], scale) for blocks in STAGES)

    def forward(self, images: Tensor) -> list[Tensor]:
        return outputs_of(self.stages, self.stem(images))

    def classifier_layers(self) -> tuple[nn.Module, int]:
        """What a classifier has between C5 and its last convolution, and the channels of that."""
        pool = nn.AdaptiveAvgPool2d(1)
        if not self.wide_classifier:
            return pool, self.channels[-1]
        wide = nn.Conv2d(self.channels[-1], 1280, 1, bias=False)
        return nn.Sequential(pool, wide, make_activation(self.activation), nn.Dropout(0.2)), 1280
