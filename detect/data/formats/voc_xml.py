"""One XML file of Pascal VOC, read without entities or document types, each object with its line."""

import re
import xml.parsers.expat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from detect.errors import UserError
from detect.files import printable, read_bounded

MAX_BYTES = 16 << 20
MAX_DEPTH = 30  # of elements within each other
MAX_TEXT = 4096  # characters of one value
SIDES = ("xmin", "ymin", "xmax", "ymax")
PASCALS_OWN = re.compile(r"VOC\s?20\d\d")
# what is read, by the elements it lies in; all else (a person's parts, polygons, attributes) is passed over
FIELDS = {
    "annotation/filename", "annotation/size/width", "annotation/size/height",
    "annotation/source/database", "annotation/source/annotation",
    "annotation/object/name", "annotation/object/difficult", *(f"annotation/object/bndbox/{side}" for side in SIDES),
}  # fmt: skip


@dataclass
class VocObject:
    """An `object` as it is written: the texts of its fields by name, and its line."""

    line: int
    fields: dict[str, str] = field(default_factory=dict)


@dataclass
class VocFile:
    """What an XML file says, as it is written.

    is_one_based: its numbers are px counted from 1, as in Pascal's own files; else they are edges, as tools write them.
    """

    filename: str = ""
    size: tuple[str, str] = ("", "")
    is_one_based: bool = False
    objects: list[VocObject] = field(default_factory=list)


def read_voc(path: Path) -> VocFile:
    """Read one file.

    Raises:
        UserError: it cannot be read, is no XML or no `annotation`, or has a document type or what only an attack has.
    """
    content = read_bounded(path, MAX_BYTES, "this is no annotation of one image")
    collector = _Collector(path)
    try:
        collector.parser.Parse(content, True)
    except xml.parsers.expat.ExpatError as error:
        problem = xml.parsers.expat.ErrorString(error.code)
        raise UserError(f"{printable(path)}:{error.lineno}: is no XML ({problem}); was the file cut off?") from None
    except (LookupError, ValueError):  # an encoding that is none
        raise UserError(f"{printable(path)}:1: is in an encoding that is not known; save it as UTF-8") from None
    return collector.file


class _Collector:
    """Fills a `VocFile` from the parser's events."""

    def __init__(self, path: Path) -> None:
        self.path, self.file = path, VocFile()
        self._open: list[str] = []
        self._text: list[str] | None = None
        self._values: dict[str, str] = {}
        self.parser = xml.parsers.expat.ParserCreate()
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._characters
        self.parser.StartDoctypeDeclHandler = self._refuse

    def _refuse(self, *_: Any) -> None:
        raise UserError(f"{self._where()}: has a document type (DTD), which is not read; remove it")

    def _where(self) -> str:
        return f"{printable(self.path)}:{self.parser.CurrentLineNumber}"

    def _start(self, name: str, _: Any) -> None:
        if not self._open and name != "annotation":
            raise UserError(f"{self._where()}: is <{printable(name[:40])}>, no <annotation> of Pascal VOC")
        if len(self._open) >= MAX_DEPTH:
            raise UserError(f"{self._where()}: has more than {MAX_DEPTH} elements within each other")
        self._open.append(name)
        if self._path() == "annotation/object":
            self.file.objects.append(VocObject(self.parser.CurrentLineNumber))
        self._text = [] if self._path() in FIELDS else None

    def _characters(self, text: str) -> None:
        if self._text is not None and sum(map(len, self._text)) < MAX_TEXT:
            self._text.append(text)

    def _end(self, name: str) -> None:
        path = self._path()
        self._open.pop()
        if self._text is None:
            return
        text, self._text = "".join(self._text).strip()[:MAX_TEXT], None
        if path.startswith("annotation/object/"):
            self.file.objects[-1].fields.setdefault(name, text)
        elif name == "filename":
            self.file.filename = text
        elif name in ("width", "height"):
            self._values[name] = text
            self.file.size = (self._values.get("width", ""), self._values.get("height", ""))
        else:
            self.file.is_one_based |= bool(PASCALS_OWN.search(text))

    def _path(self) -> str:
        return "/".join(self._open)
