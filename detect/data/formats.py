"""The formats of annotations that are read in place: one door to a split of a data set, whatever its format."""

from types import ModuleType
from typing import TYPE_CHECKING

from detect.data import coco
from detect.data.reader import Reader

if TYPE_CHECKING:
    from detect.config.schema import DataSettings

# by the names of data.format; each has `has_split(data, split)` and `open_split(data, split)`
FORMATS: dict[str, ModuleType] = {"coco": coco}


def format_of(data: "DataSettings") -> ModuleType:
    """The module of the format that the data are in."""
    return FORMATS["coco"]


def has_split(data: "DataSettings", split: str) -> bool:
    """Whether the data that `DataSettings` describe have that split."""
    return bool(format_of(data).has_split(data, split))


def open_split(data: "DataSettings", split: str) -> Reader:
    """The reader of a split of the data that `DataSettings` describe.

    Raises:
        UserError: there is no such split, or a file cannot be read.
    """
    reader: Reader = format_of(data).open_split(data, split)
    return reader
