"""Where the splits of data in YOLO's format lie: Ultralytics' data.yaml, Darknet's .data, and folders of text files."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_ISREG
from typing import TYPE_CHECKING, Any

from detect.config.schema import Origin
from detect.config.text import MAX_BYTES, parse
from detect.data.formats.image_files import ImageFiles
from detect.data.formats.splits import named
from detect.data.formats.text_reader import MAX_LABEL_BYTES, read_lines, read_names
from detect.data.formats.yolo_labels import YoloReader
from detect.errors import UserError
from detect.files import cannot_read, entries_of, leads_out, printable
from detect.ops.image import IMAGE_SUFFIXES

if TYPE_CHECKING:
    from detect.config.schema import SetSettings

LOOKED_FOR = "data.yaml with names and train, a .data file, or classes.txt with text files beside images or in labels/"
YAML_SUFFIXES = (".yaml", ".yml")
IS_DESCRIPTION = (re.compile(r"^names\s*:", re.M), re.compile(r"^(train|val|test)\s*:", re.M))
NAMES_FILES = ("classes.txt", "obj.names", "labels.names", "predefined_classes.txt")
SPLITS = ("train", "val", "valid", "test", "trainval")
LABEL_FOLDERS = ("images", "JPEGImages")  # whose place a folder `labels` may take in a label file's path


@dataclass
class Description:
    """What describes a set: the file that says it, the folder that nothing leaves, and entries (folders or lists)."""

    source: Path
    root: Path
    names: list[str]
    splits: dict[str, list[str]]
    keypoints: int = 0
    notes: list[str] = field(default_factory=list)


def found(root: Path) -> bool:
    """Whether the file or folder `root` looks like data in this format."""
    return _file_of(root) is not None or (os.path.isdir(root) and _names_file(root) is not None)


def places(data: "SetSettings") -> dict[str, Description]:
    """The description that each split is of, which names no other.  Raises UserError."""
    described = _described(Path(data.root))
    _leave_out_absent_test(described)
    splits = {name: Description(**{**vars(described), "splits": {name: e}}) for name, e in described.splits.items()}
    return named(splits)


def open_place(data: "SetSettings", place: Description) -> YoloReader:
    """The reader of a split.  Raises UserError."""
    (entries,) = place.splits.values()
    files = ImageFiles(place.root, by_end=True)
    images: dict[str, None] = {}
    unlisted: list[tuple[str, str]] = []
    for entry in entries:
        path = _located(place, entry)
        if os.path.isdir(path):
            images |= dict.fromkeys(_images_in(path, place.root))
        else:
            for where, name, image in _listed(path, files):
                if image is None:
                    unlisted.append((where, name))
                else:
                    images[image] = None
    labels = [label_of(image) for image in images]
    reader = YoloReader(place.source, list(images), labels, place.names, unlisted, place.keypoints)
    reader.notes += place.notes
    return reader


def label_of(image: str) -> str | None:
    """The label file of an image, in a folder `labels` in the place of `images`, or beside it; None: it has none.

    Raises:
        UserError: a folder does not let us look whether it has one.
    """
    stem = image.rpartition(".")[0]
    candidates = [stem + ".txt"]
    for folder in LABEL_FOLDERS:
        head, separator, tail = stem.rpartition(f"{os.sep}{folder}{os.sep}")
        if separator:
            candidates.insert(0, f"{head}{os.sep}labels{os.sep}{tail}.txt")
    for path in candidates:
        try:
            if S_ISREG(os.stat(path).st_mode):
                return path
        except PermissionError as error:
            raise cannot_read(os.path.dirname(path), error) from error
        except (OSError, ValueError):
            continue
    return None


def is_description(path: Path) -> bool:
    """Whether a YAML file is one of Ultralytics' descriptions of data."""
    try:
        with open(path, encoding="utf-8-sig", errors="replace") as file:
            text = file.read(1 << 20)
    except OSError:
        return False
    return all(form.search(text) for form in IS_DESCRIPTION)


def _file_of(root: Path) -> Path | None:
    """The file that describes the data at `root`, if there is one."""
    if os.path.isfile(root):
        candidates = [root]
    else:
        candidates = sorted(root.glob("*.y*ml"), key=lambda path: (path.stem != "data", path)) + sorted(
            root.glob("*.data")
        )
    for path in candidates:
        if path.suffix == ".data" or (path.suffix in YAML_SUFFIXES and is_description(path)):
            return path
    return None


def _described(root: Path) -> Description:
    path = _file_of(root)
    if path is None:
        return _folder(root)
    return _data_yaml(path) if path.suffix in YAML_SUFFIXES else _data_file(path)


# ---- Ultralytics ---------------------------------------------------------------------------------------------------


def _data_yaml(path: Path) -> Description:
    values = _read_yaml(path)
    root, notes = path.parent, []
    if values.get("path") not in (None, "", "."):
        named_root = path.parent / str(values["path"])
        if os.path.isdir(named_root):
            root = named_root
        else:
            notes.append(f"{path}: its path {printable(values['path'])} is not here; took {path.parent} instead")
    splits = {}
    for name in values.keys() & set(SPLITS):
        entries = values[name] if isinstance(values[name], list) else [values[name]]
        splits[name] = [str(entry) for entry in entries if entry not in (None, "")]
    shape = values.get("kpt_shape")
    is_shape = isinstance(shape, list) and len(shape) == 2 and all(type(n) is int and 0 < n < 1000 for n in shape)
    keypoints = shape[0] * shape[1] if isinstance(shape, list) and is_shape else 0
    order = [name for name in SPLITS if splits.get(name)]
    return Description(path, root, _names(path, values), {name: splits[name] for name in order}, keypoints, notes)


def _read_yaml(path: Path) -> dict[str, Any]:
    values = parse("\n".join(read_lines(path, MAX_BYTES)), lambda line: Origin(f"{path}:{line}", ""), "", {}, "names")
    if not isinstance(values, dict):
        raise UserError(f"{printable(path)}: expected 'key: value' lines")
    return values


def _names(path: Path, values: dict[str, Any]) -> list[str]:
    """The classes of a data.yaml: a list, or a mapping by number.  Raises UserError."""
    names = values.get("names")
    if isinstance(names, dict):
        numbers = [str(number) for number in range(len(names))]
        missing = next((number for number in numbers if number not in names), None)
        if missing is not None:
            raise UserError(f"{printable(path)}: names: {len(names)} classes, but none with the number {missing}")
        names = [names[number] for number in numbers]
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise UserError(f"{printable(path)}: names: must list the classes, or map 0, 1, ... to them")
    if "nc" in values and values["nc"] != len(names):
        raise UserError(f"{printable(path)}: nc is {printable(values['nc'])}, but names has {len(names)} classes")
    return names


# ---- Darknet -------------------------------------------------------------------------------------------------------


def _data_file(path: Path) -> Description:
    """A .data file's `train = list`, `valid = list`, `names = file`.  Raises UserError."""
    values = {}
    for number, line in enumerate(read_lines(path, MAX_LABEL_BYTES), 1):
        key, separator, value = line.partition("=")
        if separator:
            values[key.strip()] = value.strip()
        elif line.strip() and not line.strip().startswith("#"):
            raise UserError(f"{printable(path)}:{number}: is no 'key = value'")
    described = Description(path, path.parent, [], {})
    if "names" not in values:
        raise UserError(f"{printable(path)}: names no file of class names; add a line 'names = FILE'")
    described.names = read_names(_located(described, values["names"]))
    described.splits = {name: [values[name]] for name in ("train", "valid", "test") if values.get(name)}
    if values.get("classes") not in (None, str(len(described.names))):
        count = len(described.names)
        raise UserError(f"{printable(path)}: classes is {printable(values['classes'])}, but its names are {count}")
    return described


# ---- folders that nothing describes --------------------------------------------------------------------------------


def _names_file(root: Path) -> Path | None:
    """The file of class names of a folder with text files of boxes: in it or in its labels/ or images/."""
    for folder in (root, root / "labels", root / "images"):
        for name in NAMES_FILES:
            if os.path.isfile(folder / name) and _has_text(root):
                return folder / name
    return None


def _has_text(root: Path) -> bool:
    """Whether there is a text file with boxes in one of the usual folders."""
    for pattern in ("labels/*.txt", "labels/*/*.txt", "*/labels/*.txt", "*.txt", "images/*.txt"):
        if any(path.name not in (*NAMES_FILES, "train.txt", "val.txt", "test.txt") for path in root.glob(pattern)):
            return True
    return False


def _folder(root: Path) -> Description:
    path = _names_file(root)
    if path is None:
        raise UserError(f"{printable(root)}: nothing says the classes; looked for {LOOKED_FOR}")
    described = Description(path, root, read_names(path), {})
    for name in ("train", "val", "valid", "validation", "test"):
        for entry in (f"images/{name}", f"{name}/images", f"{name}.txt", name):
            if os.path.exists(root / entry):
                described.splits.setdefault(name, [entry])
    if not described.splits:
        described.splits = {"train": ["images" if os.path.isdir(root / "images") else "."]}
    return described


def _leave_out_absent_test(described: Description) -> None:
    """Take away a split `test` of which nothing is there, as Roboflow names one whether it exports one or not."""
    try:
        for entry in described.splits.get("test", []):
            _located(described, entry)
    except UserError:
        del described.splits["test"]
        described.notes.append(f"{printable(described.source)}: names a split test that is not there; left out")


# ---- entries -------------------------------------------------------------------------------------------------------


def _located(described: Description, entry: str) -> Path:
    """The folder or file that an entry names: the longest end of it that is there.  Raises UserError."""
    parts = [part for part in entry.replace("\\", "/").split("/") if part not in ("", ".")]
    if ".." in parts:
        parts = parts[len(parts) - parts[::-1].index("..") :]
    for folder in dict.fromkeys((described.root, described.source.parent)):
        for start in range(len(parts) or 1):
            path = folder.joinpath(*parts[start:])
            if os.path.exists(path) and not leads_out(path, folder):
                return path
    raise UserError(
        f"{printable(described.source)}: {printable(entry)} is not in {printable(described.root)}; name it as it lies "
        "there, or give the folder that holds all as 'path'"
    )


def _images_in(folder: Path, root: Path) -> Iterator[str]:
    """Paths of the images in a folder and those below it, by name.  Raises UserError for a link that leads out."""
    for entry in entries_of(folder):
        if entry.name.startswith("."):
            continue
        if entry.is_symlink() and leads_out(entry.path, root):
            raise UserError(f"{printable(entry.path)}: leads out of {root}; put the files themselves there")
        if entry.is_dir(follow_symlinks=False):
            yield from _images_in(Path(entry.path), root)
        elif Path(entry.name).suffix.lower() in IMAGE_SUFFIXES and os.path.isfile(entry):
            yield entry.path


def _listed(path: Path, files: ImageFiles) -> Iterator[tuple[str, str, str | None]]:
    """(file and line, name, path or None) of each image that a list names."""
    lines: Sequence[str] = read_lines(path)
    beside, folder = path.parent.resolve(), files.folder.resolve()
    within = beside.relative_to(folder).as_posix() if beside.is_relative_to(folder) else "."
    for number, line in enumerate(lines, 1):
        name = line.strip().removeprefix("./")
        if not name:
            continue
        image = None
        for candidate in (name,) if within == "." else (f"{within}/{name}", name):
            image = image or files.find(candidate)
            image = image if image and os.path.isfile(image) else None
        yield f"{path}:{number}", name, image and str(image)
