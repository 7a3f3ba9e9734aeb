"""Small videos, and what reading a source gives."""

import cv2
import numpy as np

from detect.inference.reading import read_frames
from detect.inference.sources import find_items

NOISE = np.random.default_rng(0).integers(0, 255, (120, 48, 64, 3), dtype=np.uint8)


def flat(level, shape=(48, 64)):
    return np.full((*shape, 3), level, dtype=np.uint8)


def write_video(path, images, fps=25.0, code="mp4v"):
    height, width = images[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*code), fps, (width, height))
    assert writer.isOpened()
    for image in images:
        writer.write(image[..., ::-1])
    writer.release()
    return path


def read(source, errors=None):
    if errors is None:
        return list(read_frames(find_items(source)))
    return list(read_frames(find_items(source, errors.append), errors.append))
