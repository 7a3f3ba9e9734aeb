"""Images as screens and pages show them: scaled to a longest side, and as JPEG in memory."""

import base64

import cv2
import numpy as np


def scaled(image: np.ndarray, side: int | None) -> tuple[np.ndarray, float]:
    """(uint8 RGB image whose longer side has `side` px, its sides through those of `image`); None leaves it."""
    height, width = image.shape[:2]
    ratio = side / max(height, width) if side else 1.0
    if ratio == 1:
        return image, 1.0
    size = max(round(width * ratio), 1), max(round(height * ratio), 1)
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if ratio < 1 else cv2.INTER_LINEAR), ratio


def shrunk(image: np.ndarray, side: int) -> tuple[np.ndarray, float]:
    """As `scaled`, but an image whose longer side has less than `side` px stays as it is."""
    return scaled(image, min(side, max(image.shape[:2])))


def jpeg(image: np.ndarray, quality: int = 80) -> bytes:
    """uint8 RGB [height, width, 3] as a JPEG file; `quality` 0..100."""
    _, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return data.tobytes()


def data_uri(image: np.ndarray, quality: int = 80) -> str:
    """The `jpeg` of an image as an address, for a page with no file beside it."""
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg(image, quality)).decode()}"
