"""Layers that the backbones and necks share. Activations, Maxout and SAM follow Darknet's definitions."""

import functools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from detect.errors import OptionError

ACTIVATIONS = {
    "linear": nn.Identity,
    "leaky_relu": lambda: nn.LeakyReLU(0.1, inplace=True),  # Darknet's slope
    "relu": lambda: nn.ReLU(inplace=True),
    "h_swish": lambda: nn.Hardswish(inplace=True),
    "swish": lambda: nn.SiLU(inplace=True),
    "mish": lambda: nn.Mish(inplace=True),
    "sigmoid": nn.Sigmoid,  # Darknet calls it 'logistic'
    "h_sigmoid": nn.Hardsigmoid,
}


def make_activation(name: str) -> nn.Module:
    """The activation of that name in `ACTIVATIONS`.  Raises OptionError: there is none."""
    if not isinstance(name, str) or name not in ACTIVATIONS:
        raise OptionError("activation", f"unknown activation '{name}'; known: {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]()


class ConvNormAct(nn.Module):
    """Convolution without bias, batch normalisation, activation. [B, in, H, W] -> [B, out, H/stride, W/stride]"""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 1,
        stride: int = 1,
        groups: int = 1,
        activation: str = "leaky_relu",
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels, out_channels, kernel_size, stride, padding=kernel_size // 2, groups=groups, bias=False
        )
        self.norm = nn.BatchNorm2d(out_channels, eps=1e-5)
        self.act = make_activation(activation)
        nn.init.kaiming_normal_(self.conv.weight, a=0.1, mode="fan_in", nonlinearity="leaky_relu")

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.norm(self.conv(x)))

    def fuse(self) -> None:
        """Fold the normalisation into the convolution, for inference only; a CompConv keeps its norm."""
        if isinstance(self.norm, nn.BatchNorm2d) and isinstance(self.conv, nn.Conv2d):
            self.conv = fuse_conv_bn_eval(self.conv, self.norm)
            self.norm = nn.Identity()


class AddChannels(nn.Module):
    """Darknet's `[shortcut]` between maps of unequal shape, PRN's partial residual: x + y where both have channels.

    y [B, C_y, H_y, W_y] is added to the first min(C_x, C_y) channels of x [B, C_x, H, W], which gives the result its
    shape; a y of twice the size is subsampled. Without parameters.
    """

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        step = y.shape[-1] // x.shape[-1]
        if step > 1:
            y = y[..., ::step, ::step]
        if x.shape[1] == y.shape[1]:
            return x + y
        common = min(x.shape[1], y.shape[1])
        return torch.cat([x[:, :common] + y[:, :common], x[:, common:]], dim=1)


class Residual(nn.Module):
    """act(layers(x) + x), added by `AddChannels`, so that the shapes may differ. [B, C, H, W] -> as `layers` gives"""

    def __init__(self, layers: nn.Module, activation: str) -> None:
        super().__init__()
        self.layers = layers
        self.add = AddChannels()
        self.act = make_activation(activation)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.add(self.layers(x), x))


class Maxout(nn.Module):
    """Cross-channel max pooling to `channels` maps: output g = max over input channels g, g+k, g+2k, ...

    Darknet's `[maxpool] maxpool_depth=1 out_channels=k`. When the input's channels are no multiple of `channels`
    the last, incomplete group takes part with the channels it has.  [B, C, H, W] -> [B, channels, H, W]
    """

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        if in_channels < channels:
            raise ValueError(f"Maxout cannot make {channels} channels from {in_channels}")
        self.in_channels, self.channels = in_channels, channels

    def forward(self, x: Tensor) -> Tensor:
        rest = self.in_channels % self.channels
        if rest:  # the last group's missing channels: those of the one before, again (int8 knows no -inf)
            x = torch.cat([x, x[:, self.in_channels - self.channels : self.in_channels - rest]], dim=1)
        if self.training and x.requires_grad:  # one gather backward: three times faster than a chain of maxima
            last = x.permute(0, 2, 3, 1).unflatten(-1, (-1, self.channels))  # [B, H, W, C/k, k]
            return last.max(dim=3).values.permute(0, 3, 1, 2)
        parts = x.chunk(x.shape[1] // self.channels, dim=1)
        return functools.reduce(torch.maximum, parts)  # of slices: five times faster forward than a reduction


def compress(in_channels: int, channels: int) -> tuple[nn.Module, int]:
    """(layer, its channels): Maxout to `channels`, or nothing where the map has no more channels than that."""
    if in_channels <= channels:
        return nn.Identity(), in_channels
    return Maxout(in_channels, channels), channels


class SAM(nn.Module):
    """Spatial attention: x * sigmoid(norm(conv1x1(x))), Darknet's `[sam]` (sam_layer.c). [B, C, H, W] -> the same"""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.attention = ConvNormAct(channels, channels, activation="sigmoid")

    def forward(self, x: Tensor) -> Tensor:
        return x * self.attention(x)


class SqueezeExcite(nn.Module):
    """Squeeze-and-excitation (arXiv 1709.01507): per-channel gates from the global average; `gate` makes them 0..1.

    [B, C, H, W] -> the same
    """

    def __init__(self, channels: int, reduction: int, gate: str = "sigmoid") -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, max(channels // reduction, 1), 1)
        self.excite = nn.Conv2d(max(channels // reduction, 1), channels, 1)
        self.gate = make_activation(gate)

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean((2, 3), keepdim=True)
        return x * self.gate(self.excite(F.relu(self.squeeze(mean))))


class EffectiveSqueezeExcite(nn.Module):
    """eSE of VoVNetV2 (arXiv 1911.06667): per-channel gates by one convolution, so that no information is squeezed.

    [B, C, H, W] -> the same
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.excite = nn.Conv2d(channels, channels, 1)
        self.gate = make_activation("h_sigmoid")

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(self.excite(x.mean((2, 3), keepdim=True)))


class SPP(nn.Module):
    """Spatial pyramid pooling of YOLOv3-SPP: concat(maxpool 13, 9, 5, x), stride 1. [B, C, H, W] -> [B, 4C, H, W]"""

    def __init__(self) -> None:
        super().__init__()
        self.pools = nn.ModuleList(nn.MaxPool2d(size, 1, size // 2) for size in (13, 9, 5))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([*(pool(x) for pool in self.pools), x], dim=1)


class SamePool(nn.Module):
    """Darknet's max pooling of size 2 and stride 1: each place and its neighbours to the right and below.

    [B, C, H, W] -> the same
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(F.pad(x, (0, 1, 0, 1), mode="replicate"), 2, stride=1)  # int8 knows no -inf


class Resize(nn.Module):
    """A map at another size of the pyramid: repeated where it grows, its maxima where it shrinks.

    [B, C, h, w], (H, W) -> [B, C, H, W]; the sizes are multiples of each other.
    """

    def forward(self, x: Tensor, size: Sequence[int]) -> Tensor:
        factor = x.shape[-1] // size[-1]
        if factor > 1:
            return F.max_pool2d(x, factor)
        return x if tuple(x.shape[-2:]) == tuple(size) else F.interpolate(x, size=size, mode="nearest")


class Upsample(nn.Module):
    """Nearest-neighbour upsampling by 2. [B, C, H, W] -> [B, C, 2H, 2W]"""

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(x, scale_factor=2.0, mode="nearest")
