"""Layers that the backbones and necks share. Activations, Maxout and SAM follow Darknet's definitions."""

import functools

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

ACTIVATIONS = {
    "linear": nn.Identity,
    "leaky_relu": lambda: nn.LeakyReLU(0.1, inplace=True),  # Darknet's slope
    "relu": lambda: nn.ReLU(inplace=True),
    "swish": lambda: nn.SiLU(inplace=True),
    "mish": lambda: nn.Mish(inplace=True),
    "sigmoid": nn.Sigmoid,  # Darknet calls it 'logistic'
}


def make_activation(name):
    if name not in ACTIVATIONS:
        raise ValueError(f"unknown activation '{name}'; known: {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]()


class ConvNormAct(nn.Module):
    """Convolution without bias, batch normalisation, activation. [B, in, H, W] -> [B, out, H/stride, W/stride]"""

    def __init__(self, in_channels, out_channels, kernel_size=1, stride=1, groups=1, activation="leaky_relu"):
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels, out_channels, kernel_size, stride, padding=kernel_size // 2, groups=groups, bias=False
        )
        self.norm = nn.BatchNorm2d(out_channels, eps=1e-5)
        self.act = make_activation(activation)
        nn.init.kaiming_normal_(self.conv.weight, a=0.1, mode="fan_in", nonlinearity="leaky_relu")

    def forward(self, x):
        return self.act(self.norm(self.conv(x)))

    def fuse(self):
        """Fold the normalisation into the convolution, for inference only."""
        if isinstance(self.norm, nn.BatchNorm2d):
            self.conv = fuse_conv_bn_eval(self.conv, self.norm)
            self.norm = nn.Identity()


class Maxout(nn.Module):
    """Cross-channel max pooling to `channels` maps: output g = max over input channels g, g+k, g+2k, ...

    Darknet's `[maxpool] maxpool_depth=1 out_channels=k`. When the input's channels are no multiple of `channels`
    the last, incomplete group takes part with the channels it has.  [B, C, H, W] -> [B, channels, H, W]
    """

    def __init__(self, in_channels, channels):
        super().__init__()
        if in_channels < channels:
            raise ValueError(f"Maxout cannot make {channels} channels from {in_channels}")
        self.in_channels, self.channels = in_channels, channels

    def forward(self, x):
        missing = -self.in_channels % self.channels
        if missing:
            x = F.pad(x, (0, 0, 0, 0, 0, missing), value=float("-inf"))
        if self.training:  # one gather in the backward pass: three times faster than a chain of maxima
            last = x.permute(0, 2, 3, 1).unflatten(-1, (-1, self.channels))  # [B, H, W, C/k, k]
            return last.max(dim=3).values.permute(0, 3, 1, 2)
        parts = x.chunk(x.shape[1] // self.channels, dim=1)
        return functools.reduce(torch.maximum, parts)  # of slices: five times faster forward than a reduction


class SAM(nn.Module):
    """Spatial attention: x * sigmoid(norm(conv1x1(x))), width unchanged (ARCHITECTURES 6.5: Darknet's `[sam]`)."""

    def __init__(self, channels):
        super().__init__()
        self.attention = ConvNormAct(channels, channels, activation="sigmoid")

    def forward(self, x):
        return x * self.attention(x)


class SqueezeExcite(nn.Module):
    """Squeeze-and-excitation (arXiv 1709.01507): per-channel gates from the global average."""

    def __init__(self, channels, reduction):
        super().__init__()
        self.squeeze = nn.Conv2d(channels, max(channels // reduction, 1), 1)
        self.excite = nn.Conv2d(max(channels // reduction, 1), channels, 1)

    def forward(self, x):
        gate = x.mean((2, 3), keepdim=True)
        gate = torch.sigmoid(self.excite(F.relu(self.squeeze(gate))))
        return x * gate


class Upsample(nn.Module):
    """Nearest-neighbour upsampling by 2. [B, C, H, W] -> [B, C, 2H, 2W]"""

    def forward(self, x):
        return F.interpolate(x, scale_factor=2.0, mode="nearest")
