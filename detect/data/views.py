"""What a classifier sees of an image: a random crop in training, its centre or ten crops when it is evaluated."""

from typing import TYPE_CHECKING

import cv2
import numpy as np

from detect.data.augment.darknet import flip_and_colour
from detect.ops.letterbox import GREY

if TYPE_CHECKING:
    from detect.config.schema import CropSettings

TEN_CROP_MARGIN = 32  # px by which the square that ten crops are cut from is larger than they (Darknet)


class RandomCrop:
    """Darknet's change of a classifier's training image: the same for the same image, size and random numbers.

    The image is stretched by up to `aspect`, scaled to a random length of its short side, turned by up to `angle`
    around its middle and cut at a random place; then come flip and colours. What lies outside the image is grey as
    in a letterbox (black in Darknet); an image smaller than the cut lies in its middle.

    Args:
        settings: `CropSettings`.
    """

    def __init__(self, settings: "CropSettings") -> None:
        self.settings = settings
        self._flip_and_colour = flip_and_colour(settings)

    def __call__(self, image: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
        """uint8 RGB [h, w, 3] -> uint8 RGB [size, size, 3]."""
        height, width = image.shape[:2]
        new_width, new_height, angle, shift = self.draw(width, height, size, rng)
        # Shrinking is done by averages first: the warp alone looks at four px and would leave out all others.
        image = _resized(image, min(round(new_width), width), min(round(new_height), height))
        height, width = image.shape[:2]
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        linear = turn * [new_width / width, new_height / height]
        middle = np.array([width - 1, height - 1]) / 2  # px centres lie on whole numbers
        offset = (size - 1) / 2 + shift - linear @ middle
        cut = cv2.warpAffine(
            image, np.column_stack([linear, offset]), (size, size),
            flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=(GREY,) * 3,
        )  # fmt: skip
        for transform in self._flip_and_colour:
            transform.set_random_seed(int(rng.integers(2**31)))  # each its own, so that they do not go together
            cut = transform(image=cut)["image"]
        return cut

    def draw(
        self, width: int, height: int, size: int, rng: np.random.Generator
    ) -> tuple[float, float, float, np.ndarray]:
        """Random numbers for an image: new width and height in px, angle in radians, shift [2] of the cut in px."""
        settings = self.settings
        aspect = rng.uniform(1, settings.aspect) ** rng.choice((-1, 1))
        least, most = settings.short_side
        scale = rng.integers(least, most, endpoint=True) / min(width * aspect, height)
        new_width, new_height = width * aspect * scale, height * scale
        angle = np.deg2rad(rng.uniform(-settings.angle, settings.angle))
        reach = np.maximum([new_width - size, new_height - size], 0) / 2  # as far as the image fills the cut
        return new_width, new_height, angle, rng.uniform(-reach, reach)


def centre_crop(image: np.ndarray, size: int, resize: int | None = None) -> np.ndarray:
    """uint8 RGB [h, w, 3] -> its central square, scaled to `resize` px (`size`), and its middle [size, size, 3]."""
    scaled = resize or size
    square = _resized(_middle(image, min(image.shape[:2])), scaled, scaled)
    return _middle(square, size)


def ten_crops(image: np.ndarray, size: int) -> np.ndarray:
    """uint8 RGB [h, w, 3] -> [10, size, size, 3]: four corners and centre of the central square, then their mirrors."""
    square = centre_crop(image, size + TEN_CROP_MARGIN)
    far, middle = TEN_CROP_MARGIN, TEN_CROP_MARGIN // 2
    places = ((0, 0), (0, far), (far, 0), (far, far), (middle, middle))
    crops = np.stack([square[top : top + size, left : left + size] for top, left in places])
    return np.concatenate([crops, crops[:, :, ::-1]])


def _middle(image: np.ndarray, side: int) -> np.ndarray:
    """The square of `side` px in the middle of `image`."""
    top, left = ((length - side) // 2 for length in image.shape[:2])
    return image[top : top + side, left : left + side]


def _resized(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """`image` in `width` x `height` px (at least 1 each); px are averaged where it shrinks."""
    width, height = max(width, 1), max(height, 1)
    if (height, width) == image.shape[:2]:
        return np.ascontiguousarray(image)
    shrinks = width * height < image.shape[0] * image.shape[1]
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
