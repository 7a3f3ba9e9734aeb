"""A table of numbers by class, in plain text."""

from collections.abc import Iterable, Sequence

from detect.files import printable

LONGEST = 40  # letters of a name


def class_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """One line a class below the heads: its name at the left, its numbers at the right of their columns.

    Args:
        rows: name and numbers of each class, as text; a name may come from a stranger's file.
    """
    lines = [heads, *((_short(printable(name)), *numbers) for name, *numbers in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join([name.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True))])
        for name, *cells in lines
    )


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else name[: LONGEST - 3] + "..."
