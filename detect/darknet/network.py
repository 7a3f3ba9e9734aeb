"""Any supported .cfg as a module: `load("net.cfg", "net.weights")`.

Where Darknet and OpenCV 4.14's reader of its files differ, `forward` follows Darknet. OpenCV

- ignores, without a word: dilation, stride_x and stride_y, maxpool_depth, weights of shortcuts and all but the first of
  several `from`, scale of upsample, temperature of softmax; takes the last of an option given twice, and linear for an
  activation left out of [convolutional], where Darknet takes logistic;
- reads a normalised [connected] in another order, and takes a softmax over channels only;
- does not know Gaussian_yolo, crop, local_avgpool, scale_wh, a grouped route of several maps, and all activations but
  linear, leaky, relu, logistic, swish, mish and tanh;
- sets scores to 0: in [yolo] those up to 0.2, which `region_outputs` does as well; in [region] those up to `thresh`,
  which it does too, and those of boxes that overlap a better one by more than 0.4, which it does not.
"""

import math
from collections.abc import Sequence
from os import PathLike
from typing import Self

import numpy as np
import torch
from torch import nn

from detect.darknet import cfg as cfg_file
from detect.darknet import weights as weights_file
from detect.darknet.cfg import Section
from detect.darknet.head import DarknetHead
from detect.darknet.place import DETECTIONS, IMAGES, Layer
from detect.darknet.plan import plan
from detect.darknet.weights import Header
from detect.models.detector import check_size

GREEDY_BETA = 0.6  # written into Darknet's box_diou, which greedynms compares by; beta_nms is diounms's alone
NMS_THRESHOLD = 0.45  # Darknet's own, whatever the cfg says


def nms_of(head: Section) -> tuple[str, float | None]:
    """(overlap, its exponent) of a head's NMS: Darknet's do_nms_sort, or its diounms_sort of either kind (box.c)."""
    if head.type == "region" or head["nms_kind"] == "default":
        return "iou", None
    return "diou_beta", GREEDY_BETA if head["nms_kind"] == "greedynms" else head["beta_nms"]


def load(
    cfg: str | PathLike[str], weights: str | PathLike[str] | None = None, cutoff: int | None = None
) -> "DarknetNetwork":
    """The network of a .cfg, in eval mode, with the numbers of a .weights file or, without one, random ones.

    Args:
        cfg: path of the .cfg.
        weights: path of its .weights.
        cutoff: read only the first `cutoff` layers from it; the others stay random (`csresnext50.conv.80`: 80).

    Raises:
        UserError: a file cannot be used; with its line, or layer and numbers of floats.
    """
    parsed = cfg_file.read(cfg)
    if weights is None:
        return DarknetNetwork(parsed).eval()
    if cutoff is None:  # no memory is taken before the file's size is known to fit
        with torch.device("meta"):
            network = DarknetNetwork(parsed)
    else:
        network = DarknetNetwork(parsed)
    weights_file.read(weights, network, cutoff)
    return network.eval()


class DarknetNetwork(nn.Module):
    """The layers of a parsed .cfg; images [B, C, H, W], RGB in 0..1 -> what its detection layers get.

    It has a `Detector`'s interface: `stride`, `num_classes`, `head`, `decode`, `fuse`. A cfg without detection layers
    gives its last map instead and has no `head`.

    Attributes:
        cfg: the `Cfg` it was made from.
        layers: module i is Darknet's layer i.
        input_size: (height, width) in px that the cfg names.
        stride: the input's sides must be multiples of it.
        header: the `Header` of the .weights file it was read from, or None.
    """

    def __init__(self, cfg: cfg_file.Cfg) -> None:
        super().__init__()
        planned = plan(cfg)
        detections = [i for i, layer in enumerate(planned) if layer.section.type in DETECTIONS]
        self.cfg = cfg
        self.header: Header | None = None
        self.sources = [layer.sources for layer in planned]
        self.outputs = detections or [len(planned) - 1]
        self.layers = nn.ModuleList(layer.make() for layer in planned)
        self.input_size = (cfg.net["height"], cfg.net["width"])
        self.fixed_size = any(layer.section.type in ("connected", "crop") for layer in planned)
        self.stride = math.lcm(*(s.numerator for layer in planned for s in layer.scale or ()), 1)
        self.head: DarknetHead | None = None
        self.num_classes = math.prod(planned[-1].shape)
        if detections:
            self._add_head([planned[i] for i in detections])
        self._leave_logits(planned)
        self.unneeded_after = self._unneeded_after()

    def _add_head(self, planned: Sequence[Layer]) -> None:
        """The head of the detection layers `planned`.  Raises UserError where they do not go together."""
        sections = [layer.section for layer in planned]
        for section in sections[1:]:
            if section["classes"] != sections[0]["classes"]:
                raise section.error(f"has {section['classes']} classes, another {sections[0]['classes']}", "classes")
            if section.type != sections[0].type:
                other = sections[0].type
                raise section.error(f"stands beside a [{other}]; one kind of detection layer is supported in a network")
        self.head = DarknetHead(sections, [int(layer.scale[0]) for layer in planned])
        self.num_classes = self.head.num_classes

    def _leave_logits(self, planned: Sequence[Layer]) -> None:
        """A [yolo] with new_coords takes what a convolution with logistic activation gives; ours takes logits."""
        for layer in planned:
            if layer.section.type == "yolo" and layer.section["new_coords"]:
                (before,) = layer.sources
                convolution = planned[before].section if before != IMAGES else layer.section
                shared = sum(before in sources for sources in self.sources) > 1
                if convolution.type != "convolutional" or convolution["activation"] != "logistic" or shared:
                    raise layer.section.error(
                        "new_coords=1 needs a [convolutional] with activation=logistic before it that feeds it alone",
                        "new_coords",
                    )
                self.layers[before].act = nn.Identity()

    def _unneeded_after(self) -> list[list[int]]:
        """By layer, the maps that no layer after it takes."""
        unneeded: list[list[int]] = [[] for _ in self.sources]
        last_user = {source: i for i, sources in enumerate(self.sources) for source in sources}
        for source, user in last_user.items():
            if source not in self.outputs:
                unneeded[user].append(source)
        return unneeded

    @property
    def nms(self) -> dict[str, str | float]:
        """The cfg's NMS as keyword arguments of `detect.ops.nms.nms`.

        OpenCV's layers have none; its `NMSBoxes` is `overlap="iou"`.
        """
        overlap, beta = nms_of(self.head.sections[-1])
        options: dict[str, str | float] = {"overlap": overlap, "threshold": NMS_THRESHOLD}
        return options if beta is None else options | {"beta": beta}

    def forward(self, images: torch.Tensor) -> list[torch.Tensor] | torch.Tensor:
        self._check(images)
        maps = {IMAGES: images}
        for index, layer in enumerate(self.layers):
            maps[index] = layer(*(maps[source] for source in self.sources[index]))
            for source in self.unneeded_after[index]:
                del maps[source]
        found = [maps[index] for index in self.outputs]
        return found if self.head else found[0]  # [B, A*(5+K), H/s_i, W/s_i] in the cfg's order, or [B, C, H, W]

    def decode(self, raw: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """Raw maps -> boxes [B, N, 4] xyxy in network px, scores [B, N, K]."""
        return self.head.decode(raw)

    @torch.no_grad()
    def region_outputs(self, images: torch.Tensor) -> list[np.ndarray]:
        """One NumPy array a detection layer (or the last layer's map), as OpenCV's Darknet reader gives them.

        Images are float32 RGB [B, C, H, W] in 0..1, stretched to that size: OpenCV and Darknet (but for letter_box=1)
        do not letterbox. Detection layers give rows [H*W*A, 5+K], see `DarknetHead.rows`, with a batch dimension in
        front only when B > 1.
        """
        raw = self(images)
        if not self.head:
            return [raw.cpu().numpy()]
        rows = [level.cpu().numpy() for level in self.head.rows(raw)]
        return [level[0] for level in rows] if len(images) == 1 else rows

    def fuse(self) -> Self:
        """Fold every batch normalisation into its layer; for inference, puts the network in eval mode."""
        self.eval()
        for layer in self.layers:
            if hasattr(layer, "fuse"):
                layer.fuse()
        return self

    def _check(self, images: torch.Tensor) -> None:
        """Raise ValueError unless images have the cfg's size and channels; other multiples of the stride do as well."""
        (height, width), channels = self.input_size, self.cfg.net["channels"]
        size = tuple(images.shape[-2:])
        if images.shape[1] != channels:
            raise ValueError(f"input has {images.shape[1]} channels; the cfg's has {channels}")
        if self.fixed_size and size != self.input_size:
            what = "[connected] and [crop] layers"
            raise ValueError(f"input is {size[1]}x{size[0]} px; {what} need the cfg's {width}x{height}")
        if size != self.input_size:
            check_size(*size, self.stride)
