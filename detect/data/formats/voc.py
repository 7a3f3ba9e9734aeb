"""Where the splits of data in Pascal VOC's format lie: ImageSets, folders of splits, or XML files beside images."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import nsmallest
from pathlib import Path
from typing import TYPE_CHECKING

from detect.data.formats.image_files import ImageFiles
from detect.data.formats.splits import named
from detect.data.formats.text_reader import MAX_LABEL_BYTES, read_lines, read_names
from detect.data.formats.voc_reader import VocReader
from detect.errors import UserError
from detect.files import printable

if TYPE_CHECKING:
    from detect.config.schema import SetSettings

LOOKED_FOR = "Annotations/*.xml with JPEGImages/ or images/, or XML files beside the images"
OF_A_CLASS = re.compile(r"\s(-1|0|1)\s*$")  # a line of aeroplane_train.txt: whether the class is in that image
ANNOTATIONS, SETS = "Annotations", "ImageSets/Main"
IMAGE_FOLDERS = ("JPEGImages", "images", "Images", ".", ANNOTATIONS)
SPLIT_FOLDERS = ("train", "val", "valid", "validation", "test")
LOOKED_AT = 10  # XML files of a folder, of which some may be empty or damaged
NAMES_FILES = ("labelmap.txt", "labels.txt", "classes.txt", "predefined_classes.txt")


@dataclass
class VocSplit:
    """A split's source for messages, its XML files, those of the whole set, and the folders of images by XML folder."""

    source: Path
    files: Sequence[Path]
    all_files: Sequence[Path]
    folders: Sequence[Path]
    names: list[str] | None
    missing: Sequence[tuple[str, str]] = ()


def found(root: Path) -> bool:
    """Whether the file or folder `root` looks like data in this format."""
    return os.path.isdir(root) and (bool(_bases(root)) or any(_beside(root)))


def places(data: "SetSettings") -> dict[str, VocSplit]:
    """What each split is made of.  Raises UserError: several sets lie in the folder."""
    root = Path(data.root)
    bases = _bases(root)
    if len(bases) > 1:
        listed = ", ".join(printable(base.relative_to(root)) for base in bases)
        raise UserError(f"{printable(root)}: holds several sets ({listed}); name one of them")
    return named(_of_base(bases[0]) if bases else _of_folders(root))


def open_place(data: "SetSettings", place: VocSplit) -> VocReader:
    """The reader of a split."""
    return VocReader(place.source, place.files, place.all_files, place.folders, place.names, place.missing)


def _bases(root: Path) -> list[Path]:
    """The folders that hold Annotations/: `root` itself, or else folders in it, or in these (VOCdevkit/VOC2012)."""
    for pattern in (ANNOTATIONS, f"*/{ANNOTATIONS}", f"*/*/{ANNOTATIONS}"):
        folders = [path.parent for path in sorted(root.glob(pattern)) if next(path.rglob("*.xml"), None)]
        if folders:
            return folders
    return []


def _of_base(base: Path) -> dict[str, VocSplit]:
    annotations = base / ANNOTATIONS
    everything = sorted(annotations.rglob("*.xml"))
    folders = [base / name for name in IMAGE_FOLDERS if os.path.isdir(base / name)]
    names = _names(base)
    splits = {}
    for path in sorted((base / SETS).glob("*.txt")):
        lines = read_lines(path, MAX_LABEL_BYTES)
        first = next((line for line in lines if line.strip()), "")
        if not OF_A_CLASS.search(first) or "_" not in path.stem:
            files, missing = _listed(path, lines, annotations)
            splits[path.stem] = VocSplit(path, files, everything, folders, names, missing)
    return splits or {"train": VocSplit(annotations, everything, everything, folders, names)}


def _listed(path: Path, lines: Sequence[str], annotations: Path) -> tuple[list[Path], list[tuple[str, str]]]:
    """The XML files of a list of names, and (file and line, name) of the names without one."""
    finder = ImageFiles(annotations)
    files, missing = [], []
    for number, line in enumerate(lines, 1):
        name = line.strip()
        if not name:
            continue
        file = finder.find(f"{name}.xml")
        if file is None or not os.path.isfile(file):
            file = finder.find(f"{os.path.splitext(name)[0]}.xml")
        if file is None or not os.path.isfile(file):
            missing.append((f"{path}:{number}", name))
        else:
            files.append(file)
    return files, missing


def _beside(root: Path) -> Iterator[tuple[str, Path]]:
    """(split, folder) of the folders with XML files beside images."""
    for name in SPLIT_FOLDERS:
        if _has_annotations(root / name):
            yield name, root / name
    for folder in (root, root / "images"):
        if _has_annotations(folder):
            yield "train", folder


def _has_annotations(folder: Path) -> bool:
    """Whether one of the first XML files of a folder is one of Pascal VOC: exported models are XML files, too."""
    return any(map(_is_annotation, nsmallest(LOOKED_AT, folder.glob("*.xml"))))


def _is_annotation(path: Path) -> bool:
    try:
        with open(path, "rb") as file:
            return b"<annotation" in file.read(1024)
    except OSError:
        return False


def _of_folders(root: Path) -> dict[str, VocSplit]:
    folders: dict[str, Path] = {}
    for name, folder in _beside(root):
        folders.setdefault(name, folder)
    files = {name: sorted(folder.glob("*.xml")) for name, folder in folders.items()}
    everything = [path for paths in files.values() for path in paths]
    names = _names(root)
    return {name: VocSplit(folders[name], files[name], everything, [folders[name]], names) for name in folders}


def _names(base: Path) -> list[str] | None:
    """The classes that a file lists, in its order; None: none does.  Raises UserError."""
    for name in NAMES_FILES:
        if os.path.isfile(base / name):
            names = read_names(base / name)
            if name == "labelmap.txt":  # CVAT's: "name:colour:parts:actions", one for the background, comments
                own = (line.split(":")[0] for line in names if not line.startswith("#"))
                return [name for name in own if name != "background"]
            return names
    return None
