"""A cleaned copy of a data set: COCO JSON beside links to the images, with all that was changed counted and listed."""

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from detect.data.formats.reader import BAD_BOXES, box_problems
from detect.data.writing.annotation_texts import Box, Item, coco_json
from detect.doctor.boxes import are_corners, beyond_rows, twins
from detect.doctor.checks import SHOWN
from detect.doctor.classes import joined_classes
from detect.doctor.description import TRAIN, DataSet, Split
from detect.doctor.splits import repeats, same_bytes, shared_images
from detect.errors import UserError
from detect.files import cannot_write, made_folder, printable, write_text


@dataclass(frozen=True)
class Change:
    """Something that the copy has otherwise: in which split, what was done, how often, and the first of them."""

    split: str
    what: str
    count: int
    first: Sequence[str]

    def __str__(self) -> str:
        listed = "; ".join(self.first) + ("; ..." if self.count > len(self.first) else "")
        return f"{self.split}: {self.what}: {self.count}" + (f" ({listed})" if listed else "")


def write_copy(data: DataSet, out: str | os.PathLike[str]) -> list[Change]:
    """Write annotations/SPLIT.json and the link images/SPLIT of every split into the new folder `out`.

    Boxes, classes, crowds and scores are taken over, nothing else of the records. The data set itself stays untouched.

    Args:
        data: whose images were looked at (`Split.look`).

    Raises:
        UserError: `out` holds something already, or cannot be written.
    """
    folder = made_folder(out)
    if any(folder.iterdir()):
        raise UserError(f"{printable(out)}: holds something already; name a new folder for the cleaned copy")
    made_folder(folder / "annotations")
    made_folder(folder / "images")
    changes = []
    for split in data.splits:
        copy = Copy(split, _images_of_others(data, split), data.accept)
        changes += copy.changes
        root = Path(os.path.commonpath([Path(path).parent for path in split.paths] or [Path(split.source).parent]))
        root = root if root.is_dir() else root.parent  # of a tar file, in which they all lie
        write_text(folder / "annotations" / f"{split.name}.json", copy.content(root))
        _link(folder / "images" / split.name, root)
    return changes


def _link(place: Path, folder: Path) -> None:
    try:
        place.symlink_to(folder.resolve(), target_is_directory=True)
    except OSError as error:
        raise cannot_write(place, error) from error


def _images_of_others(data: DataSet, split: Split) -> list[int]:
    """The images of train that another split has too, unless that are all: then nobody can say where they belong."""
    if split.name != TRAIN or "split.duplicates" in data.accept:
        return []
    others = (other for other in data.splits if other is not split)
    shared = {place for other in others for ours, _ in shared_images(split, other) for place in ours}
    return sorted(shared) if len(shared) < len(split.images) else []


class Copy:
    """A split without what its checks found, as far as that is certain.

    Args:
        of_others: images that are left out because another split has them.
        accept: ids of checks that find no mistakes in this set.

    Attributes:
        changes: what was done.
    """

    def __init__(self, split: Split, of_others: Sequence[int] = (), accept: Collection[str] = ()) -> None:
        self.split, self.changes, self.accept = split, list[Change](), accept
        self.has_corners = "box.corners" not in accept and are_corners(split)
        self.joined = np.arange(len(split.names)) if "class.same_name" in accept else np.array(joined_classes(split))
        self.boxes, self.labels, self.places = split.corners.copy(), split.labels.copy(), split.places.copy()
        self.keeps_image = np.ones(len(split.images), dtype=bool)
        self.keeps_box = np.ones(len(split.labels), dtype=bool)
        self._leave_out_records()
        self._join_classes()
        self._read_corners()
        self._leave_out_boxes()
        self._leave_out_images(of_others)
        self._join_images()
        self._leave_out_twins()

    def content(self, root: Path) -> str:
        """COCO's JSON of what is kept; file names are relative to `root`."""
        split, kept = self.split, np.unique(self.joined)
        labels = np.searchsorted(kept, self.labels)
        boxes: dict[int, list[Box]] = {place: [] for place in np.flatnonzero(self.keeps_image).tolist()}
        for row in np.flatnonzero(self.keeps_box).tolist():
            left, top, right, bottom = (round(side, 3) for side in self.boxes[row].tolist())
            box = [left, top, round(right - left, 3), round(bottom - top, 3)]
            score = None if np.isnan(split.scores[row]) else split.scores[row].item()
            one = Box(int(labels[row]), box, self._area(row, box), bool(split.crowds[row]), score)
            boxes[int(self.places[row])].append(one)
        items = []
        for place, held in boxes.items():
            name = Path(os.path.relpath(split.paths[place], root)).as_posix()
            width, height = split.sizes[place].tolist()
            items.append(Item(split.images.ids[place].item(), name, width, height, held))
        return coco_json(items, [split.categories[label] for label in kept])

    def _area(self, row: int, box: Sequence[float]) -> float:
        """The object's area in px², which for uncut boxes may be that of an outline."""
        is_as_read = np.array_equal(self.boxes[row], self.split.corners[row])
        return self.split.areas[row].item() if is_as_read else round(box[2] * box[3], 3)

    def _change(self, what: str, count: int, first: Iterator[str]) -> None:
        if count:
            self.changes.append(Change(self.split.name, what, count, list(islice(first, SHOWN))))

    def _told(self, rows: Iterable[int]) -> Iterator[str]:
        return (f"{self.split.reader.where(int(row))}" for row in rows)

    def _names(self, places: Sequence[int]) -> Iterator[str]:
        return (printable(Path(self.split.paths[place]).name) for place in places)

    # ---- one step each ---------------------------------------------------------------------------------------------

    def _leave_out_records(self) -> None:
        """What the reader could not use is in none of its columns."""
        lost = [faults for fault_id, faults in self.split.faults.items() if fault_id not in BAD_BOXES]
        first = (f"{fault.where}" for faults in lost for fault in faults.first)
        self._change("records left out that cannot be used", sum(faults.count for faults in lost), first)

    def _join_classes(self) -> None:
        others = np.flatnonzero(self.joined != np.arange(len(self.joined)))
        self.labels = self.joined.astype(np.int64)[self.labels]
        names = (printable(self.split.names[label]) for label in others)
        self._change("classes joined with the first of their name", len(others), names)

    def _read_corners(self) -> None:
        if self.has_corners:
            self.boxes = self.split.boxes.astype(np.float32)  # they are xyxy already
            self._change("boxes read as [left, top, right, bottom]", len(self.boxes), iter(()))

    def _leave_out_boxes(self) -> None:
        """Bad ones; crowds, which may be anything, stay. The others are cut at the border."""
        split = self.split
        sides = np.concatenate([self.boxes[:, :2], self.boxes[:, 2:] - self.boxes[:, :2]], axis=1)
        bad = (box_problems(sides, split.limits) >= 0) & ~split.crowds
        self.keeps_box &= ~bad
        self._change("boxes left out that nothing can be learned from", int(bad.sum()), self._told(np.flatnonzero(bad)))
        if not self.has_corners:
            cut = beyond_rows(split)
            self._change("boxes cut at the border of their image", len(cut), self._told(cut))
        kept = ~split.crowds
        self.boxes[kept] = np.clip(self.boxes[kept], 0, np.tile(split.limits, 2)[kept])

    def _leave_out_images(self, of_others: Sequence[int]) -> None:
        unfit = [place for place, look in enumerate(self.split.looks) if look.problem]
        self._drop_images("images left out whose files cannot be used as they are recorded", unfit)
        self._drop_images("images left out that another split has", [p for p in of_others if self.keeps_image[p]])

    def _drop_images(self, what: str, places: Sequence[int]) -> None:
        self.keeps_image[list(places)] = False
        self.keeps_box &= self.keeps_image[self.places]
        self._change(what, len(places), self._names(places))

    def _join_images(self) -> None:
        """Images that are listed twice, or are copies of others, give their boxes to the first."""
        split = self.split
        first = {} if "image.listed_twice" in self.accept else repeats(split.paths)
        copies = {} if "image.same" in self.accept else same_bytes(split)
        first |= copies  # which win: the first record of a file may be a copy of another file itself
        joined = {place: one for place, one in first.items() if self.keeps_image[place] and self.keeps_image[one]}
        targets = np.arange(len(split.images))
        targets[list(joined)] = list(joined.values())
        self.places = targets[self.places]
        self.keeps_image[list(joined)] = False
        self._change("images joined with the first of the same", len(joined), self._names(list(joined)))

    def _leave_out_twins(self) -> None:
        if "box.twice" in self.accept:
            return
        rows = np.flatnonzero(self.keeps_box & ~self.split.crowds)
        pairs = twins(self.places[rows], self.labels[rows], self.boxes[rows])
        later = rows[np.unique(pairs[:, 1])]
        self.keeps_box[later] = False
        self._change("boxes left out that were drawn twice", len(later), self._told(later))
