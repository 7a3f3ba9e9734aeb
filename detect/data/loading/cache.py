"""Training images kept after they were decoded once, shrunk to what the network can see of them: in RAM or in files."""

import hashlib
import mmap
import multiprocessing
import os
import struct
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path
from shutil import disk_usage
from typing import TYPE_CHECKING

import cv2
import numpy as np

from detect.data.augment.pipeline import needs_whole_size
from detect.data.detection import DetectionData
from detect.data.loading.memory import free_memory
from detect.data.loading.shared_memory import loader_processes
from detect.data.sample import Sample
from detect.errors import UserError
from detect.files import cache_folder, printable, replacing
from detect.members import stamp
from detect.ops.letterbox import Letterbox

if TYPE_CHECKING:
    from detect.config.schema import Settings

MOST = 0.8  # of what is free may be taken: the training needs memory too, and its checkpoints need disk
STAMP = struct.Struct("<Qq")  # before the px of a file: size and time of the image's own file


class ImageCache(ABC):
    """Samples of a data set, each image decoded and shrunk the first time it is asked for, and kept.

    Images are shrunk before they are kept, so the first time gives the same px as any other.

    Attributes:
        bytes: int64 [n] that the px of each image take.

    Args:
        dataset: a set, or several joined.
        longest: side that an image is shrunk to if its longer side is greater, px; None keeps their own sizes.
    """

    def __init__(self, dataset: DetectionData, longest: int | None) -> None:
        self.dataset, self.longest = dataset, longest
        self.sizes = np.array(
            [_shrunk(image.width, image.height, longest) for image in dataset.images]
        )  # width, height
        self.bytes = self.sizes.prod(axis=1, dtype=np.int64) * 3

    def sample(self, index: int) -> Sample:
        """As of the data set, with its image shrunk and its boxes in px of that."""
        record, (width, height) = self.dataset.images[index], self.sizes[index].tolist()
        image = self.kept(index)
        if image is None:
            image = record.read()
            if image.shape[:2] != (height, width):
                image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
            self.keep(index, image)
        factors = np.array([width / record.width, height / record.height] * 2, dtype=np.float32)
        return Sample(image, record.boxes * factors, record.labels, record.weights, record.id)

    def describe(self) -> str:
        """A line on how much is kept where."""
        size = f"of at most {self.longest} px" if self.longest else "of their own size"
        return f"cache: {len(self.bytes):,} images {size} need {self.bytes.sum() / 1e9:.2f} GB of {self.place}"

    place: str  # in words

    @abstractmethod
    def kept(self, index: int) -> np.ndarray | None:
        """The image, a copy of its own, if it is there."""

    @abstractmethod
    def keep(self, index: int, image: np.ndarray) -> None:
        """Keep an image."""


class RAMCache(ImageCache):
    """In memory that all loader processes share: it is taken before they are forked.

    Raises:
        UserError: there is not enough memory, or loader processes are not forked on this system.
    """

    place = "RAM"

    def __init__(self, dataset: DetectionData, longest: int | None, is_shared: bool = True) -> None:
        super().__init__(dataset, longest)
        if is_shared and multiprocessing.get_start_method() != "fork":
            raise UserError(
                "data.cache: ram is shared with loader processes that are forked, which this system does not do; take "
                "disk, or train.workers=0"
            )
        self.ends = np.cumsum(self.bytes)
        _check_room(self, int(self.ends[-1]), free_memory(), "disk or none")
        self._memory = mmap.mmap(-1, int(self.ends[-1]) + len(self.bytes))
        everything = np.frombuffer(self._memory, dtype=np.uint8)
        self._px, self._is_there = np.split(everything, [int(self.ends[-1])])

    def kept(self, index: int) -> np.ndarray | None:
        return self._place(index).copy() if self._is_there[index] else None

    def keep(self, index: int, image: np.ndarray) -> None:
        self._place(index)[...] = image
        self._is_there[index] = 1  # last: others may look while this is written, or write the same

    def _place(self, index: int) -> np.ndarray:
        width, height = self.sizes[index]
        return self._px[self.ends[index] - self.bytes[index] : self.ends[index]].reshape(height, width, 3)


class DiskCache(ImageCache):
    """In a file an image, which trainings to come use too; an image that was changed since is read anew.

    Several processes may use a folder at once: a file appears whole or not at all. One that cannot be written, on a
    disk that is full by now, is done without.

    Args:
        folder: where the files lie; by default in the `detect.files.cache_folder`.

    Raises:
        UserError: there is not enough room for what is not there yet.
    """

    def __init__(self, dataset: DetectionData, longest: int | None, folder: Path | None = None) -> None:
        super().__init__(dataset, longest)
        self.folder = folder or cache_folder() / "images"
        self.missing = sum(int(size) for index, size in enumerate(self.bytes) if not self._is_whole(index))
        self.place = f"disk in {printable(self.folder)}, {self.missing / 1e9:.2f} GB of them to be written"
        _check_room(self, self.missing, _free_disk(self.folder), "none")

    def kept(self, index: int) -> np.ndarray | None:
        width, height = self.sizes[index]
        with suppress(OSError):
            content = self._file(index).read_bytes()
            if len(content) == self.bytes[index] + STAMP.size and content.startswith(self._stamp(index)):
                return np.frombuffer(content, np.uint8, offset=STAMP.size).reshape(height, width, 3).copy()
        return None

    def keep(self, index: int, image: np.ndarray) -> None:
        path = self._file(index)
        with suppress(OSError, UserError):
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as temporary, open(temporary, "wb") as file:
                file.write(self._stamp(index))
                file.write(np.ascontiguousarray(image).data)

    def _file(self, index: int) -> Path:
        name = f"{os.path.abspath(self.dataset.images.paths[index])}\0{self.longest}".encode(errors="surrogateescape")
        digest = hashlib.sha256(name).hexdigest()[:32]
        return self.folder / digest[:2] / digest

    def _stamp(self, index: int) -> bytes:
        return STAMP.pack(*stamp(self.dataset.images.paths[index]))

    def _is_whole(self, index: int) -> bool:
        with suppress(OSError):
            return self._file(index).stat().st_size == self.bytes[index] + STAMP.size
        return False


def image_cache(dataset: DetectionData, settings: "Settings") -> ImageCache | None:
    """The cache that a training's settings ask for.  Raises UserError: it does not fit."""
    if not settings.data or settings.data.cache == "none":
        return None
    # tiles are cut out at the image's own resolution
    longest = None if needs_whole_size(settings.augment) else max(settings.input.train_sizes or [settings.input.size])
    if settings.data.cache == "disk":
        return DiskCache(dataset, longest)
    return RAMCache(dataset, longest, is_shared=loader_processes(settings) > 0)


def _shrunk(width: int, height: int, longest: int | None) -> tuple[int, int]:
    """(width, height) of an image whose longer side is `longest` px at the most; it is not enlarged."""
    if longest is None or max(width, height) <= longest:
        return width, height
    return Letterbox(width, height, longest).inner


def _check_room(cache: ImageCache, needed: int, free: int | None, others: str) -> None:
    """Raise UserError if `needed` bytes are more than may be taken of the free ones; None if that is not known."""
    if free is None or needed <= MOST * free:
        return
    raise UserError(
        f"data.{cache.describe()}, and of the {free / 1e9:.2f} GB that are free {MOST:.0%} may be taken; set "
        f"data.cache={others}"
    )


def _free_disk(folder: Path) -> int | None:
    """Bytes free where `folder` is, or would be made."""
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    with suppress(OSError):
        return disk_usage(folder).free
    return None
