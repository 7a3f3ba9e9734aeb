"""Images of a run side by side with their boxes: what it learns from, what it should find and what it finds."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from detect.data.detection import DetectionData
from detect.data.records import ImageRecord
from detect.evaluation.detections import Detections
from detect.inference.draw import draw
from detect.ops.boxes import xywh_to_xyxy
from detect.ops.letterbox import GREY
from detect.ops.preview import scaled

TILE = 448  # px, side of each image's square
COLUMNS, TILES = 4, 8
GAP = 4  # px between two squares


def batch_sheet(
    images: ArrayLike, boxes: Sequence[ArrayLike], labels: Sequence[ArrayLike], names: Sequence[str]
) -> np.ndarray:
    """The first images of a batch as the network sees them, with boxes and class names: uint8 RGB [H, W, 3].

    Args:
        images: uint8 [B, 3, S, S], arrays or tensors on the CPU, as all others.
        boxes, labels: [n, 4] xyxy in network px and [n] of each image.
        names: of the classes.
    """
    shown = zip(np.asarray(images)[:TILES], boxes, labels, strict=False)
    return sheet([tile(image.transpose(1, 2, 0), one, None, its, names) for image, one, its in shown])


def val_drawings(
    data: DetectionData, detections: Detections, least: Mapping[int | None, float]
) -> dict[str, Callable[[], np.ndarray]]:
    """What draws the same images twice, spread over the set: val_labels.jpg with its boxes, val_predictions.jpg with
    what was found.

    Args:
        least: score above which the detections of a category id are shown.
    """
    count = min(len(data.images), TILES)
    chosen = [data.images[number] for number in np.linspace(0, len(data.images) - 1, count).astype(int).tolist()]
    names = [category["name"] for category in data.categories]
    label_of = {category["id"]: label for label, category in enumerate(data.categories)}
    limits = np.array([least.get(category["id"], 1.0) for category in data.categories])

    def labelled(image: ImageRecord) -> np.ndarray:
        objects = image.objects
        return tile(image.read(), image.boxes[objects], None, image.labels[objects], names)

    def found(image: ImageRecord) -> np.ndarray:
        own = detections[detections.image_ids == image.id]
        labels = np.array([label_of[number] for number in own.category_ids.tolist()], dtype=int)
        shown = own.scores > limits[labels]
        boxes = xywh_to_xyxy(own.boxes[shown])
        return tile(image.read(), boxes, own.scores[shown], labels[shown], names)

    draws = {"val_labels.jpg": labelled, "val_predictions.jpg": found}
    return {name: lambda draw=draw: sheet([draw(image) for image in chosen]) for name, draw in draws.items()}


def tile(
    image: np.ndarray, boxes: ArrayLike, scores: ArrayLike | None, labels: ArrayLike, names: Sequence[str]
) -> np.ndarray:
    """The image with its boxes drawn on it, fit into the middle of a square of `TILE` px.

    It is scaled first and drawn on then, so that names are readable whatever size the image has. Arguments as of
    `detect.inference.draw.draw`.

    Returns:
        uint8 RGB [TILE, TILE, 3].
    """
    small, scale = scaled(image, TILE)
    drawn = draw(small, np.asarray(boxes, dtype=np.float64).reshape(-1, 4) * scale, scores, labels, names)
    square = np.full((TILE, TILE, 3), GREY, dtype=np.uint8)
    height, width = drawn.shape[:2]
    top, left = (TILE - height) // 2, (TILE - width) // 2
    square[top : top + height, left : left + width] = drawn
    return square


def sheet(tiles: Sequence[np.ndarray]) -> np.ndarray:
    """Squares of the same size, one at least, in rows of `COLUMNS` with white between: uint8 RGB [H, W, 3]."""
    columns = min(COLUMNS, len(tiles))
    rows = -(-len(tiles) // columns)
    step = len(tiles[0]) + GAP
    page = np.full((rows * step - GAP, columns * step - GAP, 3), 255, dtype=np.uint8)
    for number, square in enumerate(tiles):
        top, left = number // columns * step, number % columns * step
        page[top : top + len(square), left : left + len(square)] = square
    return page
