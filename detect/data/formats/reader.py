"""What reads a file or folder of annotations, whatever its format: columns of all that can be used, and every fault."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from detect.data.records import ImageTable
from detect.files import printable

MAX_SIDE = 100_000  # px
SMALLEST_SIDE = 0.01  # px; less than that vanishes in float32
MAX_NUMBER = 1e9  # no coordinate or area of a sane file is beyond
BAD_BOXES = {
    "box.width": "has width {box[2]:g}",
    "box.height": "has height {box[3]:g}",
    "box.outside": "lies outside its image of {size[0]}x{size[1]} px",
    "box.shares": "lies in the first px of its image of {size[0]}x{size[1]}: {box} look like shares of the "
    "image's sides; a bbox is [left, top, width, height] in px",
    "box.tiny": f"has less than {SMALLEST_SIDE} px of width or height within its image",
}


@dataclass(frozen=True)
class Fault:
    """One mistake in annotations.

    id: what is wrong, as a dotted name;  where: of JSON the list or record ("annotations[12]"), of text the file and
    line ("labels/a.txt:4");  sentence: for the user, to follow the file's name (`Reader.message`);  is_bad_box: nothing
    can be learned from that box, all else can be used.
    """

    id: str
    where: str
    sentence: str
    is_bad_box: bool = False

    def __post_init__(self) -> None:
        for name in ("where", "sentence"):  # they tell what a stranger wrote
            object.__setattr__(self, name, printable(getattr(self, name)))


class Annotations(NamedTuple):
    """The annotations of a split in the order of its files, boxes as they are written there.

    places: int32 [n], of their images in the list of images;  labels: int32 [n];  boxes: float64 [n, 4] xywh in image
    px;  areas: float64 [n] px², the box's own where nothing else is said;  crowds: bool [n];  scores: float64 [n], 0..1
    where a detector found the box, nan where nothing is said.
    """

    places: np.ndarray
    labels: np.ndarray
    boxes: np.ndarray
    areas: np.ndarray
    crowds: np.ndarray
    scores: np.ndarray


NO_ANNOTATIONS = Annotations(
    np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros((0, 4)), np.zeros(0), np.zeros(0, bool), np.zeros(0)
)


class Reader(ABC):
    """The annotations of one split, checked as they are read: run through `faults`, then take what is left.

    Attributes:
        source: the file, folder or address, for messages.
        images: `ImageTable`, without boxes, in the order of the files.
        categories: list of `{"id", "name"}` by ascending id.
        annotations: `Annotations`.
        bad: bool [n], the annotations nothing can be learned from; crowds are not among them.
        notes: sentences on what was taken otherwise than it is written.
        outlines: number of annotations that have an outline, of which no reader takes more than the box.
    """

    def __init__(self, source: Path | str) -> None:
        self.source = source
        self.images = ImageTable()
        self.categories: list[dict[str, Any]] = []
        self.annotations = NO_ANNOTATIONS
        self.bad = np.zeros(0, bool)
        self.notes: list[str] = []
        self.outlines = 0

    def faults(self) -> Iterator[Fault]:
        """Read all, yielding every fault: what cannot be used at all, then bad boxes."""
        yield from self._read()
        yield from self._find_bad_boxes()

    def message(self, fault: Fault) -> str:
        """The whole sentence for the user."""
        return f"{printable(self.source)}: {fault.sentence}"

    def release(self) -> None:  # noqa: B027
        """Forget what only `faults` and `told` need: a reader that keeps much says what."""

    @abstractmethod
    def _read(self) -> Iterator[Fault]:
        """Fill `images`, `categories`, `annotations` and `notes`, yielding what cannot be used."""

    @abstractmethod
    def where(self, row: int) -> str:
        """Where annotation `row` is written: as `Fault.where`."""

    @abstractmethod
    def told(self, row: int) -> str:
        """Annotation `row` as a sentence calls it: "box 12 of image 4"."""

    def _find_bad_boxes(self) -> Iterator[Fault]:
        places, _, boxes, _, crowds, _ = self.annotations
        sizes = self.images.sizes
        problems = box_problems(boxes, sizes[places])
        problems[crowds] = -1
        self.bad = problems >= 0
        ids = list(BAD_BOXES)
        for row in np.flatnonzero(self.bad).tolist():
            fault_id = ids[problems[row]]
            problem = BAD_BOXES[fault_id].format(box=boxes[row].tolist(), size=sizes[places[row]].tolist())
            yield Fault(fault_id, self.where(row), f"{self.told(row)} {problem}", is_bad_box=True)


def box_problems(boxes: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """What makes boxes [n, 4] xywh unfit to learn from, as indices [n] into BAD_BOXES; -1 where nothing does.

    Args:
        sizes: [n, 2], width and height of each box's image, px.
    """
    left_top, width_height = boxes[:, :2], boxes[:, 2:]
    cut = np.minimum(left_top + width_height, sizes) - np.maximum(left_top, 0)  # [n, 2], what lies within the image
    are_shares = (boxes >= 0).all(axis=1) & (boxes <= 1).all(axis=1) & (sizes > 2).all(axis=1)
    conditions = [*(width_height <= 0).T, (cut <= 0).any(axis=1), are_shares, (cut < SMALLEST_SIDE).any(axis=1)]
    return np.select(conditions, range(len(conditions)), -1)


def short(value: object) -> str:
    """`repr(value)`, at most 40 characters of it: what a stranger wrote goes into an error text."""
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def is_number(value: object) -> bool:
    """Whether it is a finite number of sane size."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < MAX_NUMBER
