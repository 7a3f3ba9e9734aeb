"""CEM, ThunderNet's context enhancement module (arXiv 1903.11752), with a YOLO head (arXiv 1911.11929, Table 2)."""

import functools
from collections.abc import Sequence

from torch import Tensor, nn

from detect.models.layers import SAM, ConvNormAct, Resize
from detect.models.necks.levels import levels_of
from detect.models.registry import NECKS


@NECKS.register
class CEM(nn.Module):
    """The sum of C4, C5 and the global average of C5, at C4's stride, is one map, from which all scales are predicted.

    Pyramid -> one map per width, fine to coarse.

    Established by ThunderNet: what is summed, and spatial attention on the sum. **Inferred**, as the paper gives only
    totals, is the rest: the width 256 (ThunderNet has 245), the bottom-up prediction of two scales after Fig. 6b, and
    SAM as in EFM(SAM) at the entrance of both branches. They give the published 4.049 and, with SAM, 4.165 BFLOPs at
    416 within 0.2%.

    Args:
        in_channels, strides: of the pyramid.
        widths: one per scale, fine to coarse; the sum has the last one.
        sam: spatial attention at the entrance of each scale's branch.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        strides: Sequence[int],
        widths: Sequence[int] = (128, 256),
        sam: bool = False,
        activation: str = "leaky_relu",
    ) -> None:
        super().__init__()
        _, self.strides = levels_of("CEM", widths, in_channels, strides)
        c4, c5 = in_channels[-2:]
        width = widths[-1]
        conv = functools.partial(ConvNormAct, activation=activation)
        self.c4, self.c5 = conv(c4, width), conv(c5, width)
        self.resize = Resize()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.globe = nn.Conv2d(c5, width, 1)  # a norm would see one value per image
        self.down, self.predict = nn.ModuleList(), nn.ModuleList()  # fine to coarse
        before = width
        for scale, out in enumerate(widths):
            if scale:
                self.down.append(conv(before, out, 3, stride=2))
                before = out
            attention = [SAM(before)] if sam else []
            self.predict.append(nn.Sequential(*attention, conv(before, out, 3)))
            before = out
        self.channels = tuple(widths)

    def forward(self, pyramid: list[Tensor]) -> list[Tensor]:
        c4, c5 = pyramid[-2:]
        context = self.c4(c4) + self.resize(self.c5(c5), c4.shape[-2:]) + self.globe(self.pool(c5))
        finest = pyramid[-len(self.strides)]
        maps = [self.predict[0](self.resize(context, finest.shape[-2:]))]
        for down, predict in zip(self.down, self.predict[1:], strict=True):
            maps.append(predict(down(maps[-1])))
        return maps
