"""Darknet's .cfg: text -> `[net]` and the layers' sections, every option typed, checked and with its line.

As in Darknet, blanks count nowhere, a line that begins with # or ; is a comment, and of an option given twice the first
counts (OpenCV takes the last). Stricter than Darknet: what it would skip or take for a default (an unknown section or
option, text where a number belongs) is refused.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

from detect.darknet.options import ALIASES, LAYERS, MAX_LIST, NET
from detect.errors import UserError, nearest
from detect.files import cannot_read, printable

MAX_BYTES = 4 << 20
MAX_LAYERS = MAX_LIST


@dataclass(frozen=True)
class Section:
    """One section: `section["filters"]` is the option's value, or Darknet's default."""

    type: str  # the long name, without brackets
    line: int
    source: str  # name of the file
    values: dict
    lines: dict = field(default_factory=dict)  # line of each option that the file gives

    def __getitem__(self, option):
        return self.values[option]

    def error(self, sentence, option=None):
        """The `UserError` at this section, or at the line of one of its options."""
        return UserError(f"{self.source}:{self.lines.get(option, self.line)}: [{self.type}] {sentence}")


@dataclass(frozen=True)
class Cfg:
    """A parsed .cfg: layer i of Darknet is `layers[i]`. `notes` are sentences for the user."""

    source: str
    net: Section
    layers: tuple
    notes: tuple


def read(path):
    """The `Cfg` in a file.  Raises UserError with file and line."""
    return parse(read_text(path), printable(path))


def read_text(path):
    """The text of a .cfg file.  Raises UserError."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise cannot_read(path, error) from error
    if len(data) > MAX_BYTES:
        raise UserError(f"{printable(path)}: larger than {MAX_BYTES >> 20} MiB; is this a .cfg?")
    return data.decode("utf-8-sig", errors="replace")


def parse(text, source="cfg"):
    """The `Cfg` of a text; `source` names it in errors.  Raises UserError."""
    found = _split(text, source)
    if not found or found[0][0] != "net":
        raise UserError(f"{source}:{found[0][1] if found else 1}: the first section must be [net]")
    if len(found) == 1:
        raise UserError(f"{source}:{found[0][1]}: there is no layer after [net]")
    if len(found) > MAX_LAYERS + 1:
        raise UserError(f"{source}:{found[MAX_LAYERS + 1][1]}: there are more than {MAX_LAYERS} layers")
    training, notes = set(), []
    sections = [_typed(*section, source, training, notes) for section in found]
    if training:
        notes.append(f"{source}: only for training: {', '.join(sorted(training))}")
    return Cfg(source, sections[0], tuple(sections[1:]), tuple(notes))


def _split(text, source):
    """[(section type, line, [(option, text, line)])] of every section."""
    found = []
    for number, line in enumerate(text.split("\n"), start=1):
        line = re.sub(r"\s+", "", re.split(r"[#;]", line, maxsplit=1)[0])
        if not line:
            continue
        where = f"{source}:{number}"
        if line.startswith("["):
            section_type = line[1:-1]
            section_type = ALIASES.get(section_type, section_type)
            known = LAYERS if found else ("net",)
            if not line.endswith("]") or section_type not in known:
                raise UserError(
                    f"{where}: section '{_short(line)}' is not supported here{nearest(section_type, known)}"
                )
            found.append((section_type, number, []))
            continue
        option, equals, value = line.partition("=")
        if not found:
            raise UserError(f"{where}: '{_short(line)}' stands before the first section; begin with [net]")
        if not equals or not option or not value:
            raise UserError(f"{where}: '{_short(line)}' is no option; write option=value")
        found[-1][2].append((option, value, number))
    return found


def _typed(section_type, line, options, source, training, notes):
    known = NET if section_type == "net" else LAYERS[section_type]
    values, lines = {name: option.default for name, option in known.items()}, {}
    for name, text, number in options:
        if name not in known:
            raise UserError(
                f"{source}:{number}: [{section_type}] has no option '{_short(name)}'{nearest(name[:50], known)}"
            )
        option = known[name]
        try:
            value = option.read(text)
        except ValueError:
            value = None
        if value is None or not option.allowed(value):
            raise UserError(f"{source}:{number}: [{section_type}] {name}={_short(text)} must be {option.expected}")
        if name in lines:
            if value != values[name]:
                notes.append(f"{source}:{number}: {name} is given twice in [{section_type}]; Darknet takes the first")
            continue
        values[name], lines[name] = value, number
        if option.training:
            training.add(f"[{section_type}] {name}")
    return Section(section_type, line, source, values, lines)


def _short(text):
    text = printable(text)
    return text if len(text) <= 40 else text[:37] + "..."
