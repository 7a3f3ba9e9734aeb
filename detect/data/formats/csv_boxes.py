"""A CSV with a row a box, in a folder with the images: columns are known by their names."""

import csv
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from detect.data.formats.image_files import ImageFiles
from detect.data.formats.reader import MAX_NUMBER, Fault, short
from detect.data.formats.splits import SPELLINGS, named
from detect.data.formats.text_reader import TextReader, parse_number, parse_size, read_lines, sizes_of
from detect.errors import UserError
from detect.files import printable

if TYPE_CHECKING:
    from detect.config.schema import SetSettings

NAMES = {
    "file": ("filename", "file_name", "image", "image_name", "image_path", "image_id", "img", "path", "file"),
    "class": ("class", "label", "class_name", "label_name", "category", "name"),
    "left": ("xmin", "x_min", "x1", "left"),
    "top": ("ymin", "y_min", "y1", "top"),
    "right": ("xmax", "x_max", "x2", "right"),
    "bottom": ("ymax", "y_max", "y2", "bottom"),
    "x": ("x", "bbox_x", "xmin", "x_min", "left"),
    "y": ("y", "bbox_y", "ymin", "y_min", "top"),
    "w": ("w", "bbox_width", "bbox_w", "box_width", "width"),
    "h": ("h", "bbox_height", "bbox_h", "box_height", "height"),
    "width": ("image_width", "img_width", "width"),
    "height": ("image_height", "img_height", "height"),
}
EDGES, SIDES = ("left", "top", "right", "bottom"), ("x", "y", "w", "h")
ACCEPTED = "filename, class, and xmin, ymin, xmax, ymax or x, y, w, h in px (width, height: of the image)"
LOOKED_FOR = "a CSV, or one in each of train/, valid/, test/, with the names of its columns first"
ONLY_CLASS = "object"  # where no column tells classes apart


@dataclass
class CsvSplit:
    """A split's CSV, the folder of its images, and the CSVs of all splits, which give the classes."""

    path: Path
    images: Path
    all_paths: Sequence[Path]


def found(root: Path) -> bool:
    """Whether the file or folder `root` looks like data in this format."""
    return root.suffix == ".csv" if os.path.isfile(root) else bool(_files(root))


def places(data: "SetSettings") -> dict[str, CsvSplit]:
    """The CSV of each split."""
    root = Path(data.root)
    files = {"train": root} if os.path.isfile(root) else _files(root)
    paths = list(files.values())
    return named({name: CsvSplit(path, _images_of(path, name), paths) for name, path in files.items()})


def open_place(data: "SetSettings", place: CsvSplit) -> "CsvReader":
    """The reader of a split."""
    return CsvReader(place.path, place.images, place.all_paths)


def _files(root: Path) -> dict[str, Path]:
    files = {path.parent.name: path for path in sorted(root.glob("*/_annotations.csv"))}
    if files:
        return files
    paths = sorted(root.glob("*.csv"))
    if len(paths) == 1:
        return {"train": paths[0]}
    for path in paths:  # train.csv, train_labels.csv, ...
        name = path.stem.lower().split("_")[0]
        if name in ("train", "val", "test", *SPELLINGS):
            files.setdefault(name, path)
    return files


def _images_of(path: Path, name: str) -> Path:
    candidates = (path.parent / "images" / name, path.parent / "images", path.parent / name, path.parent)
    return path.parent if path.name == "_annotations.csv" else next(f for f in candidates if os.path.isdir(f))


class CsvReader(TextReader):
    """The rows of a CSV as a `Reader`; an image without a row is not in the set, a row without numbers is no box.

    Category ids count from 1 on, classes in alphabetical order; without a column for it, all boxes are of one class.

    Args:
        path: the CSV.
        folder: of the images, which no name may leave.
        all_paths: CSVs of all splits, which give the classes.
    """

    def __init__(self, path: Path, folder: Path, all_paths: Sequence[Path] = ()) -> None:
        super().__init__(path)
        self._images_folder, self._all_paths = ImageFiles(folder, by_end=True), all_paths or [path]

    def _read(self) -> Iterator[Fault]:
        try:
            columns, rows = read_table(self.source)
        except UserError as error:
            where, _, sentence = str(error).partition(": ")
            yield Fault("csv.form", where, sentence)
            return
        names: set[str] = set()
        for path in self._all_paths:
            try:
                names |= _classes(*((columns, rows) if path == self.source else read_table(path)))
            except UserError:
                continue  # said where it is opened
        yield from self.name_classes(sorted(names), 1, str(self.source))
        places: dict[str, int | None] = yield from self._read_images(columns, rows)
        file = self.add_file(self.source)
        labels = {category["name"]: label for label, category in enumerate(self.categories)}
        for line, row in rows:
            place = places.get(row[columns["file"]].strip())
            if place is not None:
                fault_id, sentence = self._read_row(file, line, place, columns, row, labels)
                if sentence:
                    yield Fault(fault_id, f"{self.source}:{line}", sentence)
        self.seal()
        self.notes += self._images_folder.notes(self.source)
        if "class" not in columns:
            self.notes.append(f"{self.source}: has no column of classes, so that all boxes are '{ONLY_CLASS}'")

    def _read_images(self, columns: dict[str, int], rows: "Rows"):  # type: ignore[no-untyped-def]
        """Fill `images`, yielding faults; returns {name: place, None where it has a fault}."""
        first: dict[str, tuple[int, list[str]]] = {}
        for line, row in rows:
            first.setdefault(row[columns["file"]].strip(), (line, row))
        found_paths = {name: self._images_folder.find(name) or self._with_suffix(name) for name in first}
        written = {name: _size(columns, row) for name, (_, row) in first.items()}
        unknown = [name for name in first if written[name] is None and found_paths[name]]
        measured = dict(zip(unknown, sizes_of([str(found_paths[name]) for name in unknown]), strict=True))
        places: dict[str, int | None] = {}
        for name, (line, _) in first.items():
            path, size = found_paths[name], written[name] or measured.get(name)
            if path is None:
                folder = printable(self._images_folder.folder)
                sentence = f"{short(name)} does not name a file within {folder}{self._images_folder.hint(name)}"
                yield Fault("image.file_name", f"{self.source}:{line}", sentence)
            elif not isinstance(size, tuple):
                yield Fault("image.size", str(path), str(size))
            else:
                places[name] = len(self.images)
                self.images.append(len(self.images) + 1, path, *size)
        return places

    def _with_suffix(self, name: str) -> Path | None:
        """The image of an id without a suffix."""
        return next((p for s in (".jpg", ".png", ".jpeg") if (p := self._images_folder.find(name + s))), None)

    def _read_row(
        self, file: int, line: int, place: int, columns: dict[str, int], row: list[str], labels: dict[str, int]
    ) -> tuple[str, str]:
        """Add a row's box, or return the id and sentence of what is wrong with it."""
        keys = EDGES if "right" in columns else SIDES
        texts = [row[columns[key]].strip() for key in keys]
        if not any(texts):
            return "", ""
        values = [parse_number(text) for text in texts]
        box = [value for value in values if value is not None and abs(value) < MAX_NUMBER]
        if len(box) < 4:
            return "box.bbox", f"has the box {short(texts)}; it must be four numbers in px"
        name = row[columns["class"]].strip() if "class" in columns else ONLY_CLASS
        if name not in labels:
            return "box.category_id", "has no class; write one"
        if keys == EDGES:
            box = [box[0], box[1], box[2] - box[0], box[3] - box[1]]
        self.add_box(file, line, place, labels[name], box)
        return "", ""


Rows = list[tuple[int, list[str]]]  # line and cells


def read_table(path: Path) -> tuple[dict[str, int], Rows]:
    """({what a column is: its number}, rows with as many cells each) of a CSV.

    Raises:
        UserError: it cannot be read, has no row of names or not those it needs, or rows of another length.
    """
    lines = read_lines(path)
    delimiter = max(",;\t", key=lines[0].count)
    rows: Rows = []
    reader = csv.reader(lines, delimiter=delimiter)
    try:
        for cells in reader:
            if cells:
                rows.append((reader.line_num, cells))
    except csv.Error as error:
        raise UserError(f"{printable(path)}:{reader.line_num}: is no CSV ({error})") from None
    if not rows:
        raise UserError(f"{printable(path)}: is empty; its first row names the columns: {ACCEPTED}")
    (_, header), *rows = rows
    columns = columns_of(header)
    if columns is None:
        shown = short(delimiter.join(header))
        raise UserError(f"{printable(path)}:1: {shown} does not name the columns; needed are {ACCEPTED}")
    for line, cells in rows:
        if len(cells) != len(header):
            sentence = f"has {len(cells)} cells, but the first row names {len(header)} columns"
            raise UserError(f"{printable(path)}:{line}: {sentence}")
    return columns, rows


def columns_of(header: Sequence[str]) -> dict[str, int] | None:
    """{what a column is: its number} by the names of a first row; None: they do not say enough."""
    names = [name.strip().lower().replace(" ", "_") for name in header]
    found_columns = {}
    for key, known in NAMES.items():
        matching = [names.index(name) for name in known if name in names]
        if matching:
            found_columns[key] = matching[0]
    keys = EDGES if found_columns.keys() >= set(EDGES) else SIDES
    if "file" not in found_columns or not found_columns.keys() >= set(keys):
        return None
    wanted = ["file", "class", *keys, "width", "height"]
    columns = {key: found_columns[key] for key in wanted if key in found_columns}
    if keys == SIDES:  # of which `width` and `height` may be the box's
        for key, own in (("width", "w"), ("height", "h")):
            if columns.get(key) == columns[own]:
                del columns[key]
    return columns


def _classes(columns: dict[str, int], rows: Rows) -> set[str]:
    if "class" not in columns:
        return {ONLY_CLASS}
    return {name for _, row in rows if (name := row[columns["class"]].strip())}


def _size(columns: dict[str, int], row: Sequence[str]) -> tuple[int, int] | None:
    """The image's size that a row gives, if it gives one."""
    if not columns.keys() >= {"width", "height"}:
        return None
    return parse_size([row[columns[key]] for key in ("width", "height")])
