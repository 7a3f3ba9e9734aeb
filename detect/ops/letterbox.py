"""The one geometry between an image and the network's input: scale to fit, centre, pad with grey."""

from dataclasses import dataclass

import cv2
import numpy as np

from detect.ops import boxes as box_ops

GREY = 114


@dataclass(frozen=True)
class Letterbox:
    """Maps an image of `width` x `height` px into a square of `size` px and its boxes back.

    The image is scaled by one factor to fit the square (its sides rounded to whole px), centred and padded with
    grey. An image already of that size passes through untouched.
    """

    width: int
    height: int
    size: int

    @property
    def inner(self) -> tuple[int, int]:
        """(width, height) in px of the scaled image within the square; at least 1 px each."""
        ratio = self.size / max(self.width, self.height)
        return max(round(self.width * ratio), 1), max(round(self.height * ratio), 1)

    @property
    def offset(self) -> tuple[int, int]:
        """(left, top) in px of the scaled image within the square."""
        width, height = self.inner
        return (self.size - width) // 2, (self.size - height) // 2

    def _scale_and_offset(self) -> tuple[np.ndarray, np.ndarray]:
        (inner_width, inner_height), (left, top) = self.inner, self.offset
        scale_x, scale_y = inner_width / self.width, inner_height / self.height
        return np.array([scale_x, scale_y] * 2), np.array([left, top] * 2, dtype=np.float64)

    def apply(self, image: np.ndarray) -> np.ndarray:
        """uint8 image [height, width, 3] -> uint8 square [size, size, 3]."""
        (width, height), (left, top) = self.inner, self.offset
        if (width, height) != (self.width, self.height):
            shrinks = width < self.width
            image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        if (width, height) == (self.size, self.size):
            return np.ascontiguousarray(image)
        square = np.full((self.size, self.size, 3), GREY, dtype=np.uint8)
        square[top : top + height, left : left + width] = image
        return square

    def apply_boxes(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes [n, 4] xyxy in image px -> network px, float32."""
        scale, offset = self._scale_and_offset()
        return (np.asarray(boxes, dtype=np.float64).reshape(-1, 4) * scale + offset).astype(np.float32)

    def undo(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes [n, 4] xyxy in network px -> image px, cut at the image's borders, float32."""
        scale, offset = self._scale_and_offset()
        boxes = (np.asarray(boxes, dtype=np.float64).reshape(-1, 4) - offset) / scale
        return box_ops.clip(boxes, self.width, self.height).astype(np.float32)
