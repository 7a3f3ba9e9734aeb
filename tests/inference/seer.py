"""A runtime that sees, without a network."""

import cv2
import numpy as np

from detect.ops.nms import Candidates


class Seer:
    """A runtime that finds the rectangles of a `scene`, which do not touch, in what it is shown.

    Those with a side of less than `least` px in the network's square are not seen.
    """

    names = tuple("abcdefgh")

    def __init__(self, size=128, least=1):
        self.size, self.least, self.seen = size, least, []

    def __call__(self, squares, min_score):
        self.seen.append(len(squares))
        return [self.found(square) for square in squares]

    def found(self, square):
        boxes, shades = [], []
        _, places = cv2.connectedComponents((square[..., 0] > 127).astype(np.uint8))
        for place in range(1, places.max() + 1):
            rows, columns = np.nonzero(places == place)
            box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            if min(box[2] - box[0], box[3] - box[1]) >= self.least:
                boxes.append(box)
                shades.append(int(np.median(square[rows, columns, 1])))
        boxes, shades = np.array(boxes, np.float32).reshape(-1, 4), np.array(shades, np.int64)
        return Candidates(boxes, (0.3 + shades / 400).astype(np.float32), shades % 8)


def scene(width, height, boxes):
    """An image with a rectangle for each of the boxes, whole px, of the classes 0, 1, ... and rising scores."""
    image = np.zeros((height, width, 3), np.uint8)
    for shade, (left, top, right, bottom) in enumerate(boxes):
        image[top:bottom, left:right] = 255, shade, 0
    return image
