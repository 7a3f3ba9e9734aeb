"""Darknet's .cfg: text -> `[net]` and the layers' sections, every option typed, checked and with its line.

As in Darknet, blanks count nowhere, a line that begins with # or ; is a comment, and of an option given twice the first
counts (OpenCV takes the last). Stricter than Darknet: what it would skip or take for a default (an unknown section or
option, text where a number belongs) is refused.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from os import PathLike
from typing import Any, NamedTuple

from detect.darknet.options import ALIASES, LAYERS, OTHER_SECTIONS, Option, options_of
from detect.errors import UserError, nearest
from detect.files import printable, read_bounded

MAX_BYTES = 4 << 20
MAX_LAYERS = 1000  # the longest published nets have 350; a thousand take half a second to build


@dataclass(frozen=True)
class Section:
    """One section: `section["filters"]` is the option's value, or Darknet's default."""

    type: str  # the long name, without brackets
    line: int
    source: str  # name of the file
    values: dict[str, Any]
    lines: dict[str, int] = field(default_factory=dict)  # line of each option that the file gives

    def __getitem__(self, option: str) -> Any:
        return self.values[option]

    def error(self, sentence: str, option: str | None = None) -> UserError:
        """The `UserError` at this section, or at the line of one of its options."""
        line = self.line if option is None else self.lines.get(option, self.line)
        return UserError(f"{self.source}:{line}: [{self.type}] {sentence}")


@dataclass(frozen=True)
class Cfg:
    """A parsed .cfg: layer i of Darknet is `layers[i]`. `notes` are sentences for the user."""

    text: str
    source: str
    net: Section
    layers: tuple[Section, ...]
    notes: tuple[str, ...]


def read(path: str | PathLike[str]) -> Cfg:
    """The `Cfg` in a file.  Raises UserError with file and line."""
    return parse(read_text(path), printable(path))


def read_text(path: str | PathLike[str]) -> str:
    """The text of a .cfg file.  Raises UserError."""
    return read_bounded(path, MAX_BYTES, "is this a .cfg?").decode("utf-8-sig", errors="replace")


def parse(text: str, source: str = "cfg") -> Cfg:
    """The `Cfg` of a text; `source` names it in errors.  Raises UserError."""
    written = _split(text, source)
    if not written or written[0].type != "net":
        raise UserError(f"{source}:{written[0].line if written else 1}: the first section must be [net]")
    if len(written) == 1:
        raise UserError(f"{source}:{written[0].line}: there is no layer after [net]")
    if len(written) > MAX_LAYERS + 1:
        raise UserError(f"{source}:{written[MAX_LAYERS + 1].line}: there are more than {MAX_LAYERS} layers")
    notes: list[str] = []
    sections = [_typed(section, source, notes) for section in written]
    return Cfg(text, source, sections[0], tuple(sections[1:]), tuple(notes))


class _Written(NamedTuple):
    """A section as it is written."""

    type: str
    line: int
    options: list[tuple[str, str, int]]  # (option, text, line)


def _split(text: str, source: str) -> list[_Written]:
    """The sections of a .cfg, in order.  Raises UserError."""
    written: list[_Written] = []
    for number, line in enumerate(text.split("\n"), start=1):
        line, where = re.sub(r"\s+", "", re.split(r"[#;]", line, maxsplit=1)[0]), f"{source}:{number}"
        if line.startswith("["):
            known = LAYERS if written else ("net",)
            written.append(_Written(_section_type(line, known, where), number, []))
        elif line:
            option, equals, value = line.partition("=")
            if not written:
                raise UserError(f"{where}: '{_short(line)}' stands before the first section; begin with [net]")
            if not equals or not option or not value:
                raise UserError(f"{where}: '{_short(line)}' is no option; write option=value")
            written[-1].options.append((option, value, number))
    return written


def _section_type(line: str, known: Collection[str], where: str) -> str:
    """The long name of the section that `line` opens, one of `known`.  Raises UserError."""
    section_type = line[1:-1]
    section_type = ALIASES.get(section_type, section_type)
    if not line.endswith("]") or section_type not in known:
        hint = "" if section_type in OTHER_SECTIONS else nearest(section_type, known)
        raise UserError(f"{where}: section '{_short(line)}' is not supported here{hint}")
    return section_type


def _typed(written: _Written, source: str, notes: list[str]) -> Section:
    """The `Section` of a written one; sentences for the user join `notes`."""
    known = options_of(written.type)
    values, lines = {name: option.default for name, option in known.items()}, {}
    for name, text, number in written.options:
        where = f"{source}:{number}"
        if name not in known:
            raise UserError(f"{where}: [{written.type}] has no option '{_short(name)}'{nearest(name[:50], known)}")
        value = _value(known[name], text)
        if value is None:
            expected = known[name].expected
            raise UserError(f"{where}: [{written.type}] {name}={_short(text)} must be {expected}")
        if name in lines:
            if value != values[name]:
                notes.append(f"{where}: {name} is given twice in [{written.type}]; Darknet takes the first")
            continue
        values[name], lines[name] = value, number
    if "anchors" in lines and len(values["anchors"]) > 2 * values["num"]:
        where, count = f"{source}:{lines['anchors']}", values["num"]
        notes.append(f"{where}: num={count}, so of {len(values['anchors']) // 2} anchors the first {count} are taken")
        values["anchors"] = values["anchors"][: 2 * count]
    return Section(written.type, written.line, source, values, lines)


def _value(option: Option, text: str) -> Any:
    """What `text` says, or None where it is not what the option may be."""
    try:
        value = option.read(text)
    except ValueError:
        return None
    return value if option.allowed(value) else None


def _short(text: str) -> str:
    text = printable(text)
    return text if len(text) <= 40 else text[:37] + "..."
