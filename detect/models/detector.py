"""The figure of the paper as a module: images -> pyramid -> fused -> raw."""

from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import Tensor, nn

import detect.models.backbones
import detect.models.heads
import detect.models.necks  # noqa: F401  importing the three fills their registries
from detect.models.layers import ConvNormAct
from detect.models.registry import BACKBONES, HEADS, NECKS


class Detector(nn.Module):
    """Images [B, 3, H, W], RGB in 0..1, sides multiples of `stride` -> raw maps; `decode` makes boxes of them."""

    def __init__(self, backbone: nn.Module, neck: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.neck = neck
        self.head = head
        self.stride = max(backbone.strides)
        self.num_classes = head.num_classes

    def forward(self, images: Tensor) -> list[Tensor]:
        check_size(*images.shape[-2:], self.stride)
        pyramid = self.backbone(images)  # 4 x [B, C_i, H/s_i, W/s_i]
        fused = self.neck(pyramid)  # 3 x [B, C_i, H/s_i, W/s_i], fine to coarse
        return self.head(fused)  # 3 x [B, A*(5+K), H/s_i, W/s_i]

    def decode(self, raw: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Raw maps -> boxes [B, N, 4] xyxy in network px, scores [B, N, K]."""
        return self.head.decode(raw)

    def fuse(self) -> Self:
        """Fold every batch normalisation into its convolution; for inference, puts the model in eval mode."""
        self.eval()
        for module in self.modules():
            if isinstance(module, ConvNormAct):
                module.fuse()
        return self


def as_input(images: Tensor, memory_format: torch.memory_format = torch.preserve_format) -> Tensor:
    """uint8 RGB images [B, 3, H, W] as networks take them: float32 in 0..1."""
    return images.to(torch.float32, memory_format=memory_format) / 255


def fits(size: object, stride: int) -> bool:
    """Whether `size`, px, is one that a side of an input may have: a whole multiple of `stride`."""
    return isinstance(size, int) and size > 0 and size % stride == 0


def check_size(height: int, width: int, stride: int) -> None:
    """Raise ValueError unless both sides of an input, px, fit the `stride`."""
    if height % stride or width % stride or not height or not width:  # no question of type: a tracer's sides are no int
        raise ValueError(f"input is {width}x{height} px; both sides must be multiples of {stride}")


def build_detector(model: Mapping[str, Mapping[str, Any]], num_classes: int) -> Detector:
    """A detector from the specification of its parts.

    Args:
        model: `{"backbone": {"name": ...}, "neck": {"name": ...}, "head": {"name": ...}}`, each with its options.
        num_classes: number of object classes.

    Raises:
        PartError: a part or one of its options is unknown or does not fit.
    """
    backbone = BACKBONES.build(model["backbone"])
    neck = NECKS.build(model["neck"], in_channels=backbone.channels, strides=backbone.strides)
    head = HEADS.build(model["head"], in_channels=neck.channels, strides=neck.strides, num_classes=num_classes)
    return Detector(backbone, neck, head)
