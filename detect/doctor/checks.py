"""What a check of a data set is, what it finds, and the register of all checks under their dotted ids."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from detect.data.formats.text_reader import TextReader
from detect.doctor.description import DataSet, Split
from detect.files import printable

SEVERITIES = ("error", "warning", "note")
SHOWN = 3  # examples of a finding

Thing = TypeVar("Thing")  # that a check finds: a row or place, a pair of them, a class


@dataclass(frozen=True)
class Example:
    """One of the things that a finding counts.

    file: of the annotations or the image;  where: the record or line in it, or nothing;  text: what is there;
    image: the image's file, where there is one to show;  boxes: xyxy in px of that image;  names: of their classes;
    beside: another image to compare it with.
    """

    file: Path | str
    where: str
    text: str
    image: Path | None = None
    boxes: Sequence[Sequence[float]] = ()
    names: Sequence[str] = ()
    beside: Path | None = None

    def __post_init__(self) -> None:
        for name in ("where", "text"):  # they tell what a stranger wrote
            object.__setattr__(self, name, printable(getattr(self, name)))

    @property
    def place(self) -> str:
        """File and record in a few words, as editors understand them where it is a line."""
        if not self.where:
            return printable(self.file)
        return printable(self.file) + (f":{self.where}" if self.where.isdigit() else f" {self.where}")


@dataclass(frozen=True)
class Found:
    """What a check found in one split: how often, and the first `SHOWN` of them at least."""

    count: int
    examples: Sequence[Example]

    @classmethod
    def of(cls, things: Sequence[Thing], example: Callable[[Thing], Example]) -> "Found":
        """Of all that was found; `example` is asked for the first of it."""
        return cls(len(things), [example(one) for one in things[:SHOWN]])


@dataclass(frozen=True)
class Finding:
    """What is wrong with a set, how often, where, and what to do about it; see `Check`."""

    id: str
    severity: str
    says: str
    advice: str
    count: int
    examples: Sequence[Example] = field(default=())


@dataclass(frozen=True)
class Check:
    """One question to a data set.

    id: dotted name;  severity: error (a training on it is useless), warning (probably a mistake) or note;  says: what
    is counted, in the plural;  advice: what to do;  find: the question;  is_thorough: it decodes images.
    """

    id: str
    severity: str
    says: str
    advice: str
    find: Callable[[DataSet], Iterator[Found]]
    is_thorough: bool = False

    def run(self, data: DataSet) -> Finding | None:
        """What it finds in all splits together; None where that is nothing."""
        found = [one for one in self.find(data) if one.count]
        if not found:
            return None
        examples = [example for one in found for example in one.examples][:SHOWN]
        return Finding(self.id, self.severity, self.says, self.advice, sum(one.count for one in found), examples)


CHECKS: dict[str, Check] = {}


def check(
    check_id: str, severity: str, says: str, advice: str, is_thorough: bool = False
) -> Callable[[Callable[[DataSet], Iterator[Found]]], Callable[[DataSet], Iterator[Found]]]:
    """Decorator: register a function as the `Check` of this id; the function stays as it is."""

    def register(find: Callable[[DataSet], Iterator[Found]]) -> Callable[[DataSet], Iterator[Found]]:
        if check_id in CHECKS or severity not in SEVERITIES:
            raise ValueError(f"{check_id}: registered twice, or of no known severity {severity}")
        CHECKS[check_id] = Check(check_id, severity, says, advice, find, is_thorough)
        return find

    return register


def boxes_found(split: Split, rows: Sequence[int], text: Callable[[int], str]) -> Found:
    """`Found` for annotations, rows of the split's columns; `text` says of a row what is wrong with that box."""
    return Found.of(rows, lambda row: box_example(split, row, text(row)))


def box_example(split: Split, row: int, text: str, others: Sequence[int] = ()) -> Example:
    """The `Example` of annotation `row`, shown with `others` of the same image."""
    rows, image = [row, *others], Path(split.paths[split.places[row]])
    return Example(
        *located(split, split.reader.where(row)),
        f"in {image.name} {text}",
        image,
        split.cut[rows].tolist(),
        [split.names[split.labels[one]] for one in rows],
    )


def located(split: Split, where: str) -> tuple[Path | str, str]:
    """File of the annotations, and record or line in it, of what a reader calls `where`."""
    if not isinstance(split.reader, TextReader):
        return split.source, where
    file, _, line = where.rpartition(":")
    return (Path(file), line) if file and line.isdigit() else (Path(where), "")


def images_found(split: Split, places: Sequence[int], text: Callable[[int], str]) -> Found:
    """`Found` for images, places in the split's table; `text` says of one what is wrong with it."""
    return Found.of(places, lambda place: image_example(split, place, text(place)))


def image_example(split: Split, place: int, text: str, beside: str | None = None) -> Example:
    """The `Example` of an image, shown with its boxes, and `beside` another's file, which the text ends with."""
    path, rows = Path(split.paths[place]), split.rows_of(place)
    names = [split.names[label] for label in split.labels[rows]]
    other = Path(beside) if beside else None
    return Example(path, "", f"{text} {other}" if other else text, path, split.cut[rows].tolist(), names, other)
