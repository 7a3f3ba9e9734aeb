"""What the formats of text share: a reader that knows the file and line of every box, and sizes from the images."""

import math
import os
from array import array
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from detect.data.formats.reader import MAX_SIDE, Annotations, Fault, Reader
from detect.data.records import Paths
from detect.errors import UserError
from detect.files import printable, read_bounded
from detect.ops.image_header import read_header

MAX_BYTES = 256 << 20  # of a list or CSV; the files of single images are smaller
MAX_LABEL_BYTES = 16 << 20
READERS = 8  # threads; mostly they wait for the disk
CHUNK = 4096  # images whose headers are read before the next are asked for


def read_lines(path: str | os.PathLike[str], limit: int = MAX_BYTES) -> list[str]:
    """Lines of a UTF-8 text without their ends, whatever system wrote it.

    Raises:
        UserError: it cannot be read, is larger than `limit` bytes, or is no text.
    """
    content = read_bounded(path, limit, "this is no file of annotations")
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    except UnicodeDecodeError:
        raise UserError(f"{printable(path)}: is no UTF-8 text; save it as UTF-8") from None


def read_names(path: Path) -> list[str]:
    """The classes of a file with one name a line; empty lines are none.  Raises UserError."""
    return [name for line in read_lines(path, MAX_LABEL_BYTES) if (name := line.strip())]


class TextReader(Reader):
    """A `Reader` of text: subclasses call `add_image` and `add_box` while they read, and `seal` at the end."""

    def __init__(self, source: Path) -> None:
        super().__init__(source)
        self.files = Paths()  # of annotations
        self._columns = [array(code) for code in "iiiiddbd"]  # file, line, place, label, box, area, crowd, score

    def message(self, fault: Fault) -> str:
        return f"{fault.where}: {fault.sentence}"

    def where(self, row: int) -> str:
        return f"{self.files[self._columns[0][row]]}:{self._columns[1][row]}"

    def told(self, row: int) -> str:
        return "the box"

    def add_file(self, path: str | os.PathLike[str]) -> int:
        """The number of a file of annotations that boxes are going to be of."""
        self.files.append(path)
        return len(self.files) - 1

    def add_box(
        self, file: int, line: int, place: int, label: int, box: Sequence[float], crowd: bool = False,
        score: float = math.nan,
    ) -> None:  # fmt: skip
        """Add a box xywh in px of the image at `place`."""
        values = (file, line, place, label, None, box[2] * box[3], crowd, score)
        for column, value in zip(self._columns, values, strict=True):
            if value is not None:
                column.append(value)
        self._columns[4].extend(box)

    def seal(self) -> None:
        """Make `annotations` of the boxes that were added."""
        _, _, places, labels, boxes, areas, crowds, scores = map(np.asarray, self._columns)
        self.annotations = Annotations(
            places.astype(np.int32), labels.astype(np.int32), boxes.reshape(-1, 4), areas, crowds.astype(bool), scores
        )

    def name_classes(self, names: Sequence[str], first_id: int, where: str) -> Iterator[Fault]:
        """Fill `categories`, yielding what is wrong with the names."""
        self.categories = [{"id": number, "name": name} for number, name in enumerate(names, first_id)]
        if not names:
            yield Fault("categories.empty", where, "names no classes")
        seen: set[str] = set()
        for name in names:
            if name in seen:
                yield Fault("category.name_twice", where, f"names the class '{name}' twice; join or rename them")
            seen.add(name)


def sizes_of(paths: Sequence[str]) -> Iterator[tuple[int, int] | str]:
    """(width, height) of each upright image by its header, or a sentence, without its name, on what is wrong."""
    with ThreadPoolExecutor(READERS) as readers:
        for start in range(0, len(paths), CHUNK):
            yield from readers.map(_size_of, paths[start : start + CHUNK])


def _size_of(path: str) -> tuple[int, int] | str:
    if not os.path.isfile(path):
        return "is not there"
    try:
        header = read_header(path)
    except UserError as error:
        return str(error).removeprefix(f"{printable(path)}: ")
    if max(header.width, header.height) >= MAX_SIDE:
        return f"has the size {header.width} x {header.height}"
    return header.width, header.height


def parse_number(text: str) -> float | None:
    """A finite number, or None."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def parse_size(texts: Sequence[str]) -> tuple[int, int] | None:
    """Width and height in px of two texts, or None where they are no size of an image."""
    values = [parse_number(text) for text in texts]
    sides = [int(value) for value in values if value is not None and value == int(value) and 0 < value < MAX_SIDE]
    return (sides[0], sides[1]) if len(sides) == 2 else None
