"""A detector or classifier of ours -> Darknet's layers, in the order of the authors' cfgs.

A copy of the model runs once on the meta device while a `Recorder` notes every layer, concatenation and addition. A
prediction of the head is placed right behind the map it reads, as in Darknet, so the convolutions stand in the order of
the published .weights files.
"""

import copy
from collections.abc import Sequence

import torch

from detect.darknet.place import IMAGES
from detect.darknet.recorder import Node, Recorder
from detect.models.classifier import Classifier
from detect.models.detector import Detector
from detect.models.heads.yolo import YOLOv3


def translate(model: Detector | Classifier, size: int) -> list[Node]:
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


def _with_predictions(recorder: Recorder, fused: Sequence[torch.Tensor], head: YOLOv3) -> list[Node]:
    """The nodes, each map of `fused` followed by its prediction and `[yolo]` layer."""
    scales = {recorder.index(x): scale for scale, x in enumerate(fused)}
    nodes: list[Node] = []
    moved = {IMAGES: IMAGES}
    for index, node in enumerate(recorder.nodes):
        nodes.append(Node(node.type, tuple(moved[s] for s in node.sources), node.options, node.conv, node.norm))
        moved[index] = len(nodes) - 1
        if index in scales:
            conv = head.predictions[scales[index]]
            options = {"filters": conv.out_channels, "size": 1, "stride": 1, "pad": 1, "activation": "linear"}
            nodes.append(Node("convolutional", (len(nodes) - 1,), options, conv))
            nodes.append(Node("yolo", (len(nodes) - 1,), _yolo_options(head, scales[index])))
    return nodes


def _yolo_options(head: YOLOv3, scale: int) -> dict[str, int | str]:
    """What a scale's `[yolo]` layer says; every one lists the anchors of all scales, its `mask` those of its own."""
    anchors = [anchor for anchors in head.anchors for anchor in anchors]
    first = sum(len(anchors) for anchors in head.anchors[:scale])
    mask = range(first, first + len(head.anchors[scale]))
    return {
        "mask": ",".join(map(str, mask)),
        "anchors": ", ".join(f"{w:g},{h:g}" for w, h in anchors),
        "classes": head.num_classes,
        "num": len(anchors),
        "scale_x_y": f"{head.scale_x_y[scale]:g}",
    }
