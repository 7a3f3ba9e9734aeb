"""CompConv, a plug-in convolution that computes a part of its output and copies the rest (arXiv 2106.10486)."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from detect.errors import OptionError
from detect.models.registry import CONVOLUTIONS

MAX_DEPTH = 3  # of the recursion: at 3 the smallest piece has 1/14 of the output's channels


def depth_of(in_channels: int, c0: int) -> int:
    """Depth of the recursion for a convolution of `in_channels`: min(log2(max(1, C_in / C_0)) + 1, 3), eq. 6."""
    return min(int(math.log2(max(1, in_channels / c0))) + 1, MAX_DEPTH)


@CONVOLUTIONS.register
class CompConv(nn.Module):
    """A compact stand-in for a k x k convolution. [B, in, H, W] -> [B, out, H/stride, W/stride]

    The output is put together from pieces of 1, 2, .. 2^(d-1) units of C_prim = ceil(out / (2 (2^d - 1))) channels
    (eq. 5), two of each size:

    - X_B: at the deepest level a convolution of the whole input to one unit; at every level above, a convolution of
      the X_B below it is joined with that level's X_A: B_i = A_{i+1} + W B_{i+1} (eq. 3);
    - X_A: a copy of input channels; only the largest, the *tailing channels*, is a convolution of the largest X_B.

    All pieces are concatenated, surplus channels of the tailing piece are cut, and the channels are shuffled. With
    in = out = C a depth of 3 costs 17.9% of the plain convolution, 2 costs 30.6%, 1 costs 75%.

    Established by the paper's formulas: depth, C_prim, tailing channels, shuffle. Inferred, as no code was published:
    which input channels are copied (the first ones, repeated if there are too few), that copies are average-pooled
    where the convolution strides, and that the shuffle deals the channels of the two halves out in turn.

    Args:
        kernel_size: odd.
        c0: C_0, the strength of the compression: deeper, hence cheaper, where in_channels > c0 (128: CompConv128).
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1, c0: int = 128
    ) -> None:
        super().__init__()
        if not isinstance(c0, int) or c0 < 1:
            raise OptionError("c0", f"CompConv's c0 is {c0}; it must be a number of channels, like 128")
        self.out_channels = out_channels
        self.depth = depth_of(in_channels, c0)
        self.unit = math.ceil(out_channels / (2 * (2**self.depth - 1)))
        self.widths = [self.unit * 2**level for level in range(self.depth)]  # of the pieces, deepest first

        def conv(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
            layer = nn.Conv2d(in_channels, out_channels, kernel_size, stride, kernel_size // 2, bias=False)
            nn.init.kaiming_normal_(layer.weight, a=0.1, mode="fan_in", nonlinearity="leaky_relu")
            return layer

        self.deepest = conv(in_channels, self.unit, stride)
        self.transforms = nn.ModuleList(conv(width, width) for width in self.widths[:-1])  # W_i of eq. 3
        surplus = 2 * sum(self.widths) - out_channels
        self.tailing = conv(self.widths[-1], max(self.widths[-1] - surplus, 1))
        self.pool = nn.Identity() if stride == 1 else nn.AvgPool2d(stride, ceil_mode=True)
        self.shuffle = nn.ChannelShuffle(2 if out_channels % 2 == 0 else 1)

    def forward(self, x: Tensor) -> Tensor:
        b = self.deepest(x)
        pieces = [b]
        for a, transform in zip(self._copies(x), self.transforms, strict=True):
            b = torch.cat([a, transform(b)], dim=1)
            pieces += [a, b]
        pieces.append(self.tailing(b))
        return self.shuffle(torch.cat(pieces, dim=1)[:, : self.out_channels])

    def _copies(self, x: Tensor) -> Sequence[Tensor]:
        """The X_A that are input channels, deepest first."""
        needed = sum(self.widths[:-1])
        if not needed:
            return []
        x = self.pool(x)
        x = x.repeat(1, math.ceil(needed / x.shape[1]), 1, 1) if needed > x.shape[1] else x
        return x[:, :needed].split(self.widths[:-1], dim=1)
