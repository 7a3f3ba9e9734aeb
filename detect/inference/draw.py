"""Boxes and labels on an image."""

import colorsys
import unicodedata
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import ArrayLike

Colour = tuple[int, int, int]  # RGB 0..255
FONT = cv2.FONT_HERSHEY_SIMPLEX
TEXT_HEIGHT = 0.022  # of the image's mean side
SMALLEST_TEXT = 0.35  # font scale below which letters are blots


def draw(
    image: np.ndarray, boxes: ArrayLike, scores: ArrayLike | None, labels: ArrayLike, names: Sequence[str]
) -> np.ndarray:
    """A copy of `image` with its detections drawn on it.

    Args:
        image: uint8 RGB [height, width, 3].
        boxes, scores, labels: [n, 4] xyxy in image px, [n] and [n] 0..K-1; NumPy or lists. Annotated objects have no
            scores: None.
        names: the K class names.

    Returns:
        uint8 RGB [height, width, 3].
    """
    canvas = np.array(image, order="C")
    height, width = canvas.shape[:2]
    line = max(round((height + width) / 2 * 0.004), 1)
    boxes = np.nan_to_num(np.asarray(boxes, dtype=np.float64).reshape(-1, 4))
    corners = np.clip(np.rint(boxes), 0, [width - 1, height - 1] * 2).astype(int)
    classes = np.asarray(labels, dtype=int).tolist()
    texts = [ascii_name(names[label], label) for label in classes]
    order = list(range(len(boxes)))
    if scores is not None:
        scores = np.asarray(scores)
        texts = [f"{text} {score:.2f}" for text, score in zip(texts, scores.tolist(), strict=True)]
        order = np.argsort(scores, kind="stable").tolist()  # surest on top
    for i in order:
        cv2.rectangle(canvas, corners[i, :2].tolist(), corners[i, 2:].tolist(), colour_of(classes[i]), line)
    for i in order:
        _draw_label(canvas, texts[i], corners[i], colour_of(classes[i]), line)
    return canvas


def colour_of(label: int) -> Colour:
    """The RGB colour of a class: always the same, and far from those of the classes beside it."""
    hue = label * 0.618034 % 1  # steps of the golden ratio never come close to one another
    red, green, blue = colorsys.hsv_to_rgb(hue, (0.9, 0.6)[label // 7 % 2], (1.0, 0.75)[label // 14 % 2])
    return round(255 * red), round(255 * green), round(255 * blue)


def text_colour_on(background: Colour) -> Colour:
    """Black or white RGB, whichever contrasts more with the RGB colour `background` (ITU-R BT.709 luminance)."""
    red, green, blue = ((c / 255) ** 2.2 for c in background)
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return (0, 0, 0) if luminance > 0.18 else (255, 255, 255)  # 0.18: contrast with black and white is equal


def ascii_name(name: str, label: int) -> str:
    """`name` in the letters OpenCV's font has; a name that has none of them becomes its class number."""
    plain = unicodedata.normalize("NFKD", str(name).replace("ß", "ss")).encode("ascii", "ignore").decode()
    plain = "".join(c for c in plain if c.isprintable()).strip()
    return plain or f"class {label}"


def _draw_label(canvas: np.ndarray, text: str, corners: np.ndarray, colour: Colour, line: int) -> None:
    """Write `text` on a filled strip above the box with integer `corners` (left, top, right, bottom).

    The strip moves into the box or along the border where it would leave the image; text too wide for the image
    is made smaller, and left out where it could not be read.
    """
    height, width = canvas.shape[:2]
    left, top, _, _ = corners.tolist()
    scale = max((height + width) / 2 * TEXT_HEIGHT / 21, 0.4)  # letters are 21 px high at scale 1
    margin = max(line, 2)
    (text_width, _), _ = cv2.getTextSize(text, FONT, scale, _thickness(scale))
    scale *= min((width - 2 * margin) / text_width, 1)
    (text_width, text_height), below = cv2.getTextSize(text, FONT, max(scale, 0.01), _thickness(scale))
    strip_width, strip_height = text_width + 2 * margin, text_height + below + margin
    if scale < SMALLEST_TEXT or strip_width > width or strip_height * 5 > height:
        return
    left = min(max(left - line // 2, 0), width - strip_width)
    top = top - strip_height if top >= strip_height else min(top, height - strip_height)
    cv2.rectangle(canvas, (left, top), (left + strip_width - 1, top + strip_height - 1), colour, cv2.FILLED)
    origin = (left + margin, top + text_height + margin // 2)
    cv2.putText(canvas, text, origin, FONT, scale, text_colour_on(colour), _thickness(scale), cv2.LINE_AA)


def _thickness(scale: float) -> int:
    """Strokes of the letters in px at a font scale."""
    return max(round(scale * 1.8), 1)
