"""Our models as Darknet's layers: the text of a .cfg, and a network with their numbers."""

from typing import Any

import torch
from torch import nn

from detect.darknet import cfg as cfg_file
from detect.darknet.layers import Convolution
from detect.darknet.network import DarknetNetwork
from detect.darknet.recorder import Node
from detect.darknet.translate import IMAGES, translate


def cfg_of(
    model: Any, size: int, net: dict[str, Any] | None = None, yolo: dict[str, Any] | None = None
) -> tuple[str, list[Node]]:
    """(the text of a .cfg, its `[convolutional]` nodes in order) for a `Detector` or `Classifier`.

    Args:
        size: side of the input, px.
        net, yolo: further options of `[net]`, and of every `[yolo]`.

    Raises:
        UserError: the model has a part that Darknet has no layer for.
    """
    nodes = translate(model, size)
    lines = ["[net]", f"width={size}", f"height={size}", "channels=3"]
    lines += [f"{option}={value}" for option, value in (net or {}).items()]
    places, count = {IMAGES: IMAGES}, 0  # where each node's layer stands in the file, its routes before it

    def section(section_type: str, options: dict[str, Any]) -> None:
        nonlocal count
        lines.extend(["", f"[{section_type}]", *(f"{option}={value}" for option, value in options.items())])
        count += 1

    for index, node in enumerate(nodes):
        sources = [places[source] for source in node.sources]
        options = dict(node.options)
        if node.type == "route":
            options = {"layers": ",".join(map(str, sources)), **options}
        elif sources[0] != count - 1:  # a layer reads the one before it: bring the right map there
            section("route", {"layers": sources[0]})
        if node.type in ("shortcut", "scale_channels", "sam"):
            options = {"from": sources[1], **options}
        section(node.type, options | (yolo or {}) if node.type == "yolo" else options)
        places[index] = count - 1
    return "\n".join(lines) + "\n", [node for node in nodes if node.conv is not None]


def filled(text: str, nodes: list[Node]) -> DarknetNetwork:
    """The `DarknetNetwork` of a .cfg's text with the numbers of its `[convolutional]` nodes."""
    network = DarknetNetwork(cfg_file.parse(text, "cfg")).eval()
    with torch.no_grad():
        for layer, node in zip(convolutions(network), nodes, strict=True):
            copy_numbers(node.conv, node.norm, layer.conv, layer.norm)
    return network


def convolutions(network: DarknetNetwork, cutoff: int | None = None) -> list[Convolution]:
    """The `[convolutional]` layers of a network, or of its first `cutoff` layers, in order."""
    return [layer for layer in network.layers[:cutoff] if isinstance(layer, Convolution)]


def copy_numbers(conv: nn.Conv2d, norm: nn.Module | None, to_conv: nn.Conv2d, to_norm: nn.Module | None) -> None:
    """Copy a convolution's numbers and its norm's, if it has one; a bias that is not there is 0."""
    to_conv.weight.copy_(conv.weight)
    if isinstance(norm, nn.BatchNorm2d):
        to_norm.weight.copy_(norm.weight)
        to_norm.bias.copy_(norm.bias)
        to_norm.running_mean.copy_(norm.running_mean)
        to_norm.running_var.copy_(norm.running_var + (norm.eps - to_norm.eps))  # the same root of variance + eps
    elif to_conv.bias is not None:
        to_conv.bias.copy_(conv.bias) if conv.bias is not None else to_conv.bias.zero_()
