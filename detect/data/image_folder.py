"""Images for a classifier: ROOT/SPLIT/CLASS/image.jpg, the layout of ImageNet."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from detect.errors import UserError, nearest
from detect.files import entries_of, leads_out, printable
from detect.ops.image import IMAGE_SUFFIXES, read_image

if TYPE_CHECKING:
    from detect.config.schema import ImageFolderSettings


class ImageFolder:
    """The images of one split, class by class in the order of the class names, by name within a class.

    Args:
        folder: the split's folder, which holds one folder a class.
        classes: names of the classes by label, for a split to evaluate on; the folders' own by default.

    Attributes:
        classes: class names by label.
        names: "CLASS/file" of every image; labels: int64 [n].
        notes: sentences for the log.

    Raises:
        UserError: a folder is missing, empty, or leads out of `folder`, or a class is not one of `classes`.
    """

    def __init__(self, folder: str | Path, classes: Iterable[str] | None = None) -> None:
        self.folder = Path(folder)
        found = self._class_folders()
        self.classes = list(classes) if classes is not None else found
        known = set(self.classes)
        unknown = [name for name in found if name not in known]
        if unknown:
            raise UserError(
                f"{self.folder}: the class '{printable(unknown[0])}' is none of the {len(self.classes)} known "
                f"ones{nearest(unknown[0], self.classes[:20])}"
            )
        self.names, self.notes, labels, others = [], [], [], 0
        label_of = {name: label for label, name in enumerate(self.classes)}
        for name in found:
            images, left_out = self._images_of(name)
            others += left_out
            self.names += images
            labels += [label_of[name]] * len(images)
        self.labels = np.array(labels, dtype=np.int64)
        if others:
            self.notes.append(f"{self.folder}: {others} files and folders in it are no images by their names")

    @classmethod
    def of_split(cls, data: "ImageFolderSettings", split: str, classes: Iterable[str] | None = None) -> "ImageFolder":
        """The split `split` of the data that `ImageFolderSettings` describe."""
        root = Path(data.root)
        if not os.path.isdir(root):
            raise UserError(f"data.root: no such folder {root}; lay the data out as data/README.md says")
        if not has_split(data, split):
            hint = nearest(split, sorted(path.name for path in root.iterdir() if path.is_dir())[:20])
            raise UserError(f"{root}: no folder '{split}'; images lie in {split}/CLASS/{hint}")
        return cls(root / split, classes)

    def __len__(self) -> int:
        return len(self.names)

    def fingerprint(self) -> str:
        """What a run knows the images by: counts to read, and a hash of their names and labels."""
        digest = hashlib.sha256(repr((self.classes, self.names)).encode())
        digest.update(self.labels.tobytes())
        return f"{len(self)} images of {len(self.classes)} classes, SHA-256 {digest.hexdigest()}"

    def read(self, index: int) -> np.ndarray:
        """Image `index`, uint8 RGB [h, w, 3].  Raises UserError."""
        return read_image(self.folder / self.names[index])

    def majority(self) -> float:
        """Share of the images that are of the most frequent class: what a guess gets right."""
        return float(np.bincount(self.labels).max() / len(self))

    def _class_folders(self) -> list[str]:
        names = sorted(entry.name for entry in self._entries(self.folder) if os.path.isdir(entry))
        if not names:
            raise UserError(f"{self.folder}: holds no class folders; images lie in {self.folder.name}/CLASS/")
        return names

    def _images_of(self, name: str) -> tuple[list[str], int]:
        """Names of the images of a class, and the number of entries that are none."""
        entries = self._entries(self.folder / name)
        images = [e.name for e in entries if Path(e.name).suffix.lower() in IMAGE_SUFFIXES and os.path.isfile(e)]
        if not images:
            raise UserError(f"{printable(self.folder / name)}: holds no images; add some or remove the class")
        return [f"{name}/{image}" for image in sorted(images)], len(entries) - len(images)

    def _entries(self, folder: Path) -> list[os.DirEntry]:
        """What lies in a folder, hidden files apart; UserError for a link that leads out of the data's root."""
        entries = [entry for entry in entries_of(folder) if not entry.name.startswith(".")]
        for entry in entries:
            if entry.is_symlink() and leads_out(entry.path, self.folder):
                raise UserError(f"{printable(entry.path)}: leads out of {self.folder}; put the files themselves there")
        return entries


def has_split(data: "ImageFolderSettings", split: str) -> bool:
    """Whether the data that `ImageFolderSettings` describe have a folder for the split."""
    return Path(split).name == split and os.path.isdir(Path(data.root, split))
