"""What a model costs, layer by layer: weights, floats and BFLOPs, counted as Darknet and the paper count them.

BFLOPs (multiply and add are two; from Darknet's source, equal to the published totals of arXiv 1911.11929):

- convolution: 2 * k * k * (C_in / groups) * C_out * H_out * W_out / 1e9 (the classifier is a 1x1 convolution);
- linear layer: 2 * C_in * C_out / 1e9, as a 1x1 convolution of a 1x1 map (Darknet itself leaves `[connected]` out);
- pooling with a window: k * k * C * H_out * W_out / 1e9;
- Maxout: C_in * H * W / 1e9;
- bias, normalisation, activation, concatenation, addition, upsampling, global average pooling: 0.

Parameters come in the paper's two conventions: `conv_weights`, the weights of the convolutions only (its ImageNet
tables), and `floats`, everything that a Darknet .weights file holds: convolution weights, 4 per normalised filter
(scale, bias, mean, variance) and the biases (its tables of small detectors). `parameters` is PyTorch's count of what
is learned, which VoVNet's tables print.

CIO (convolutional input/output, HarDNet, arXiv 1909.00948) approximates memory traffic: elements read plus elements
written by each convolution, whatever its groups. The CSPNet paper's Fig. 8 counts the poolings as well, and so does
`cio` here: its 34.4 M for ResNeXt-50 and 32.6 M for CSPResNeXt-50 at 256 come out, where convolutions alone
(`conv_cio`) have 33.0 M and 31.2 M. Memory is that of a layer's output for one image in 32-bit floats.
"""

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from detect.analysis.table import aligned
from detect.darknet.layers import Pool as DarknetPool
from detect.errors import UserError
from detect.models.detector import fits
from detect.models.layers import ConvNormAct, Maxout, Resize, SamePool, Upsample

Rule = Callable[[Any, torch.Tensor, torch.Tensor], tuple[str, int]]  # (module, input, output) -> (type, operations)


@dataclass(frozen=True)
class Layer:
    """One row: a layer of the model, at one input size."""

    name: str  # path of the module, 'backbone.stages.0.part1'
    type: str  # 'conv 3x3/2', 'maxpool 2x2/2', 'maxout', ...
    input: list[int]  # [C, H, W]
    output: list[int]  # [C, H, W]
    conv_weights: int
    floats: int
    parameters: int
    bflops: float
    cio: int  # elements read and written, of convolutions and poolings

    @property
    def memory(self) -> int:
        """Bytes of the output at 32 bits."""
        return 4 * math.prod(self.output)

    @property
    def is_convolution(self) -> bool:
        """Whether it is one, bare or with norm and activation."""
        return self.type.startswith("conv ")


@dataclass(frozen=True)
class Profile:
    """The layers of a model in the order of execution, for an input of `size` x `size` px, and their totals."""

    size: int
    layers: list[Layer]

    @property
    def conv_weights(self) -> int:
        """Weights of the convolutions."""
        return sum(layer.conv_weights for layer in self.layers)

    @property
    def floats(self) -> int:
        """Numbers in a Darknet .weights file."""
        return sum(layer.floats for layer in self.layers)

    @property
    def parameters(self) -> int:
        """What is learned, as PyTorch counts it."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def bflops(self) -> float:
        """Billions of operations."""
        return sum(layer.bflops for layer in self.layers)

    @property
    def cio(self) -> int:
        """Elements that convolutions and poolings read and write."""
        return sum(layer.cio for layer in self.layers)

    @property
    def conv_cio(self) -> int:
        """CIO of the convolutions alone, HarDNet's definition."""
        return sum(layer.cio for layer in self.layers if layer.is_convolution)

    @property
    def memory(self) -> int:
        """Bytes of all layers' outputs together."""
        return sum(layer.memory for layer in self.layers)

    def share(self, layer: Layer) -> float:
        """A layer's share of the BFLOPs, 0..1."""
        return layer.bflops / (self.bflops or 1)

    def as_json(self) -> dict[str, Any]:
        """The totals and the layers as a dict of plain lists and numbers."""
        totals = ("conv_weights", "floats", "parameters", "bflops", "cio", "conv_cio", "memory")
        return {
            "size": self.size,
            **{name: getattr(self, name) for name in totals},
            "layers": [asdict(layer) | {"memory": layer.memory, "share": self.share(layer)} for layer in self.layers],
        }

    def table(self) -> str:
        """Aligned plain text, one line per layer, totals in millions and BFLOPs at the end."""
        heading = (
            "#", "layer", "type", "input", "output", "weights", "floats", "BFLOPs", "share", "CIO", "memory KiB",
        )  # fmt: skip
        rows = [
            (
                str(number),
                layer.name,
                layer.type,
                _shape(layer.input),
                _shape(layer.output),
                f"{layer.conv_weights:,}",
                f"{layer.floats:,}",
                f"{layer.bflops:.4f}",
                f"{self.share(layer):.1%}",
                f"{layer.cio:,}",
                f"{layer.memory / 1024:,.0f}",
            )
            for number, layer in enumerate(self.layers)
        ]
        return "\n".join([*aligned([heading, *rows], left=(1, 2)), self._totals()])

    def _totals(self) -> str:
        return (
            f"input {self.size}x{self.size}: {self.conv_weights / 1e6:.4f} M conv weights, "
            f"{self.floats / 1e6:.4f} M floats, {self.parameters / 1e6:.4f} M parameters, {self.bflops:.4f} BFLOPs, "
            f"CIO {self.cio / 1e6:.3f} M (convolutions alone {self.conv_cio / 1e6:.3f} M), "
            f"{self.memory / 2**20:.1f} MiB of activations"
        )


def profile(model: nn.Module, size: int, channels: int = 3) -> Profile:
    """Count `model` (a detector, classifier, backbone or any part) for inputs of `size` x `size` px -> `Profile`.

    Runs a copy of the model on the meta device: nothing is computed and no feature map takes memory; the model itself
    stays as it is. A module that runs twice has two rows; its parameters count in the first.

    Raises:
        UserError: `size` is no multiple of the model's stride, or the model holds parameters that no rule of `RULES`
            counts (a layer of an unknown kind, or one that its forward never runs).
    """
    stride = _stride(model)
    if not fits(size, stride):
        raise UserError(f"the input size is {size} px; it must be a positive multiple of the model's stride, {stride}")
    model = copy.deepcopy(model).to("meta").eval()
    uncounted = _state(model)
    dtype = next((tensor.dtype for tensor in uncounted.values()), torch.float32)
    layers: list[Layer] = []

    def hook_for(name: str, rule: Rule) -> Callable[..., None]:
        def hook(
            module: nn.Module, inputs: Sequence[torch.Tensor], named: dict[str, torch.Tensor], output: torch.Tensor
        ) -> None:
            x = next(iter([*inputs, *named.values()]))
            layers.append(_row(name, module, rule, x, output, uncounted))

        return hook

    for name, module, rule in _counted_modules(model):
        module.register_forward_hook(hook_for(name, rule), with_kwargs=True)
    with torch.inference_mode():
        model(torch.empty(1, channels, size, size, dtype=dtype, device="meta"))
    if uncounted:
        raise UserError(
            f"cannot count {', '.join(list(uncounted)[:5])} ({len(uncounted)} tensors in all): the model's forward "
            "does not run them, or their layer needs a rule in detect/analysis/profile.py"
        )
    return Profile(size, layers)


def _stride(model: nn.Module) -> int:
    """The number that input sizes must be multiples of: the model's own, or its coarsest map's, or 1."""
    return getattr(model, "stride", None) or max(getattr(model, "strides", (1,)))


def _state(model: nn.Module) -> dict[str, torch.Tensor]:
    """Every tensor that a weights file must hold, by name: parameters and running statistics, shared ones once."""
    saved = model.state_dict().keys()
    tensors: dict[str, torch.Tensor] = dict(model.named_parameters())
    tensors |= {n: b for n, b in model.named_buffers() if n in saved and not n.endswith("num_batches_tracked")}
    return tensors


def _counted_modules(module: nn.Module, name: str = "") -> Iterator[tuple[str, nn.Module, Rule]]:
    """(path, module, rule) of the outermost modules that a rule counts: a ConvNormAct, not the parts inside it.

    A ConvNormAct around a CompConv is no single convolution: its parts are counted.
    """
    rule = next((rule for layer_type, rule in RULES.items() if isinstance(module, layer_type)), None)
    if isinstance(module, ConvNormAct) and not isinstance(module.conv, nn.Conv2d):
        rule = None
    if rule:
        yield name, module, rule
        return
    for child_name, child in module.named_children():
        yield from _counted_modules(child, f"{name}.{child_name}" if name else child_name)


def _row(
    name: str, module: nn.Module, rule: Rule, x: torch.Tensor, y: torch.Tensor, uncounted: dict[str, torch.Tensor]
) -> Layer:
    """The `Layer` of one execution, `x` -> `y`; takes the module's tensors off the `uncounted` ones."""
    own = {id(tensor) for tensor in [*module.parameters(), *module.buffers()]}
    names = [n for n, tensor in uncounted.items() if id(tensor) in own]
    tensors = [uncounted.pop(n) for n in names]
    layer_type, operations = rule(module, x, y)
    return Layer(
        name,
        layer_type,
        list(x.shape[1:]),
        list(y.shape[1:]),
        conv_weights=sum(tensor.numel() for tensor in tensors if tensor.dim() == 4),
        floats=sum(tensor.numel() for tensor in tensors),
        parameters=sum(tensor.numel() for tensor in tensors if isinstance(tensor, nn.Parameter)),
        bflops=operations / 1e9,
        cio=0 if layer_type in ("norm", "upsample") else x[0].numel() + y[0].numel(),
    )


def _conv(conv: nn.Conv2d, x: torch.Tensor, y: torch.Tensor) -> tuple[str, int]:
    return _conv_type(conv), 2 * conv.weight[0].numel() * y[0].numel()


def _linear(linear: nn.Linear, x: torch.Tensor, y: torch.Tensor) -> tuple[str, int]:
    return "linear", 2 * linear.in_features * y[0].numel()


def _conv_norm_act(module: ConvNormAct, x: torch.Tensor, y: torch.Tensor) -> tuple[str, int]:
    return _conv(module.conv, x, y)


def _conv_type(conv: nn.Conv2d) -> str:
    groups = f" g{conv.groups}" if conv.groups > 1 else ""
    return f"conv {_window(conv.kernel_size, conv.stride)}{groups}"


def _pool(layer_type: str) -> Rule:
    def rule(pool: nn.MaxPool2d | nn.AvgPool2d, x: torch.Tensor, y: torch.Tensor) -> tuple[str, int]:
        height, width = _pair(pool.kernel_size)
        return f"{layer_type} {_window(pool.kernel_size, pool.stride)}", height * width * y[0].numel()

    return rule


def _darknet_pool(pool: DarknetPool, x: torch.Tensor, y: torch.Tensor) -> tuple[str, int]:
    layer_type = "avgpool" if pool.average else "maxpool"
    return f"{layer_type} {_window(pool.size, pool.strides)}", pool.size**2 * y[0].numel()


def _maxout(module: Maxout, x: torch.Tensor, y: torch.Tensor) -> tuple[str, int]:
    return "maxout", x[0].numel()


def _resize(module: Resize, x: torch.Tensor, y: torch.Tensor) -> tuple[str, int]:
    factor = x.shape[-1] // y.shape[-1]
    if factor > 1:
        return f"maxpool {factor}x{factor}/{factor}", factor * factor * y[0].numel()
    return "upsample", 0


def _free(layer_type: str) -> Rule:
    return lambda module, x, y: (layer_type, 0)


# How each kind of layer is counted. A layer inside one of these is not counted again; later kinds join here.
RULES: dict[type[nn.Module], Rule] = {
    ConvNormAct: _conv_norm_act,
    nn.Conv2d: _conv,
    nn.Linear: _linear,
    nn.MaxPool2d: _pool("maxpool"),
    DarknetPool: _darknet_pool,
    SamePool: lambda pool, x, y: ("maxpool 2x2", 4 * y[0].numel()),
    nn.AvgPool2d: _pool("avgpool"),  # Darknet's local_avgpool counts like its maxpool
    nn.AdaptiveAvgPool2d: _free("avgpool"),
    nn.BatchNorm1d: _free("norm"),
    nn.BatchNorm2d: _free("norm"),
    Maxout: _maxout,
    Resize: _resize,
    Upsample: _free("upsample"),
}


def _pair(value: int | tuple[int, ...]) -> tuple[int, int]:
    height, width = (value, value) if isinstance(value, int) else value
    return height, width


def _window(kernel_size: int | tuple[int, ...], stride: int | tuple[int, ...]) -> str:
    """'3x3/2'; a stride of 1 is left out."""
    height, width = _pair(kernel_size)
    steps = _pair(stride)
    step = str(steps[0]) if steps[0] == steps[1] else f"{steps[0]}x{steps[1]}"
    return f"{height}x{width}" + ("" if steps == (1, 1) else f"/{step}")


def _shape(shape: Iterable[int]) -> str:
    return "x".join(map(str, shape))
