"""A detector or classifier of ours -> Darknet's layers, in the order of the authors' cfgs.

A copy of the model runs once on the meta device while every layer, concatenation and addition is noted. A prediction
of the head is placed right behind the map it reads, as in Darknet, so the convolutions stand in the order of the
published .weights files.
"""

import copy
from dataclasses import dataclass, field

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from detect.errors import UserError
from detect.models.classifier import Classifier
from detect.models.csp import Slice
from detect.models.layers import SAM, SPP, AddChannels, ConvNormAct, Maxout, SamePool, SqueezeExcite, Upsample

IMAGES = -1  # the index of the network's input among sources
ACTIVATIONS = {
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
    sources: tuple
    options: dict = field(default_factory=dict)
    conv: nn.Conv2d | None = None
    norm: nn.BatchNorm2d | None = None


def translate(model, size):
    """The `Node`s of a `Detector` or `Classifier` for inputs of `size` x `size` px.

    Routes that only bring a map to the next layer are left out; whoever writes the nodes down adds them.

    Raises:
        UserError: the model has a part that Darknet has no layer for.
    """
    traced = copy.deepcopy(model).to("meta").eval()
    recorder = Recorder(dict(zip(traced.modules(), model.modules(), strict=True)))
    images = torch.empty(1, 3, size, size, device="meta")
    recorder.keep(images, IMAGES)
    with torch.inference_mode(), recorder:
        if isinstance(traced, Classifier):
            traced(images)
            recorder.add("softmax", (len(recorder.nodes) - 1,))
            return recorder.nodes
        fused = traced.neck(traced.backbone(images))
    return _with_predictions(recorder, fused, model.head)


def _with_predictions(recorder, fused, head):
    """The nodes, each map of `fused` followed by its prediction and `[yolo]` layer."""
    scales = {recorder.index(x): scale for scale, x in enumerate(fused)}
    anchors = [anchor for scale in head.anchors for anchor in scale]
    first = [sum(len(scale) for scale in head.anchors[:number]) for number in range(len(head.anchors))]
    nodes, moved = [], {IMAGES: IMAGES}
    for index, node in enumerate(recorder.nodes):
        nodes.append(Node(node.type, tuple(moved[s] for s in node.sources), node.options, node.conv, node.norm))
        moved[index] = len(nodes) - 1
        if index not in scales:
            continue
        scale = scales[index]
        conv = head.predictions[scale]
        options = {"filters": conv.out_channels, "size": 1, "stride": 1, "pad": 1, "activation": "linear"}
        nodes.append(Node("convolutional", (len(nodes) - 1,), options, conv))
        mask = range(first[scale], first[scale] + len(head.anchors[scale]))
        options = {
            "mask": ",".join(map(str, mask)),
            "anchors": ", ".join(f"{w:g},{h:g}" for w, h in anchors),
            "classes": head.num_classes,
            "num": len(anchors),
            "scale_x_y": f"{head.scale_x_y[scale]:g}",
        }
        nodes.append(Node("yolo", (len(nodes) - 1,), options))
    return nodes


class Recorder(TorchFunctionMode):
    """Notes what a model on the meta device computes, as `nodes`.

    Args:
        originals: the modules to name in the nodes, by those that run.
    """

    def __init__(self, originals):
        super().__init__()
        self.nodes = []
        self._originals = originals
        self._depth = 0  # within how many known layers we are
        self._indices, self._kept = {}, []  # node by id of its map; the maps themselves, so that ids stay theirs
        self._hooks = [hook for module in originals for hook in self._watch(module)]

    def __exit__(self, *error):
        for hook in self._hooks:
            hook.remove()
        return super().__exit__(*error)

    def keep(self, x, index):
        """Remember that the map `x` is the output of node `index`."""
        self._kept.append(x)
        self._indices[id(x)] = index

    def index(self, x):
        return self._indices[id(x)]

    def add(self, node_type, sources, conv=None, norm=None, **options):
        """Append a node; returns its index."""
        self.nodes.append(Node(node_type, tuple(sources), options, conv, norm))
        return len(self.nodes) - 1

    # ---- layers ----------------------------------------------------------------------------------------------------

    def _watch(self, module):
        rule = next((rule for module_type, rule in LAYERS.items() if isinstance(module, module_type)), None)
        if rule is None:
            return

        def enter(*_):
            self._depth += 1

        def leave(module, inputs, output):
            self._depth -= 1
            if not self._depth:
                self.keep(output, rule(self, module, *(self.index(x) for x in inputs), *inputs))

        yield module.register_forward_pre_hook(enter)
        yield module.register_forward_hook(leave)

    def convolution(self, module, source, *_):
        if type(module.conv) is not nn.Conv2d:
            raise _unknown(type(module.conv).__name__)
        return self._convolution(module.conv, module.norm, module.act, source)

    def plain_convolution(self, conv, source, *_):
        return self._convolution(conv, None, nn.Identity(), source)

    def _convolution(self, conv, norm, act, source):
        (size, other), (stride, _), (padding, _) = conv.kernel_size, conv.stride, conv.padding
        if size != other or padding != size // 2 or conv.dilation != (1, 1):
            raise _unknown(f"a convolution {conv}")
        options = {"filters": conv.out_channels, "size": size, "stride": stride, "pad": 1}
        if conv.groups > 1:
            options["groups"] = conv.groups
        if isinstance(norm, nn.BatchNorm2d):
            options = {"batch_normalize": 1, **options}
            norm = self._originals[norm]
        else:
            norm = None
        activation = activation_of(act)
        return self.add("convolutional", (source,), self._originals[conv], norm, **options, activation=activation)

    def pool(self, pool, source, *_):
        node_type = "maxpool" if isinstance(pool, nn.MaxPool2d) else "local_avgpool"
        padding = 2 * pool.padding + (pool.stride - 1 if pool.ceil_mode else 0)
        return self.add(node_type, (source,), size=pool.kernel_size, stride=pool.stride, padding=padding)

    def same_pool(self, _, source, *__):
        return self.add("maxpool", (source,), size=2, stride=1)

    def maxout(self, module, source, *_):
        depth = {"maxpool_depth": 1, "out_channels": module.channels}
        return self.add("maxpool", (source,), size=1, stride=1, **depth)

    def spp(self, module, source, *_):
        pools = [self.add("maxpool", (source,), size=pool.kernel_size, stride=1) for pool in module.pools[::-1]]
        return self.add("route", (*pools[::-1], source))

    def sam(self, module, source, *_):
        attention = self.convolution(module.attention, source)
        return self.add("sam", (attention, source))

    def squeeze_excite(self, module, source, *_):
        mean = self.add("avgpool", (source,))
        squeezed = self._convolution(module.squeeze, None, nn.ReLU(), mean)
        gate = self._convolution(module.excite, None, module.gate, squeezed)
        return self.add("scale_channels", (gate, source))

    def addition(self, _, x, y, *__):
        return self.add("shortcut", (x, y), activation="linear")

    def activation(self, module, source, *_):
        """An activation behind an addition belongs to the `[shortcut]`."""
        read = any(source in node.sources for node in self.nodes)
        node = self.nodes[source] if source != IMAGES else None
        name = activation_of(module)
        if name != "linear":
            if node is None or node.type != "shortcut" or node.options["activation"] != "linear" or read:
                raise _unknown(f"a separate {name} activation")
            node.options["activation"] = name
        return source

    def upsample(self, _, source, *__):
        return self.add("upsample", (source,), stride=2)

    def slice(self, module, source, x):
        return self._part(source, x.shape[1], module.start, module.stop)

    def average(self, _, source, *__):
        return self.add("avgpool", (source,))

    def _part(self, source, channels, start, stop):
        width = stop - start
        if width == channels:
            return source
        if channels % width or start % width:
            raise _unknown(f"a slice of channels {start} to {stop} of {channels}")
        return self.add("route", (source,), groups=channels // width, group_id=start // width)

    # ---- functions -------------------------------------------------------------------------------------------------

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        output = function(*args, **kwargs)
        if self._depth or not _holds_maps(output) or not any(id(x) in self._indices for x in _maps(args)):
            return output
        name = function.__name__
        if isinstance(output, torch.Tensor) and id(output) in self._indices:
            return output  # the same map again
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
        return output


LAYERS = {
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


def activation_of(module):
    """Darknet's name of an activation module.  Raises UserError."""
    name = ACTIVATIONS.get(type(module))
    if name is None or (name == "leaky" and module.negative_slope != 0.1):
        raise _unknown(f"the activation {type(module).__name__}")
    return name


def _unknown(what):
    return UserError(f"Darknet has no layer for {what}; write the model in another format")


def _maps(values):
    for value in values:
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from _maps(value)


def _holds_maps(output):
    return isinstance(output, torch.Tensor) or (
        isinstance(output, (list, tuple)) and bool(output) and all(isinstance(x, torch.Tensor) for x in output)
    )
