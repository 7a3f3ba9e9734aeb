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
MOST_WORDS = 0.25  # of an image that words beside boxes may cover
COARSE = 2  # px of the grid in which words beside boxes find their places
SMALLEST_TEXT = 0.35  # font scale below which letters are blots


def draw(
    image: np.ndarray,
    boxes: ArrayLike,
    scores: ArrayLike | None,
    labels: ArrayLike,
    names: Sequence[str],
    tracks: ArrayLike | None = None,
) -> np.ndarray:
    """A copy of `image` with its detections drawn on it.

    Args:
        image: uint8 RGB [height, width, 3].
        boxes, scores, labels: [n, 4] xyxy in image px, [n] and [n] 0..K-1; NumPy or lists. Annotated objects have no
            scores: None.
        names: the K class names.
        tracks: [n], the number of what was followed, 0 for what was not; None draws none.

    Returns:
        uint8 RGB [height, width, 3].
    """
    canvas = np.array(image, order="C")
    height, width = canvas.shape[:2]
    line = line_width(height, width)
    boxes = np.nan_to_num(np.asarray(boxes, dtype=np.float64).reshape(-1, 4))
    corners = np.clip(np.rint(boxes), 0, [width - 1, height - 1] * 2).astype(int)
    classes = np.asarray(labels, dtype=int).tolist()
    texts = [ascii_name(names[label], label) for label in classes]
    order = list(range(len(boxes)))
    if scores is not None:
        scores = np.asarray(scores)
        texts = [f"{text} {score:.2f}" for text, score in zip(texts, scores.tolist(), strict=True)]
        order = np.argsort(scores, kind="stable").tolist()  # surest on top, and their words first
    if tracks is not None:
        numbers = np.asarray(tracks).tolist()
        texts = [f"#{number} {text}" if number else text for number, text in zip(numbers, texts, strict=True)]
    for i in order:
        cv2.rectangle(canvas, corners[i, :2].tolist(), corners[i, 2:].tolist(), colour_of(classes[i]), line)
    lettering = Lettering(canvas)
    for i in reversed(order):
        lettering.beside(texts[i], corners[i].tolist(), colour_of(classes[i]))
    return canvas


def line_width(height: int, width: int) -> int:
    """Of lines in an image of this size, px."""
    return max(round((height + width) / 2 * 0.004), 1)


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


def ascii_name(name: str, label: int, kind: str = "class") -> str:
    """`name` in the letters OpenCV's font has; a name that has none of them becomes its number."""
    plain = unicodedata.normalize("NFKD", str(name).replace("ß", "ss")).encode("ascii", "ignore").decode()
    plain = "".join(c for c in plain if c.isprintable()).strip()
    return plain or f"{kind} {label}"


class Lettering:
    """Writes words on filled strips, as large as suits the image `canvas`, uint8 RGB [height, width, 3].

    A strip never leaves the image; text too wide for it is made smaller, and left out where it could not be read.
    """

    def __init__(self, canvas: np.ndarray) -> None:
        self._canvas = canvas
        self.height, self.width = canvas.shape[:2]
        self._margin = max(line_width(self.height, self.width), 2)
        self._taken = np.zeros((self.height // COARSE + 1, self.width // COARSE + 1), bool)  # by words beside boxes
        self._covered = 0  # px by them
        self._scale = max((self.height + self.width) / 2 * TEXT_HEIGHT / 21, 0.4)  # letters are 21 px high at scale 1

    def size(self, text: str) -> tuple[int, int, float]:
        """(width and height of its strip in px, font scale); scale 0 where there is no room to read it."""
        (text_width, _), _ = cv2.getTextSize(text, FONT, self._scale, _thickness(self._scale))
        scale = self._scale * min((self.width - 2 * self._margin) / max(text_width, 1), 1)
        (text_width, text_height), below = cv2.getTextSize(text, FONT, max(scale, 0.01), _thickness(scale))
        width, height = text_width + 2 * self._margin, text_height + below + self._margin
        if scale < SMALLEST_TEXT or width > self.width or height * 5 > self.height:
            return 0, 0, 0.0
        return width, height, scale

    def at(self, text: str, left: int, top: int, colour: Colour) -> None:
        """Write with the strip's left upper corner there, or as near as the image allows."""
        width, height, scale = self.size(text)
        if not scale:
            return
        left, top = min(max(left, 0), self.width - width), min(max(top, 0), self.height - height)
        cv2.rectangle(self._canvas, (left, top), (left + width - 1, top + height - 1), colour, cv2.FILLED)
        (_, text_height), _ = cv2.getTextSize(text, FONT, scale, _thickness(scale))
        origin = (left + self._margin, top + text_height + self._margin // 2)
        cv2.putText(self._canvas, text, origin, FONT, scale, text_colour_on(colour), _thickness(scale), cv2.LINE_AA)

    def beside(self, text: str, corners: Sequence[int], colour: Colour) -> None:
        """Write above a box of these corners, or else within it or below it, where no other such words are.

        It is left out where there is no such place, or where words would cover more of the image than `MOST_WORDS`:
        what is surest is to be written first.
        """
        width, height, scale = self.size(text)
        covered = self._covered + width * height
        if not scale or (self._covered and covered > MOST_WORDS * self.width * self.height):
            return
        left, top, _, bottom = corners
        left = min(max(left - self._margin // 2, 0), self.width - width)
        for upper in (top - height, top, bottom, bottom - height):
            if 0 <= upper <= self.height - height and self._take(left, upper, width, height):
                self.at(text, left, upper, colour)
                self._covered = covered
                return

    def _take(self, left: int, top: int, width: int, height: int) -> bool:
        """Whether nothing has been written beside a box there; now something is."""
        place = self._taken[top // COARSE : -(-(top + height) // COARSE), left // COARSE : -(-(left + width) // COARSE)]
        if place.any():
            return False
        inner = place[1:-1, 1:-1] if min(place.shape) > 2 else place  # neighbours may touch
        inner[:] = True
        return True

    def centred(self, text: str, middle: np.ndarray, colour: Colour) -> None:
        """Write with the strip's middle at (x, y)."""
        width, height, _ = self.size(text)
        self.at(text, round(float(middle[0]) - width / 2), round(float(middle[1]) - height / 2), colour)


def _thickness(scale: float) -> int:
    """Strokes of the letters in px at a font scale."""
    return max(round(scale * 1.8), 1)
