"""PP-LCNet (arXiv 2109.15099): depthwise-separable convolutions without shortcuts, made for Intel CPUs."""

from torch import Tensor, nn

from detect.errors import OptionError
from detect.models.backbones.stages import outputs_of
from detect.models.layers import ConvNormAct, SqueezeExcite, make_activation
from detect.models.registry import BACKBONES

# (width at scale 1, stride, kernel, squeeze-and-excitation) of the blocks that lead to C2..C5
STAGES = (
    ((32, 1, 3, False), (64, 2, 3, False), (64, 1, 3, False)),
    ((128, 2, 3, False), (128, 1, 3, False)),
    ((256, 2, 3, False), *((256, 1, 5, False),) * 5),
    ((512, 2, 5, True), (512, 1, 5, True)),
)


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

    The four switches are those of the paper's ablation (its Table 'PP-LCNet-0.5x').

    Args:
        scale: width; published are 0.25, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5.
        h_swish: h-swish in place of ReLU.
        large_kernel: 5x5 depthwise convolutions at the tail in place of 3x3.
        squeeze_excite: squeeze-and-excitation in the last two blocks.
        wide_classifier: a 1280-wide layer and dropout between a classifier's pooling and its last layer.
    """

    strides = (4, 8, 16, 32)

    def __init__(
        self,
        scale: float = 1.0,
        h_swish: bool = True,
        large_kernel: bool = True,
        squeeze_excite: bool = True,
        wide_classifier: bool = True,
    ) -> None:
        super().__init__()
        if not isinstance(scale, (int, float)) or not 0.05 <= scale <= 20:
            raise OptionError("scale", f"scale is {scale}; it must lie between 0.05 and 20")
        self.wide_classifier = wide_classifier
        self.activation = "h_swish" if h_swish else "relu"
        channels = scaled(16, scale)
        self.stem = ConvNormAct(3, channels, 3, stride=2, activation=self.activation)
        self.stages = nn.ModuleList()
        for blocks in STAGES:
            stage = []
            for width, stride, kernel_size, attention in blocks:
                kernel_size = kernel_size if large_kernel else 3
                width = scaled(width, scale)
                stage.append(
                    DepthSepConv(channels, width, kernel_size, stride, attention and squeeze_excite, self.activation)
                )
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
        wide = nn.Conv2d(self.channels[-1], 1280, 1)
        return nn.Sequential(pool, wide, make_activation(self.activation), nn.Dropout(0.2)), 1280
