"""The images that an export is calibrated and compared on: the user's, or scikit-image's photos."""

from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from detect import config
from detect.data.coco import CocoDataset
from detect.errors import UserError
from detect.files import printable
from detect.inference.sources import find_items
from detect.ops.image import read_image
from detect.ops.letterbox import Letterbox

SAMPLES = ("astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png")  # CC0 or public domain
SPLITS = ("train", "val")  # to calibrate on, to compare on
AnyPath = str | PathLike[str]


def squares(data: Any, count: int, size: int, split: str = "train") -> list[np.ndarray]:
    """Up to `count` images, letterboxed to uint8 RGB [size, size, 3], spread evenly over those that are there.

    Args:
        data: a folder of images, a data folder or data YAML (then of its `split`); None for the sample photos.

    Raises:
        UserError: there are none, or one cannot be read.
    """
    paths = paths_of(data, split) if data else sample_photos()
    chosen = [paths[i * len(paths) // count] for i in range(count)] if len(paths) > count else paths
    found = []
    for path in chosen:
        image = read_image(path)
        found.append(Letterbox(image.shape[1], image.shape[0], size).apply(image))
    return found


def paths_of(data: AnyPath, split: str) -> list[Path]:
    """The images of a folder of images, or of a split of a data folder or data YAML.  Raises UserError."""
    if is_data_set(data):
        return [record.path for record in labelled(data, split).images]
    return [Path(item.value) for item in find_items(str(data)) if item.medium == "image"]  # type: ignore[arg-type]


def labelled(data: AnyPath, split: str) -> CocoDataset:
    """A split of a data folder or data YAML.  Raises UserError."""
    if not is_data_set(data):
        raise UserError(f"{printable(data)}: has no annotations to compute AP with; give a data folder", "data")
    return CocoDataset.of_split(config.read_data(data), split)


def sample_photos() -> list[Path]:
    """scikit-image's.  Raises UserError: it is not installed."""
    try:
        import skimage
    except ImportError as error:
        raise UserError(
            "an export is compared with PyTorch on images: give a folder of yours, or install scikit-image, "
            "whose photos are taken otherwise",
            argument="data",
        ) from error
    return [Path(skimage.__file__).parent / "data" / name for name in SAMPLES]


def is_data_set(data: AnyPath) -> bool:
    """Whether `data` is a data folder or data YAML, and not a folder of images."""
    return Path(data).is_file() or (Path(data) / "annotations").is_dir()
