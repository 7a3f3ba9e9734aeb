"""VGG-16 with batch normalisation (arXiv 1409.1556, configuration D), the plain net that CompConv is shown on."""

from torch import Tensor, nn

from detect.models.backbones.stages import outputs_of
from detect.models.layers import ConvNormAct
from detect.models.registry import BACKBONES

STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))  # 3x3 convolutions; then pooling


@BACKBONES.register
class VGG16(nn.Module):
    """Images -> pyramid C2..C5 at strides 4, 8, 16, 32: 128, 256, 512, 512 channels, each behind its stage's pooling.

    The three fully connected layers of the original are left out: a classifier here averages C5, as the others do.
    """

    strides = (4, 8, 16, 32)
    channels = (128, 256, 512, 512)

    def __init__(self, activation: str = "relu") -> None:
        super().__init__()
        channels = 3
        self.stages = nn.ModuleList()
        for widths in STAGES:
            layers = []
            for width in widths:
                layers.append(ConvNormAct(channels, width, 3, activation=activation))
                channels = width
            self.stages.append(nn.Sequential(*layers, nn.MaxPool2d(2)))

    def forward(self, images: Tensor) -> list[Tensor]:
        return outputs_of(self.stages, images)[1:]
