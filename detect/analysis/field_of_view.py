"""How far each detection scale sees, beside its anchors: the CSPNet paper's "look exactly" (arXiv 1911.11929, 3.2).

The effective receptive field (Luo et al., arXiv 1701.04128) is the gradient of the raw output of the cell in the centre
with respect to the input: its absolute value, summed over the colours, averaged over inputs of uniform noise. The raw
output has many channels (anchors x (5 + classes)); their normally distributed random mixture is differentiated, whose
gradient has on average the size of all channels' gradients together (the norm of the Jacobian's columns), so that no
channel rules and none cancels another. That takes one backward pass per scale and input.

The size of a field is the side of the smallest square around the cell's centre that holds a share (50%, 95%) of it.
The theoretical extent is the box of input px that can change the cell at all. Both end at the input's border. GFM's
global average reaches every px, so that its 95% grow with the input: 256, 328, 438 px of its finest scale at 416, 640,
832, where EFM has 244, 236, 242 (CSPPeleeNet without training, seed 0). Without its global average GFM has 230, 228,
230.

A detector without training has its initial weights and norms with their initial statistics. That choice matters. Norms
calibrated on a batch of noise make the gradient 100 to 370 times larger (measured: CSPPeleeNet, GFM and EFM at 416,
three seeds; cf. arXiv 1902.08129), all fields wider, the scales more alike and, at 416, EFM's finest scale look
slightly further than GFM's instead of less far. The initial statistics are kept because only with them do the fields
come out close to those of the one trained detector we have, the released weights. In training mode, with the batch's
own statistics, every cell would depend on every pixel.
"""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode

from detect.analysis.table import aligned
from detect.config.build import build_model
from detect.config.schema import Settings
from detect.darknet.network import DarknetNetwork
from detect.errors import UserError
from detect.models.detector import Detector

CLASSES = 80  # of a detector without training, as in COCO
FAINT = 1e-6  # input at which no gate saturates


@dataclass(frozen=True)
class Field:
    """What the centre cell of one detection scale sees."""

    stride: int
    cell: tuple[int, int]  # column, row
    gradient: torch.Tensor  # [H, W] float64, its sum is 1
    extent: tuple[int, int, int, int]  # left, top, right, bottom of the theoretical extent, px
    anchors: tuple[tuple[float, float], ...]  # (width, height) of each, px

    @property
    def centre(self) -> tuple[float, float]:
        """x, y of the cell's centre, px."""
        column, row = self.cell
        return (column + 0.5) * self.stride, (row + 0.5) * self.stride

    def side(self, share: float) -> int:
        """Side in px of the smallest square around the cell's centre with `share` (0..1) of the gradient.

        The square grows by whole px on all sides, also beyond a border of the input that is nearer than the other.
        """
        height, width = self.gradient.shape
        x, y = self.centre
        columns = (torch.arange(width, dtype=torch.float64) + 0.5 - x).abs()
        rows = (torch.arange(height, dtype=torch.float64) + 0.5 - y).abs()
        sides = 2 * torch.maximum(rows[:, None], columns) + 1  # of the square that just holds the pixel, [H, W]
        found, ring = sides.flatten().unique(return_inverse=True)
        held = torch.zeros_like(found).index_add(0, ring, self.gradient.flatten()).cumsum(0)
        return int(found[torch.searchsorted(held, share * held[-1])])

    @property
    def anchor_side(self) -> float:
        """Geometric mean of the anchors' widths and heights, px."""
        return math.prod(side for anchor in self.anchors for side in anchor) ** (1 / (2 * len(self.anchors)))

    def as_json(self) -> dict[str, Any]:
        """Plain numbers, without the gradient itself."""
        return {
            "stride": self.stride,
            "cell": list(self.cell),
            "side_50": self.side(0.5),
            "side_95": self.side(0.95),
            "extent": list(self.extent),
            "anchors": [list(anchor) for anchor in self.anchors],
            "anchor_side": self.anchor_side,
        }


@dataclass(frozen=True)
class Measured:
    """The fields of one detector, fine to coarse."""

    name: str
    weights: str  # 'random' or 'trained'
    size: int  # side of the input, px
    fields: list[Field]

    def as_json(self) -> dict[str, Any]:
        """Plain numbers, scale by scale."""
        fields = [field.as_json() for field in self.fields]
        return {"name": self.name, "weights": self.weights, "size": self.size, "scales": fields}


def untrained(settings: Settings, seed: int = 0) -> Detector | DarknetNetwork:
    """The detector that `settings` describe, with random weights, in eval mode.

    The same `seed` gives the same weights; PyTorch's own generator is left as it was.

    Raises:
        UserError: a part of it is unknown or does not fit.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build_model(settings, CLASSES).eval()


def measure(source: str | Path, weights: str, network: Detector | DarknetNetwork, size: int, inputs: int) -> Measured:
    """The `Measured` of a network from the file `source`; every error names it. `weights`: 'random' or 'trained'."""
    try:
        return Measured(Path(source).stem, weights, size, fields_of_view(network, size, inputs))
    except UserError as error:
        raise UserError(f"{source}: {error}") from error


def fields_of_view(network: Detector | DarknetNetwork, size: int, inputs: int = 4) -> list[Field]:
    """The `Field` of each detection scale, fine to coarse, for inputs of `size` x `size` px.

    Args:
        network: it stays as it is.
        inputs: number of images of noise that the gradient is averaged over.

    Raises:
        UserError: the network takes no inputs of that size, has no detection scales, or gives no usable gradient.
    """
    if getattr(network, "head", None) is None:
        raise UserError("it has no detection scales; give a detector")
    head, measured = network.head, gradients(network, size, inputs)
    for stride, total in zip(head.strides, (gradient.sum() for gradient in measured), strict=True):
        if not total.isfinite() or not total > 0:
            raise UserError(f"the gradient at stride {stride} is {float(total):g}; its weights hold no usable numbers")
    fields = [
        Field(stride, (size // stride // 2,) * 2, gradient / gradient.sum(), extent, anchors)
        for stride, gradient, extent, anchors in zip(
            head.strides, measured, extents(network, size), head.anchors, strict=True
        )
    ]
    return sorted(fields, key=lambda field: field.stride)


def gradients(network: nn.Module, size: int, inputs: int = 4, seed: int = 0) -> list[torch.Tensor]:
    """Mean absolute gradient of the centre cell of each map that `network` gives, summed over colours: [H, W] float64.

    Args:
        network: images [1, 3, size, size] -> list of maps.
        inputs: number of images of noise that the gradient is averaged over.
        seed: of the noise and the mixtures; the same numbers again give the same gradients.
    """
    network = copy.deepcopy(network).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    return list(sum(_gradients_once(network, size, generator) for _ in range(inputs)) / inputs)


def _gradients_once(network: nn.Module, size: int, generator: torch.Generator) -> torch.Tensor:
    """The gradients for one image of noise: [maps, H, W]."""
    image = torch.rand(1, 3, size, size, generator=generator).requires_grad_()
    cells = [_centre_cell(raw) for raw in _run(network, image)]
    mixtures = [cell @ torch.randn(cell.shape, generator=generator) for cell in cells]
    return torch.stack([_gradient(mixture, image) for mixture in mixtures])


def extents(network: nn.Module, size: int) -> list[tuple[int, int, int, int]]:
    """Box (left, top, right, bottom) in px of the input that the centre cell of each map of `network` can depend on.

    Found by one gradient per map of a copy with positive weights, neutral norms and means in place of maxima, so that
    no path cancels another and none is left out; in 64 bits, so that no long path vanishes.
    """
    network = _positive(network)
    image = torch.full((1, 3, size, size), FAINT, dtype=torch.float64, requires_grad=True)
    with _MeansForMaxima():
        maps = _run(network, image)
    return [_box(_gradient(_centre_cell(raw).sum(), image) > 0) for raw in maps]


def table(detectors: Sequence[Measured], inputs: int) -> str:
    """Aligned plain text, one line per detection scale of each `Measured`, and what the columns are."""
    heading = (
        "model", "weights", "input", "stride", "50%", "95%", "theoretical", "anchors", "mean", "50%/mean", "95%/mean",
    )  # fmt: skip
    rows = [
        (
            measured.name if number == 0 else "",
            measured.weights if number == 0 else "",
            str(measured.size) if number == 0 else "",
            str(field.stride),
            str(field.side(0.5)),
            str(field.side(0.95)),
            _extent(field, measured.size),
            " ".join(f"{width:g}x{height:g}" for width, height in field.anchors),
            f"{field.anchor_side:.0f}",
            f"{field.side(0.5) / field.anchor_side:.1f}",
            f"{field.side(0.95) / field.anchor_side:.1f}",
        )
        for measured in detectors
        for number, field in enumerate(measured.fields)
    ]
    legend = (
        f"px of the input. 50%, 95%: side of the square around the centre cell with that share of its gradient, mean "
        f"of {inputs} inputs of noise.\ntheoretical: what can reach the cell, 'all': the whole input. "
        "mean: geometric, of the anchors' sides."
    )
    if any(measured.weights == "random" for measured in detectors):
        legend += "\nrandom: not trained; initial weights, norms with their initial statistics."
    return "\n".join([*aligned([heading, *rows], left=(0, 1, 7)), legend])


def _extent(field: Field, size: int) -> str:
    """The theoretical extent for the table, 'all' where it is the whole input."""
    left, top, right, bottom = field.extent
    return "all" if field.extent == (0, 0, size, size) else f"{right - left}x{bottom - top}"


def _run(network: nn.Module, images: torch.Tensor) -> list[torch.Tensor]:
    """The network's maps.  Raises UserError where it does not take images of that size."""
    try:
        return network(images)
    except ValueError as error:  # how models refuse a size
        raise UserError(str(error)) from error


def _centre_cell(raw: torch.Tensor) -> torch.Tensor:
    """[1, C, H, W] -> [C]"""
    height, width = raw.shape[-2:]
    return raw[0, :, height // 2, width // 2]


def _gradient(value: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    """|d value / d image| summed over colours: [H, W] float64."""
    (gradient,) = torch.autograd.grad(value, image, retain_graph=True)
    return gradient[0].double().abs().sum(dim=0)


def _box(mask: torch.Tensor) -> tuple[int, int, int, int]:
    """[H, W] bool -> left, top, right, bottom of what is true."""
    rows, columns = (mask.any(dim=dim).nonzero().flatten().tolist() for dim in (1, 0))
    return (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)


def _positive(network: nn.Module) -> nn.Module:
    """A copy in 64 bits with random positive weights (mean 1 / fan-in), biases 0 and norms that do nothing."""
    network = copy.deepcopy(network).double().eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    for name, parameter in network.named_parameters():
        if parameter.dim() > 1:
            parameter.uniform_(0.5, 1.5, generator=generator).div_(parameter[0].numel())
        else:
            parameter.fill_(0.0 if name.endswith("bias") else 1.0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
    return network


class _MeansForMaxima(TorchFunctionMode):
    """Inside, maxima of windows and of maps are means: every path gets its share of the gradient."""

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if function in (F.max_pool2d, torch.max_pool2d):
            return _mean_pool(*args, **kwargs)
        if function is torch.maximum:
            return (args[0] + args[1]) / 2
        if function is F.pad and kwargs.get("value") == -math.inf:
            kwargs = {**kwargs, "value": 0.0}
        return function(*args, **kwargs)


def _mean_pool(
    x: torch.Tensor,
    kernel_size: int,
    stride: int | None = None,
    padding: int = 0,
    dilation: int = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> torch.Tensor:
    """`max_pool2d`'s arguments, of which our layers leave the dilation and the indices alone, for a mean."""
    return F.avg_pool2d(x, kernel_size, stride, padding, ceil_mode)
