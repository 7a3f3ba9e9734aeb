"""How the functions of this folder tell what they do: line by line, to whoever called them."""

from collections.abc import Callable
from typing import Any

Say = Callable[[str], Any]


def quiet(line: str) -> None:
    """Say nothing: what `log` is unless a caller gives another function, `print` for example."""
