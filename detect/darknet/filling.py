"""A .weights file into a model of ours: whole, its first layers, all but the last ones, or the backbone alone."""

from collections.abc import Sequence
from contextlib import suppress
from os import PathLike
from typing import Any

import torch
from torch import nn

from detect.darknet import cfg as cfg_file
from detect.darknet import weights as weights_file
from detect.darknet.network import DarknetNetwork
from detect.darknet.recorder import Node
from detect.darknet.writer import cfg_of, convolutions, copy_numbers
from detect.errors import PartError, UserError
from detect.files import printable
from detect.models.classifier import Classifier
from detect.models.detector import Detector
from detect.models.heads.yolo import YOLOv3
from detect.models.registry import NECKS

USUAL_SIZE = 416  # px: the order of the layers is the same at any
MOST_CLASSES = 10_000  # of a file whose class count follows from its size
# (neck, anchors) of the detectors whose .weights are published, on whatever backbone
TOPS: tuple[tuple[dict[str, Any], str], ...] = (
    ({"name": "TinyFPN"}, "coco6_tiny"),  # yolov3-tiny, yolov4-tiny
    ({"name": "PRN"}, "coco6_tiny"),  # yolov3-tiny-prn
    ({"name": "FPN"}, "coco9"),  # yolov3
    ({"name": "FPN", "spp": True}, "coco9"),  # yolov3-spp, csresnext50-yolo-spp
    ({"name": "FPN", "spp": True, "lateral": True}, "coco9"),  # csresnext50-fpn-spp
    ({"name": "PANet"}, "coco9"),  # csresnext50-panet-spp and its kin
)


def load_weights(model: Any, path: str | PathLike[str]) -> str:
    """Fill a model from a Darknet .weights file, as far as the file's size says that it is of the same net.

    The model is a `DarknetNetwork`, or a `Detector` or `Classifier` of ours, whose layers are put in Darknet's order.
    Nothing in a file says what its numbers are of, so their count decides, tried in this order:

    - as many as the model or its first layers have (`csresnext50.conv.80`): these are taken;
    - as many as the model would have with another number of classes: all but the last layer of each scale;
    - as many as the backbone would have with the neck and head of a published detector (`TOPS`), of any number of
      classes: the backbone. So yolov4-tiny.weights start CSPDarknet53Tiny under any neck.

    Returns a sentence that says what was taken.

    Raises:
        UserError: Darknet has no layer for a part of the model, or the file fits nothing of these.
    """
    if isinstance(model, DarknetNetwork):
        cutoff = weights_file.cutoff_of(path, model)
        weights_file.read(path, model, cutoff)
        return f"{cutoff or len(model.layers)} of {len(model.layers)} layers from {printable(path)}"
    try:
        taken, nodes = _fill(model, path)
    except UserError:
        report = _all_but_the_last(model, path) or _backbone(model, path)
        if report is None:
            raise
        return report
    return f"{taken} of {len(nodes)} convolutions from {printable(path)}"


def _layers_of(model: Detector | Classifier) -> tuple[DarknetNetwork, list[Node]]:
    """The model as a `DarknetNetwork` with numbers of its own, and its `[convolutional]` nodes.  Raises UserError."""
    text, nodes = cfg_of(model, max(USUAL_SIZE // model.stride, 1) * model.stride)
    return DarknetNetwork(cfg_file.parse(text, type(model).__name__)), nodes


def _fill(model: Detector | Classifier, path: str | PathLike[str]) -> tuple[int, list[Node]]:
    """Fill a model or its first layers; gives how many convolutions were taken, and all nodes.

    Raises:
        UserError: it does not fit; nothing was changed.
    """
    network, nodes = _layers_of(model)
    cutoff = weights_file.cutoff_of(path, network)
    weights_file.read(path, network, cutoff)
    held = convolutions(network, cutoff)
    for layer, node in zip(held, nodes, strict=False):  # all of them before the first is copied
        if node.norm is None and node.conv.bias is None and layer.conv.bias.abs().max() > 0:
            raise UserError(f"{printable(path)}: has biases where this model has none")
    with torch.no_grad():
        for layer, node in zip(held, nodes, strict=False):
            copy_numbers(layer.conv, layer.norm, node.conv, node.norm)
    return len(held), nodes


def _all_but_the_last(model: Detector | Classifier, path: str | PathLike[str]) -> str | None:
    """Fill a detector from a file of the same net with other classes; a sentence, or None if it is of another net."""
    if not isinstance(model, Detector):
        return None
    head = model.head
    found = _fill_kin(model.backbone, model.neck, head.anchors, path)
    if found is None:
        return None
    nodes, num_classes = found
    taken = len(nodes) - len(head.anchors)
    rest = f"head starts anew, {num_classes} -> {model.num_classes} classes"
    return f"{taken} of {len(nodes)} convolutions from {printable(path)}; {rest}"


def _backbone(model: Detector | Classifier, path: str | PathLike[str]) -> str | None:
    """Fill a backbone from a file of a published detector on it; a sentence, or None if it is of another net."""
    backbone = model.backbone
    for specification, anchors in TOPS:
        with suppress(PartError):  # a pyramid of too few levels
            with torch.device("meta"):
                neck = NECKS.build(specification, in_channels=backbone.channels, strides=backbone.strides)
            found = _fill_kin(backbone, neck, anchors, path)
            if found:
                nodes, num_classes = found
                of_backbone = set(backbone.modules())
                taken = sum(node.conv in of_backbone for node in nodes)
                net = f"a {type(neck).__name__} detector of {num_classes} classes"
                anew = "neck and head start" if isinstance(model, Detector) else "classifier starts"
                return f"{taken} of {taken} backbone convolutions from {printable(path)}, {net}; {anew} anew"
    return None


def _fill_kin(
    backbone: nn.Module, neck: nn.Module, anchors: str | Sequence[Any], path: str | PathLike[str]
) -> tuple[list[Node], int] | None:
    """Fill backbone and neck from a file of a detector of both, if the number of its floats is one of such a net.

    Returns the `[convolutional]` nodes of that detector and its number of classes, or None; then nothing was changed.
    """

    def detector(num_classes: int) -> Detector:
        with torch.device("meta"):  # the file's predictions are read and dropped
            return Detector(backbone, neck, YOLOv3(neck.channels, neck.strides, num_classes, anchors))

    with suppress(UserError):  # a part that Darknet does not know, or numbers that cannot be of this net
        least = detector(num_classes=1)
        with torch.device("meta"):
            network, _ = _layers_of(least)
        scales = zip(neck.channels, least.head.anchors, strict=True)
        of_a_class = sum((channels + 1) * len(sizes) for channels, sizes in scales)
        num_classes = 1 + (weights_file.floats_of(path) - weights_file.floats_in(network)) / of_a_class
        if num_classes in range(1, MOST_CLASSES):
            _, nodes = _fill(detector(int(num_classes)), path)
            return nodes, int(num_classes)
    return None
