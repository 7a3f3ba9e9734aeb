"""The formats of an export by name: each is a file of this folder that registers itself, and nothing else names it."""

import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from detect.errors import UserError, nearest
from detect.weights.files import Weights

Say = Callable[[str], Any]


@dataclass(frozen=True)
class Request:
    """How a file is to be written; each format takes some of it, see `Format.options`."""

    half: bool = False  # floats in 16 bits
    size: int | None = None  # side of the input, px; None: what the weights were trained for
    batch: int | None = 1  # images at once; None: any number
    data: Any = None  # path of images: to calibrate with, and to compare on
    check: int = 0  # labelled images of `data` to give AP before and after on
    log: Say = field(default=lambda line: None)


@dataclass(frozen=True)
class Format:
    """One that models can be written in."""

    name: str
    suffix: str  # of the file
    options: frozenset[str]  # of `Request`, that it takes
    write: Callable[[Path, Weights, Request], list[Path]]  # returns the files written, the main one first


_FORMATS: dict[str, Format] = {}


def export_format(name: str, suffix: str, options: tuple[str, ...] = ()) -> Callable[[Any], Any]:
    """Decorator: the function writes weights to a path, by a `Request`, and returns the files, the main one first."""

    def register(write: Callable[[Path, Weights, Request], list[Path]]) -> Any:
        _FORMATS[name] = Format(name, suffix, frozenset(options), write)
        return write

    return register


def formats() -> dict[str, Format]:
    """All formats by name."""
    import detect.exporters

    for module in pkgutil.iter_modules(detect.exporters.__path__):
        import_module(f"detect.exporters.{module.name}")
    return dict(sorted(_FORMATS.items()))


def format_of(name: str | None, path: Path) -> Format:
    """The format of that name; without one, that of the path's suffix.  Raises UserError."""
    known = formats()
    if name is not None and name not in known:
        raise UserError(f"'{name}' is no format of an export{nearest(name, known)}", argument="format")
    by_suffix = {of.suffix: of for of in sorted(known.values(), key=lambda of: -len(of.name))}
    chosen = known[name] if name is not None else by_suffix.get(path.suffix)
    if chosen is None:
        raise UserError(f"{path}: must end in the suffix of a format: {', '.join(by_suffix)}", argument="out")
    if path.suffix != chosen.suffix:
        raise UserError(f"{path}: must end in {chosen.suffix} for the format {chosen.name}", argument="out")
    return chosen
