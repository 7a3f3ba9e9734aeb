"""The AP that a model's card gives: the head of a configuration, or the zoo's line of released weights."""

import itertools
import re
from pathlib import Path
from typing import NamedTuple

from detect.analysis.contenders import Contender
from detect.inference.engines import is_exported
from detect.weights import zoo


class CardAP(NamedTuple):
    """AP, of 100, and the data that it is on."""

    value: float
    on: str


def ap_of(of: Contender) -> CardAP | None:
    """Of a configuration, weights by name, their file, or a file exported under their name; None where none is given.

    A configuration gives what its authors published of a trained network. At another size it is another.
    """
    path = Path(of.path)
    if is_exported(path):
        return _read(_of_zoo().get(path.stem, ""))
    if of.size or of.overrides:
        return None
    if of.is_config:
        return _read(_head(path))
    if not path.exists():
        return _read(_of_zoo().get(of.path, ""))
    return next((_read(entry.ap) for entry in zoo.RELEASED if entry.path.resolve() == path.resolve()), None)


def _of_zoo() -> dict[str, str]:
    return {entry.name: entry.ap for entry in (*zoo.RELEASED, *zoo.CLASSICS)}


def _head(path: Path) -> str:
    """The comment at the top of a configuration, in one line."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return " ".join(line.strip("# ") for line in itertools.takewhile(lambda line: line.startswith("#"), lines))


def _read(text: str) -> CardAP | None:
    """The first "AP 0.203, AP50 0.379 on coco3k val" or "AP 26.8, AP50 49.0 on COCO test-dev" in a text."""
    match = re.search(r"\bAP (\d+\.\d+)(?:, AP\d\d [\d.]+)*(?: on ([\w-]+ [\w-]+)| on ([\w-]+))?", text)
    if not match:
        return None
    value = float(match[1])
    return CardAP(round(value * 100 if value < 1 else value, 2), match[2] or match[3] or "")
