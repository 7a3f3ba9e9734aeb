"""CSPPeleeNet Ref., CSPDenseNet Ref. and their 'b' variants: the CSPNet paper's nets for the fastest detectors.

Their cfgs were never published. Certain are the totals of Tables 3 and 4, 512 channels at stride 32, and that 'b' has a
1x1 where the others have a 3x3 convolution before the classifier. **Inferred** is everything else: a skeleton
after the Darknet reference model with one cross-stage-partial dense block per stage, which meets every published total
within 1%, except the 0.886 BFLOPs printed for CSPDenseNet Ref., which agrees with no other published number of that net
(the other numbers ask for 0.836).
"""

from typing import NamedTuple

from torch import Tensor, nn

from detect.models.backbones.densenet import DenseLayer
from detect.models.backbones.peleenet import TwoWayDenseLayer
from detect.models.csp import CrossStagePartial
from detect.models.layers import ConvNormAct
from detect.models.registry import BACKBONES

GROWTH_RATE = 32
LAYERS = (2, 2, 8, 2)  # dense layers per stage


class Variant(NamedTuple):
    layer: type  # of the dense blocks
    bottlenecks: tuple  # width of the dense layers' 1x1 per stage
    last_kernel: int  # of the last convolution, 512 to 512 channels


VARIANTS = {
    "CSPPeleeNetRef": Variant(TwoWayDenseLayer, (16, 16, 128, 128), 3),
    "CSPPeleeNetbRef": Variant(TwoWayDenseLayer, (16, 16, 128, 128), 1),
    "CSPDenseNetRef": Variant(DenseLayer, (16, 16, 64, 64), 3),
    "CSPDenseNetbRef": Variant(DenseLayer, (16, 16, 64, 64), 1),
}


@BACKBONES.register_variants(VARIANTS)
class CSPReference(nn.Module):
    """Images -> pyramid C2..C5: 128, 192, 448, 512 channels at strides 4, 8, 16, 32.

    A stage slices its input in two halves, sends one through the dense layers and one transition, and joins them
    (fusion last, Fig. 3d); max pooling leads to the next. Inferred, not the authors' design.

    Args:
        variant: a name of `VARIANTS`.
        activation: `leaky_relu`, `swish` or `mish`.
    """

    strides = (4, 8, 16, 32)

    def __init__(self, variant: str, activation: str = "leaky_relu") -> None:
        super().__init__()
        table = VARIANTS[variant]
        self.stem = nn.Sequential(
            ConvNormAct(3, 16, 3, activation=activation),
            nn.MaxPool2d(2),
            ConvNormAct(16, 32, 3, activation=activation),
            nn.MaxPool2d(2),
            ConvNormAct(32, 64, 3, activation=activation),
        )
        self.stages = nn.ModuleList()
        channels, pyramid = 64, []
        for layers, bottleneck in zip(LAYERS, table.bottlenecks, strict=True):
            half = channels // 2
            deep = half + layers * GROWTH_RATE
            dense = [table.layer(half + i * GROWTH_RATE, bottleneck, activation) for i in range(layers)]
            self.stages.append(
                CrossStagePartial(channels, half, half, nn.Sequential(*dense), deep, "last", activation, split="slice")
            )
            channels = half + deep
            pyramid.append(channels)
        self.down = nn.MaxPool2d(2)
        self.last = ConvNormAct(channels, 512, table.last_kernel, activation=activation)
        self.channels = (*pyramid[:-1], 512)

    def forward(self, images: Tensor) -> list[Tensor]:
        x = self.stem(images)
        pyramid = []
        for number, stage in enumerate(self.stages):
            x = stage(self.down(x) if number else x)
            pyramid.append(x)
        return [*pyramid[:-1], self.last(x)]
