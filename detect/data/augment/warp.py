"""Images turned, scaled, sheared, shifted and tilted."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from detect.config.schema import setting
from detect.data.augment.base import Augmentation, Context, cut_out
from detect.data.sample import Sample
from detect.ops.letterbox import GREY


@dataclass
class RandomAffine(Augmentation):
    """The image turned, scaled and sheared around its middle and shifted, in a frame of the same size, grey where
    nothing is. A box is drawn around the four corners of what it was."""

    degrees: float = setting("largest turn, degrees", 10.0, low=0, high=180)
    scale: float = setting("largest factor on the size, also its inverse", 1.25, low=1, high=10)
    shear: float = setting("largest shear in x and in y, degrees", 2.0, low=0, high=45)
    translate: float = setting("largest shift, as share of a side", 0.1, low=0, high=1)

    def __call__(self, samples: Sequence[Sample], context: Context) -> Sample:
        (sample,), rng = samples, context.rng
        sides = np.array(sample.image.shape[1::-1], dtype=np.float64)
        angle = np.deg2rad(rng.uniform(-self.degrees, self.degrees))
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        shear = np.tan(np.deg2rad(rng.uniform(-self.shear, self.shear, size=2)))
        linear = self.scale ** rng.uniform(-1, 1) * turn @ [[1, shear[0]], [shear[1], 1]]
        shift = rng.uniform(-self.translate, self.translate, size=2) * sides
        matrix = np.eye(3)
        matrix[:2, :2], matrix[:2, 2] = linear, sides / 2 + shift - linear @ sides / 2
        return warped(sample, matrix)


@dataclass
class RandomPerspective(Augmentation):
    """The image as seen aslant: each of its corners is moved by its own. A box is drawn around the four corners of
    what it was."""

    distortion: float = setting("how far a corner moves at the most, as share of a side", 0.1, low=0, high=0.24)

    def __call__(self, samples: Sequence[Sample], context: Context) -> Sample:
        (sample,) = samples
        sides = np.array(sample.image.shape[1::-1], dtype=np.float32)
        corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], dtype=np.float32) * sides
        moves = context.rng.uniform(-self.distortion, self.distortion, size=(4, 2)) * sides
        return warped(sample, cv2.getPerspectiveTransform(corners, (corners + moves).astype(np.float32)))


def warped(sample: Sample, matrix: np.ndarray) -> Sample:
    """A `Sample` whose points (x, y, 1), in px from its left upper corner, are moved by a matrix [3, 3]."""
    height, width = sample.image.shape[:2]
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])  # OpenCV's points lie in the middle of px
    moved = np.linalg.inv(half) @ matrix @ half
    is_affine = (matrix[2] == [0, 0, 1]).all()  # which takes half the time
    warp, moved = (cv2.warpAffine, moved[:2]) if is_affine else (cv2.warpPerspective, moved)
    image = warp(
        sample.image, moved, (width, height),
        flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=(GREY,) * 3,
    )  # fmt: skip
    corners = sample.boxes[:, [[0, 1], [2, 1], [2, 3], [0, 3]]].astype(np.float64)  # [n, 4, 2]
    points = corners @ matrix[:, :2].T + matrix[:, 2]
    points = points[..., :2] / points[..., 2:]
    return cut_out(sample, np.concatenate([points.min(1), points.max(1)], axis=1).astype(np.float32), image)
