"""Darknet's layers as modules. Each takes the maps of its source layers, [B, C, H, W], and gives its own map."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from detect.darknet.activations import make_activation

NORM_EPS = 1e-6  # Darknet's on the CPU, and OpenCV's; Darknet's fusing adds 1e-5


class Convolution(nn.Module):
    """`[convolutional]`: convolution, normalisation or bias, activation. `strides` are (rows, columns).

    Darknet multiplies the padding by the dilation.
    """

    def __init__(
        self, in_channels: int, filters: int, size: int, strides: tuple[int, int], padding: int, dilation: int,
        groups: int, normalize: bool, activation: str,
    ) -> None:  # fmt: skip
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels, filters, size, strides, padding * dilation, dilation, groups, bias=not normalize
        )
        self.norm = nn.BatchNorm2d(filters, eps=NORM_EPS) if normalize else nn.Identity()
        self.act = make_activation(activation)
        init_as_darknet(self.conv)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(self.norm(self.conv(x)))

    def fuse(self) -> None:
        """Fold the normalisation into the convolution, for inference only."""
        if isinstance(self.norm, nn.BatchNorm2d):
            self.conv, self.norm = fuse_conv_bn_eval(self.conv, self.norm), nn.Identity()


class Connected(nn.Module):
    """`[connected]`: a linear layer of all numbers of the map. [B, C, H, W] -> [B, outputs, 1, 1]"""

    def __init__(self, inputs: int, outputs: int, normalize: bool, activation: str) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs, bias=not normalize)
        self.norm = nn.BatchNorm1d(outputs, eps=NORM_EPS) if normalize else nn.Identity()
        self.act = make_activation(activation)
        init_as_darknet(self.linear)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(self.norm(self.linear(x.flatten(1))))[..., None, None]

    def fuse(self) -> None:
        """Fold the normalisation into the linear layer, for inference only."""
        if isinstance(self.norm, nn.BatchNorm1d):
            self.linear, self.norm = fuse_linear_bn_eval(self.linear, self.norm), nn.Identity()


def init_as_darknet(layer: nn.Conv2d | nn.Linear) -> None:
    """Weights from N(0, 2 / fan in), biases 0."""
    nn.init.kaiming_normal_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


class Pool(nn.Module):
    """`[maxpool]`, or with `average` `[local_avgpool]`: windows of which `padding` // 2 px hang over left and top.

    They may hang over right and bottom by the rest of `padding`. What hangs over takes no part, in the average neither.
    `strides` are (rows, columns).
    """

    def __init__(self, size: int, strides: tuple[int, int], padding: int, average: bool) -> None:
        super().__init__()
        self.size, self.strides, self.padding, self.average = size, strides, padding, average

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows, columns = (self._overhang(side, stride) for side, stride in zip(x.shape[-2:], self.strides, strict=True))
        if self.average:
            inside = F.pad(torch.ones_like(x[:1, :1]), (*columns, *rows))
            counts = F.avg_pool2d(inside, self.size, self.strides)
            return F.avg_pool2d(F.pad(x, (*columns, *rows)), self.size, self.strides) / counts
        if rows == columns and rows[0] == rows[1] <= self.size // 2:  # SPP's windows and even ones: nothing to copy
            return F.max_pool2d(x, self.size, self.strides, padding=rows[0])
        # what hangs over repeats the border, which is in the window anyway (int8 knows no -inf)
        return F.max_pool2d(F.pad(x, (*columns, *rows), mode="replicate"), self.size, self.strides)

    def _overhang(self, side: int, stride: int) -> tuple[int, int]:
        """px by which the windows hang over the beginning and the end of a map's side."""
        before = self.padding // 2
        windows = (side + self.padding - self.size) // stride + 1
        return before, max((windows - 1) * stride + self.size - before - side, 0)

    def extra_repr(self) -> str:
        return f"size={self.size}, strides={self.strides}, padding={self.padding}, average={self.average}"


class GlobalAverage(nn.Module):
    """`[avgpool]`: [B, C, H, W] -> [B, C, 1, 1]"""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean((2, 3), keepdim=True)


class Route(nn.Module):
    """`[route]`: the sources side by side; with groups, the `group_id`-th of equal slices of each."""

    def __init__(self, groups: int, group_id: int) -> None:
        super().__init__()
        self.groups, self.group_id = groups, group_id

    def forward(self, *sources: torch.Tensor) -> torch.Tensor:
        if self.groups > 1:
            sources = tuple(x.chunk(self.groups, dim=1)[self.group_id] for x in sources)
        return torch.cat(sources, dim=1) if len(sources) > 1 else sources[0]

    def extra_repr(self) -> str:
        return f"groups={self.groups}, group_id={self.group_id}"


class Shortcut(nn.Module):
    """`[shortcut]`: the previous map plus the first channels of others; its own shape stays.

    Between maps of different sizes every stride-th pixel takes part, as in the Darknet that such cfgs (resnet10) were
    trained with; today's adds the maps' memory from the first number on, whatever pixels that brings together.

    Args:
        terms: number of maps that are added up.
        weights: how many weights each map has: 0, 1 or one a channel.
        normalization: `none`, `relu` or `softmax` over the maps' weights.
    """

    def __init__(self, terms: int, weights: int, normalization: str, activation: str) -> None:
        super().__init__()
        self.normalization = normalization
        self.weight = nn.Parameter(torch.ones(terms, weights)) if weights else None
        self.act = make_activation(activation)

    def forward(self, *sources: torch.Tensor) -> torch.Tensor:
        factors: Sequence[torch.Tensor | None] = [None] * len(sources)
        if self.weight is not None:
            factors = list(self._normalized(self.weight)[:, None, :, None, None])  # terms x [1, weights, 1, 1]
        total = sources[0] if factors[0] is None else sources[0] * factors[0]
        for x, factor in zip(sources[1:], factors[1:], strict=True):
            total = self._add(total, x, factor)
        return self.act(total)

    def _normalized(self, weight: torch.Tensor) -> torch.Tensor:
        """Weights as factors, both [terms, weights]."""
        if self.normalization == "none":
            return weight
        if self.normalization == "relu":
            positive = weight.clamp(min=1e-3)  # Darknet's lrelu (blas_kernels.cu, and where it fuses norms)
        else:
            positive = (weight - weight.amax(0)).exp()
        return positive / (positive.sum(0) + 1e-4)

    @staticmethod
    def _add(total: torch.Tensor, x: torch.Tensor, factor: torch.Tensor | None) -> torch.Tensor:
        """`total` plus the first channels of `x` times `factor`, where the two share pixels."""
        channels = min(total.shape[1], x.shape[1])
        (height, width), (rows, columns) = total.shape[-2:], x.shape[-2:]
        x = x[:, :channels, :: max(rows // height, 1), :: max(columns // width, 1)]
        if factor is not None:
            x = x * factor[:, :channels]
        if x.shape == total.shape:
            return total + x
        total = total.clone()
        total[:, :channels, :: max(height // rows, 1), :: max(width // columns, 1)] += x
        return total

    def extra_repr(self) -> str:
        return f"normalization={self.normalization}"


class Upsample(nn.Module):
    """`[upsample]`: every pixel `stride` times in each direction, times `scale`."""

    def __init__(self, stride: int, scale: float) -> None:
        super().__init__()
        self.stride, self.scale = stride, scale

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.interpolate(x, scale_factor=float(self.stride), mode="nearest")
        return x if self.scale == 1 else x * self.scale

    def extra_repr(self) -> str:
        return f"stride={self.stride}, scale={self.scale:g}"


class Product(nn.Module):
    """`[sam]` and `[scale_channels]`: the previous map times another, after which it is shaped."""

    def __init__(self, activation: str) -> None:
        super().__init__()
        self.act = make_activation(activation)

    def forward(self, x: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        return self.act(x * other)


class Reorg(nn.Module):
    """`[reorg]`: pixels to channels in Darknet's own order. [B, C, H, W] -> [B, C*s*s, H/s, W/s]

    Darknet takes the map's memory for one of [C/s/s, H*s, W*s], sorts that one's pixels into channels, [C, H, W], and
    calls the result [C*s*s, H/s, W/s].
    """

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, channels, height, width = x.shape
        stride = self.stride
        blocks = x.reshape(batch, channels // (stride * stride), height, stride, width, stride)
        blocks = blocks.permute(0, 3, 5, 1, 2, 4)  # [B, s, s, C/s/s, H, W]
        return blocks.reshape(batch, channels * stride * stride, height // stride, width // stride)

    def extra_repr(self) -> str:
        return f"stride={self.stride}"


class Softmax(nn.Module):
    """`[softmax]`: over all numbers of an image, or over `groups` equal slices of them.

    OpenCV's takes channels only, pixel by pixel; for the usual 1x1 map it is the same.
    """

    def __init__(self, groups: int, temperature: float) -> None:
        super().__init__()
        self.groups, self.temperature = groups, temperature

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        slices = x.reshape(x.shape[0], self.groups, -1) / self.temperature
        return slices.softmax(-1).view(x.shape)

    def extra_repr(self) -> str:
        return f"groups={self.groups}, temperature={self.temperature:g}"


class Crop(nn.Module):
    """`[crop]` when nothing is trained: the middle of a map, and with `adjust` 0..1 becomes -1..1.

    [B, C, H, W] -> [B, C, height, width]
    """

    def __init__(self, height: int, width: int, adjust: bool) -> None:
        super().__init__()
        self.height, self.width, self.adjust = height, width, adjust

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        top, left = (x.shape[-2] - self.height) // 2, (x.shape[-1] - self.width) // 2
        x = x[..., top : top + self.height, left : left + self.width]
        return 2 * x - 1 if self.adjust else x

    def extra_repr(self) -> str:
        return f"height={self.height}, width={self.width}, adjust={self.adjust}"


class CertainBoxes(nn.Module):
    """`[Gaussian_yolo]`'s map as one of `[yolo]`, whose objectness is multiplied by how certain the box is.

    Each of x, y, w and h comes with the logit of its uncertainty; Darknet multiplies scores by 1 minus their mean.
    [B, A * (9 + K), H, W] -> [B, A * (5 + K), H, W]
    """

    def __init__(self, anchors: int) -> None:
        super().__init__()
        self.anchors = anchors

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.unflatten(1, (self.anchors, -1))  # [B, A, 9 + K, H, W]
        certainty = 1 - x[:, :, 1:8:2].sigmoid().mean(2, keepdim=True)
        objectness = torch.logit(x[:, :, 8:9].sigmoid() * certainty, eps=1e-7)
        return torch.cat([x[:, :, 0:8:2], objectness, x[:, :, 9:]], dim=2).flatten(1, 2)
