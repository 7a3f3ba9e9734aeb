"""PRN, the partial residual network's neck for small detectors (arXiv 1911.11929 compares with it; PRN's own cfgs)."""

import functools
import itertools
from collections.abc import Sequence

from torch import Tensor, nn

from detect.models.layers import AddChannels, ConvNormAct, Upsample, make_activation
from detect.models.necks.levels import levels_of
from detect.models.registry import NECKS


@NECKS.register
class PRN(nn.Module):
    """Fusion by additions to the first channels instead of concatenations (`AddChannels`), so convolutions stay small.

    Pyramid -> one map per width, fine to coarse: [B, w, H/s, W/s]. Two widths are PRN, three PRN-3l (its third scale is
    recovered from the published totals, which it meets exactly). Established by yolov3-tiny-prn.cfg.

    Args:
        in_channels, strides: of the pyramid.
        widths: one per scale, fine to coarse.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        strides: Sequence[int],
        widths: Sequence[int] = (128, 256),
        activation: str = "leaky_relu",
    ) -> None:
        super().__init__()
        in_channels, self.strides = levels_of("PRN", widths, in_channels, strides)
        conv = functools.partial(ConvNormAct, activation=activation)
        self.reduce_top = conv(in_channels[-1], widths[-1])
        self.predict_top = conv(widths[-1], widths[-1], 3)
        self.reduce, self.predict = nn.ModuleList(), nn.ModuleList()  # coarse to fine
        for width, coarser in reversed(list(itertools.pairwise(widths))):
            self.reduce.append(conv(coarser, width))
            self.predict.append(conv(width, width, 3))
        self.up = Upsample()
        self.add = AddChannels()
        self.act = make_activation(activation)
        self.channels = tuple(widths)

    def forward(self, pyramid: list[Tensor]) -> list[Tensor]:
        *levels, top = pyramid[-len(self.strides) :]
        reduced = self.reduce_top(top)
        deep = self.predict_top(reduced)
        fused = [self.act(self.add(deep, reduced))]
        for level, reduce, predict in zip(reversed(levels), self.reduce, self.predict, strict=True):
            up = self.up(reduce(deep))  # from the map before its additions
            deep = predict(self.act(self.add(up, level)))
            fused.insert(0, self.act(self.add(self.act(self.add(deep, up)), level)))
        return fused
