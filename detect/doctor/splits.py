"""Checks for images that occur twice, in a split or in two: an evaluation on what was trained on tells nothing."""

import os
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from itertools import chain, product
from typing import TypeVar

import numpy as np

from detect.data.near_duplicates import Looks, groups_of, near_duplicates
from detect.doctor.checks import Example, Found, check, image_example
from detect.doctor.description import TRAIN, DataSet, Split
from detect.doctor.looks import digest
from detect.errors import UserError
from detect.members import open_binary, stamp

ENDS = 4096  # bytes at either end of a file that are compared before the rest is

Key = TypeVar("Key", bound=Hashable)


@check(
    "split.no_val",
    "note",
    "sets without a split val",
    "nothing tells how good the training is: put some images into a split of their own, never the same as in train",
)
def no_val(data: DataSet) -> Iterator[Found]:
    if data.trains and not data.split("val"):
        yield Found(1, [Example(data.trains[0].source, "", "there is no split 'val' beside it")])


@check(
    "split.no_train",
    "error",
    "sets without a split train",
    "there is nothing to learn from: name the split in data.splits, or lay the files out as data/README.md says",
)
def no_train(data: DataSet) -> Iterator[Found]:
    if not data.trains and (other := next(iter(data.splits), None)):
        names = ", ".join(split.name for split in data.splits)
        yield Found(1, [Example(other.source, "", f"there is no split 'train'; there is {names}")])


@check(
    "image.listed_twice",
    "warning",
    "images listed more than once in a split",
    "each record is background where the others have objects: list it once; a cleaned copy has their boxes joined",
)
def listed_twice(data: DataSet) -> Iterator[Found]:
    for split in data.splits:
        yield _related(split, repeats(split.paths), split, "", "is listed more than once")


@check(
    "image.same",
    "warning",
    "images of a split that are copies of others in it, byte by byte",
    "keep one of each; a cleaned copy has their boxes joined",
    is_thorough=True,
)
def same(data: DataSet) -> Iterator[Found]:
    for split in data.splits:
        yield _related(split, same_bytes(split), split, "is a copy of")


@check(
    "image.near",
    "note",
    "images of a split that look like others in it",
    "frames of a video or photos saved anew teach little; never put them on both sides of a split",
    is_thorough=True,
)
def near(data: DataSet) -> Iterator[Found]:
    for split in data.splits:
        pairs = _near_pairs(split)
        groups = groups_of(len(split.images), pairs)
        later = np.flatnonzero(groups != np.arange(len(groups))).tolist()
        yield _related(split, {place: int(groups[place]) for place in later}, split, "looks like")


@check(
    "split.duplicates",
    "error",
    "images of a split that are also in train",
    "an evaluation on them tells nothing: take them out of one; a cleaned copy has them out of train",
)
def duplicates(data: DataSet) -> Iterator[Found]:
    for train, other in _pairs_of_splits(data):
        twins = {place: ours[0] for ours, theirs in shared_images(train, other) for place in theirs}
        yield _related(other, dict(sorted(twins.items())), train, "is, in train,", "is listed in train, too")


@check(
    "split.near",
    "warning",
    "images of a split that look like one of train",
    "the evaluation is too good by them: split by video, place or day, so that such images are on one side",
    is_thorough=True,
)
def near_across(data: DataSet) -> Iterator[Found]:
    for train, other in _pairs_of_splits(data):
        first = len(train.images)
        groups = groups_of(first + len(other.images), _near_pairs(train, other))[first:]
        twins = {place: int(groups[place]) for place in np.flatnonzero(groups < first).tolist()}
        yield _related(other, twins, train, "looks like")


# ---- how they are found --------------------------------------------------------------------------------------------


def repeats(keys: Sequence[Key]) -> dict[int, int]:
    """{place of a later occurrence: place of the first} of keys that occur more than once; empty ones do not count."""
    first: dict[Key, int] = {}
    return {place: first[key] for place, key in enumerate(keys) if key and first.setdefault(key, place) != place}


def same_bytes(split: Split) -> dict[int, int]:
    """`repeats` of the images' contents, of files that are different."""
    found = repeats([look.digest for look in split.looks])
    return {place: first for place, first in found.items() if split.paths[place] != split.paths[first]}


def shared_images(train: Split, other: Split) -> list[tuple[list[int], list[int]]]:
    """Images that both splits have, as one file or as several with the same bytes: places in `train`, in `other`.

    Bytes are compared where the sizes of files and their ends are the same, so that few files are read whole.
    """
    places: dict[str, tuple[list[int], list[int]]] = {}  # of each file, in both splits
    for side, split in enumerate((train, other)):
        for place, path in enumerate(split.paths):
            places.setdefault(path, ([], []))[side].append(place)
    groups = [list(places)]
    for key_of in (_bytes_of, _ends_of, digest):
        groups = [same for group in groups for same in _alike(group, key_of) if all(_sides(same, places))]
    copied = {path for group in groups for path in group}
    groups += [[path] for path, sides in places.items() if all(sides) and path not in copied]
    return [_sides(group, places) for group in groups]


def _alike(paths: Sequence[str], key_of: Callable[[str], Hashable]) -> list[list[str]]:
    """Those of the files that have the same key as others, in groups; an empty key is none."""
    by_key = defaultdict(list)
    for path in paths:
        by_key[key_of(path)].append(path)
    return [same for key, same in by_key.items() if key and len(same) > 1]


def _sides(paths: Sequence[str], places: Mapping[str, tuple[list[int], list[int]]]) -> tuple[list[int], list[int]]:
    """The places of several files in both splits."""
    ours, theirs = zip(*(places[path] for path in paths), strict=True)
    return sorted(chain(*ours)), sorted(chain(*theirs))


def _bytes_of(path: str) -> int:
    try:
        return stamp(path)[0]
    except (OSError, UserError):
        return 0


def _ends_of(path: str) -> bytes:
    try:
        with open_binary(path) as file:
            start = file.read(ENDS)
            file.seek(-min(ENDS, stamp(path)[0]), os.SEEK_END)
            return start + file.read()
    except (OSError, UserError):
        return b""


def _related(split: Split, others: dict[int, int], of: Split, relation: str, if_same: str = "") -> Found:
    """`Found` for images of `split` by place that have a relation to others, by their places in the split `of`.

    Where both are one file, which is said in the words `if_same`, it is not shown twice.
    """

    def example(pair: tuple[int, int]) -> Example:
        place, path = pair[0], of.paths[pair[1]]
        if if_same and path == split.paths[place]:
            return image_example(split, place, if_same)
        return image_example(split, place, relation, path)

    return Found.of(list(others.items()), example)


def _near_pairs(*splits: Split) -> np.ndarray:
    """`near_duplicates` of splits one after the other, without those whose files have the same bytes."""
    seen = [split.seen for split in splits if split.seen]
    if not seen:
        return np.zeros((0, 2), dtype=np.int64)
    firsts = np.cumsum([0, *(len(split.images) for split in splits[:-1])])
    places = np.concatenate([split.sound + first for split, first in zip(splits, firsts, strict=True)])
    pairs = places[near_duplicates(Looks(*map(np.concatenate, zip(*seen, strict=True))))]
    digests = [look.digest for split in splits for look in split.looks]
    differ = [digests[one] != digests[two] for one, two in pairs.tolist()]
    return pairs[np.array(differ, dtype=bool)]


def _pairs_of_splits(data: DataSet) -> Iterator[tuple[Split, Split]]:
    """Every split that is trained on with every other one."""
    yield from product(data.trains, (split for split in data.splits if split.name != TRAIN))
