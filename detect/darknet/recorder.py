"""What a model of ours computes, noted as Darknet's layers while it runs once on the meta device."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle

from detect.darknet.place import IMAGES
from detect.errors import UserError
from detect.models.csp import Slice
from detect.models.layers import SAM, SPP, AddChannels, ConvNormAct, Maxout, SamePool, SqueezeExcite, Upsample

ACTIVATIONS: dict[type[nn.Module], str] = {
    nn.Identity: "linear",
    nn.LeakyReLU: "leaky",
    nn.ReLU: "relu",
    nn.SiLU: "swish",
    nn.Mish: "mish",
    nn.Sigmoid: "logistic",
}


@dataclass
class Node:
    """One Darknet layer: its section and options, and the indices of the nodes it reads.

    A `[convolutional]` also has the modules that hold its numbers.
    """

    type: str
    sources: tuple[int, ...]
    options: dict[str, int | str] = field(default_factory=dict)
    conv: nn.Conv2d | None = None
    norm: nn.BatchNorm2d | None = None


class Recorder(TorchFunctionMode):
    """Notes what a model on the meta device computes, as `nodes`.

    A method named in `LAYERS` notes one kind of layer: from the module, the nodes of its inputs and the inputs
    themselves it gives the node whose output the module's is.

    Args:
        originals: the modules to name in the nodes, by those that run.
    """

    def __init__(self, originals: Mapping[nn.Module, nn.Module]) -> None:
        super().__init__()
        self.nodes: list[Node] = []
        self._originals = originals
        self._depth = 0  # within how many known layers we are
        self._indices: dict[int, int] = {}  # node by id of its map
        self._kept: list[torch.Tensor] = []  # the maps themselves, so that ids stay theirs
        self._hooks = [hook for module in originals for hook in self._watch(module)]

    def __exit__(self, *error: object) -> None:
        for hook in self._hooks:
            hook.remove()
        super().__exit__(*error)

    def keep(self, x: torch.Tensor, index: int) -> None:
        """Remember that the map `x` is the output of node `index`."""
        self._kept.append(x)
        self._indices[id(x)] = index

    def index(self, x: torch.Tensor) -> int:
        """The node whose output the map `x` is."""
        return self._indices[id(x)]

    def add(
        self,
        node_type: str,
        sources: Iterable[int],
        conv: nn.Conv2d | None = None,
        norm: nn.BatchNorm2d | None = None,
        **options: int | str,
    ) -> int:
        """Append a node; returns its index."""
        self.nodes.append(Node(node_type, tuple(sources), options, conv, norm))
        return len(self.nodes) - 1

    # ---- layers ----------------------------------------------------------------------------------------------------

    def _watch(self, module: nn.Module) -> Iterator[RemovableHandle]:
        """Make the module note itself when it runs, if a rule of `LAYERS` is about it; yields its hooks."""
        rule = next((rule for module_type, rule in LAYERS.items() if isinstance(module, module_type)), None)
        if rule is None:
            return

        def enter(*_: object) -> None:
            self._depth += 1

        def leave(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
            self._depth -= 1
            if not self._depth:
                self.keep(output, rule(self, module, *(self.index(x) for x in inputs), *inputs))

        yield module.register_forward_pre_hook(enter)
        yield module.register_forward_hook(leave)

    def convolution(self, module: ConvNormAct, source: int, *_: object) -> int:
        if type(module.conv) is not nn.Conv2d:
            raise _unknown(type(module.conv).__name__)
        return self._convolution(module.conv, module.norm, module.act, source)

    def plain_convolution(self, conv: nn.Conv2d, source: int, *_: object) -> int:
        return self._convolution(conv, None, nn.Identity(), source)

    def _convolution(self, conv: nn.Conv2d, norm: nn.Module | None, act: nn.Module, source: int) -> int:
        (size, other), (stride, _), (padding, _) = conv.kernel_size, conv.stride, conv.padding
        if size != other or padding != size // 2 or conv.dilation != (1, 1):
            raise _unknown(f"a convolution {conv}")
        options: dict[str, int | str] = {"filters": conv.out_channels, "size": size, "stride": stride, "pad": 1}
        if conv.groups > 1:
            options["groups"] = conv.groups
        if isinstance(norm, nn.BatchNorm2d):
            options = {"batch_normalize": 1, **options}
            norm = self._originals[norm]
        else:
            norm = None
        activation = activation_of(act)
        return self.add("convolutional", (source,), self._originals[conv], norm, **options, activation=activation)

    def pool(self, pool: nn.MaxPool2d | nn.AvgPool2d, source: int, *_: object) -> int:
        node_type = "maxpool" if isinstance(pool, nn.MaxPool2d) else "local_avgpool"
        padding = 2 * pool.padding + (pool.stride - 1 if pool.ceil_mode else 0)
        return self.add(node_type, (source,), size=pool.kernel_size, stride=pool.stride, padding=padding)

    def same_pool(self, _: SamePool, source: int, *__: object) -> int:
        return self.add("maxpool", (source,), size=2, stride=1)

    def maxout(self, module: Maxout, source: int, *_: object) -> int:
        return self.add("maxpool", (source,), size=1, stride=1, maxpool_depth=1, out_channels=module.channels)

    def spp(self, module: SPP, source: int, *_: object) -> int:
        pools = [self.add("maxpool", (source,), size=pool.kernel_size, stride=1) for pool in module.pools[::-1]]
        return self.add("route", (*pools[::-1], source))

    def sam(self, module: SAM, source: int, *_: object) -> int:
        attention = self.convolution(module.attention, source)
        return self.add("sam", (attention, source))

    def squeeze_excite(self, module: SqueezeExcite, source: int, *_: object) -> int:
        mean = self.add("avgpool", (source,))
        squeezed = self._convolution(module.squeeze, None, nn.ReLU(), mean)
        gate = self._convolution(module.excite, None, module.gate, squeezed)
        return self.add("scale_channels", (gate, source))

    def addition(self, _: AddChannels | None, x: int, y: int, *__: object) -> int:
        return self.add("shortcut", (x, y), activation="linear")

    def activation(self, module: nn.Module, source: int, *_: object) -> int:
        """An activation behind an addition belongs to the `[shortcut]`."""
        read = any(source in node.sources for node in self.nodes)
        node = self.nodes[source] if source != IMAGES else None
        name = activation_of(module)
        if name != "linear":
            if node is None or node.type != "shortcut" or node.options["activation"] != "linear" or read:
                raise _unknown(f"a separate {name} activation")
            node.options["activation"] = name
        return source

    def upsample(self, _: Upsample, source: int, *__: object) -> int:
        return self.add("upsample", (source,), stride=2)

    def slice(self, module: Slice, source: int, x: torch.Tensor) -> int:
        return self._part(source, x.shape[1], module.start, module.stop)

    def average(self, _: nn.AdaptiveAvgPool2d, source: int, *__: object) -> int:
        return self.add("avgpool", (source,))

    def _part(self, source: int, channels: int, start: int, stop: int) -> int:
        """The node for channels `start` to `stop` of a map of `channels`."""
        width = stop - start
        if width == channels:
            return source
        if channels % width or start % width:
            raise _unknown(f"a slice of channels {start} to {stop} of {channels}")
        return self.add("route", (source,), groups=channels // width, group_id=start // width)

    # ---- functions -------------------------------------------------------------------------------------------------

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Iterable[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        output = function(*args, **kwargs)
        if self._depth or not _holds_maps(output) or not any(id(x) in self._indices for x in _maps(args)):
            return output
        if not (isinstance(output, torch.Tensor) and id(output) in self._indices):  # else the same map again
            self._note(function.__name__, args, kwargs, output)
        return output

    def _note(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any], output: Any) -> None:
        """Keep what the function `name` made of maps.  Raises UserError where Darknet has no layer for it."""
        if name == "cat":
            self.keep(output, self.add("route", [self.index(x) for x in args[0]]))
        elif name == "add" and args[0].shape == args[1].shape:
            self.keep(output, self.addition(None, *map(self.index, args[:2])))
        elif name == "chunk":
            start = 0
            for part in output:
                stop = start + part.shape[1]
                self.keep(part, self._part(self.index(args[0]), args[0].shape[1], start, stop))
                start = stop
        elif name == "interpolate" and kwargs.get("mode", "nearest") == "nearest":
            stride = output.shape[-1] // args[0].shape[-1]
            self.keep(output, self.add("upsample", (self.index(args[0]),), stride=stride))
        elif name in ("max_pool2d", "boolean_dispatch", "fn") and output.shape[-1] * args[1] == args[0].shape[-1]:
            self.keep(output, self.add("maxpool", (self.index(args[0]),), size=args[1], stride=args[1]))
        elif name in ("__getitem__", "flatten") and output.numel() == args[0].numel():
            self.keep(output, self.index(args[0]))
        else:
            raise _unknown(f"the operation {name}")


LAYERS: dict[type[nn.Module], Callable[..., int]] = {
    ConvNormAct: Recorder.convolution,
    nn.Conv2d: Recorder.plain_convolution,
    nn.MaxPool2d: Recorder.pool,
    nn.AvgPool2d: Recorder.pool,
    SamePool: Recorder.same_pool,
    nn.AdaptiveAvgPool2d: Recorder.average,
    Maxout: Recorder.maxout,
    SPP: Recorder.spp,
    SAM: Recorder.sam,
    SqueezeExcite: Recorder.squeeze_excite,
    AddChannels: Recorder.addition,
    Upsample: Recorder.upsample,
    Slice: Recorder.slice,
    **dict.fromkeys((nn.LeakyReLU, nn.ReLU, nn.SiLU, nn.Mish, nn.Hardswish, nn.Sigmoid), Recorder.activation),
}


def activation_of(module: nn.Module) -> str:
    """Darknet's name of an activation module.  Raises UserError."""
    name = ACTIVATIONS.get(type(module))
    if name is None or (name == "leaky" and module.negative_slope != 0.1):
        raise _unknown(f"the activation {type(module).__name__}")
    return name


def _unknown(what: str) -> UserError:
    return UserError(f"Darknet has no layer for {what}; write the model in another format")


def _maps(values: Iterable[object]) -> Iterator[torch.Tensor]:
    """The tensors among `values`, also those within lists."""
    for value in values:
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from _maps(value)


def _holds_maps(output: object) -> bool:
    """Whether `output` is a tensor or a list of nothing else."""
    return isinstance(output, torch.Tensor) or (
        isinstance(output, (list, tuple)) and bool(output) and all(isinstance(x, torch.Tensor) for x in output)
    )
