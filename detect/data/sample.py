"""What the data hands to training: one image's `Sample`, and batches in network px."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class Sample:
    """One image with its objects.

    image: uint8 RGB [h, w, 3];  boxes: float32 [n, 4] xyxy in image px;  labels: int64 [n], 0..K-1;  weights: float32
    [n], how much a box counts: 1, less where a detector found it and is not sure, 0 for an ignore region, where
    finding something is not punished;  image_id: COCO's;  is_mosaic: whether it was put together of several images.
    """

    image: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    weights: np.ndarray
    image_id: int
    is_mosaic: bool = False


@dataclass
class Batch:
    """Several images as the network takes them.

    images: uint8 tensor [B, 3, H, W];  boxes: per image float32 [n, 4] xyxy in network px;  labels: per image int64
    [n];  weights: per image float32 [n], as of a `Sample`;  image_ids: list of B.
    """

    images: "Tensor"
    boxes: "list[Tensor]"
    labels: "list[Tensor]"
    weights: "list[Tensor]"
    image_ids: list[int]


@dataclass
class ClassifiedBatch:
    """Several images of one class each, as the network takes them.

    images: uint8 tensor [B, 3, H, W];  labels: int64 [B], 0..K-1;  image_ids: list of B file names.
    """

    images: "Tensor"
    labels: "Tensor"
    image_ids: list[str]
