"""The images that an export is calibrated and compared on: the user's, or scikit-image's photos."""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from detect import config
from detect.data.dataset import Dataset
from detect.data.formats.opening import has_split
from detect.data.formats.opening import is_data_set as is_known
from detect.errors import UserError
from detect.files import printable
from detect.inference.sources import find_items
from detect.ops.image import read_image
from detect.ops.letterbox import Letterbox

SAMPLES = ("astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png")  # CC0 or public domain
AnyPath = str | PathLike[str]


def squares(paths: Sequence[Path], size: int) -> list[np.ndarray]:
    """Image files, letterboxed to uint8 RGB [size, size, 3].  Raises UserError: one cannot be read."""
    found = []
    for path in paths:
        image = read_image(path)
        found.append(Letterbox(image.shape[1], image.shape[0], size).apply(image))
    return found


def spread(items: Sequence[Any], count: int) -> list[Any]:
    """Up to `count` of the items, evenly over all of them, in order."""
    return [items[i * len(items) // count] for i in range(count)] if len(items) > count else list(items)


def to_compare(data: Any) -> list[Path]:
    """Images of a folder, or of a data folder's or data YAML's split val, train where there is none.  Raises UserError.

    None gives the sample photos.
    """
    if not data:
        return sample_photos()
    if not is_data_set(data):
        paths = [Path(str(item.value)) for item in find_items(str(data)) if item.medium == "image"]
        if not paths:
            raise UserError(f"{printable(data)}: holds no images to compare with; give photos", argument="data")
        return paths
    described = config.read_data(data)
    split = "val" if has_split(described, "val") else "train"
    return list(map(Path, labelled(data, split).images.paths))


def labelled(data: AnyPath, split: str) -> Dataset:
    """A split of a data folder or data YAML.  Raises UserError."""
    if not is_data_set(data):
        raise UserError(f"{printable(data)}: has no annotations to compute AP with; give a data folder", "data")
    return Dataset.of_split(config.read_data(data), split)


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
    return Path(data).suffix in (".yaml", ".yml") or is_known(Path(data))
