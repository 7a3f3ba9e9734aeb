"""Checks of the classes: their names, whether there is something of each to learn, and whether the splits agree."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from detect.darknet.names import modern
from detect.doctor.checks import Example, Found, check
from detect.doctor.description import TRAIN, DataSet, Split, objects_by_class
from detect.errors import nearest

SHORT, LONG = 5, 60  # letters of names that may be one of another by a slip of the pen
UNEVEN = 100  # times as many boxes as the rarest class has


@check(
    "set.no_boxes",
    "error",
    "sets without an object to learn from",
    "are these the right annotations, and is iscrowd 0 for single objects?",
)
def no_boxes(data: DataSet) -> Iterator[Found]:
    if data.trains and not any(split.is_object.any() for split in data.trains):
        yield Found(1, [_empty_example(data.trains[0], "holds no box to learn from")])


@check(
    "split.no_boxes",
    "warning",
    "splits that are evaluated on without an object",
    "an evaluation on them tells nothing: are these the right annotations?",
)
def nothing_to_find(data: DataSet) -> Iterator[Found]:
    for split in data.splits:
        if split.name != TRAIN and not split.is_object.any():
            yield Found(1, [_empty_example(split, "holds no box to find")])


def _empty_example(split: Split, says: str) -> Example:
    regions, unsure = int(split.crowds.sum()), int((split.scores < split.learn).sum())
    text = f"{says}: {len(split.images)} images with {regions} ignore regions and no objects"
    return Example(split.source, "", text + (f"; {unsure} boxes have a score below {split.learn:g}" if unsure else ""))


@check(
    "class.same_name",
    "error",
    "classes of the name of another",
    "classes are matched by name: join the two, or rename one; a cleaned copy has them joined",
)
def same_name(data: DataSet) -> Iterator[Found]:
    for split in data.splits:
        pairs = [(first, label) for label, first in enumerate(joined_classes(split)) if label != first]
        yield classes_found(split, pairs, partial(_same_name_text, split))


def joined_classes(split: Split) -> list[int]:
    """By label, the first label of the same name."""
    first: dict[str, int] = {}
    return [first.setdefault(name, label) for label, name in enumerate(split.names)]


def _same_name_text(split: Split, pair: tuple[int, int]) -> str:
    one, other = (f"{split.categories[label]['id']} ({split.class_counts[label]} boxes)" for label in pair)
    return f"'{split.names[pair[0]]}' is the name of the ids {one} and {other}"


@check(
    "class.similar",
    "warning",
    "pairs of classes with nearly the same name",
    "if they are one class, give both the same name in the labelling tool",
)
def similar(data: DataSet) -> Iterator[Found]:
    told: set[tuple[str, str]] = set()
    for split in data.splits:
        pairs = [pair for pair in similar_pairs(sorted(set(split.names))) if pair not in told]
        told.update(pairs)
        yield classes_found(split, pairs, partial(_similar_text, objects_by_class([split])))


def _similar_text(counts: Mapping[str, int], pair: tuple[str, str]) -> str:
    return " and ".join(f"'{name}' ({counts[name]} boxes)" for name in pair)


def similar_pairs(names: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs of different names that are the same but for case, spaces and signs, or for one letter of five and more.

    Names that differ by their numbers ("cell 1", "cell 2") are not similar.
    """
    by_plain: dict[str, list[str]] = {}
    for name in names:
        by_plain.setdefault(re.sub(r"[\s_.-]+", "", name.casefold()) or name, []).append(name)
    pairs = [(alike[0], other) for alike in by_plain.values() for other in alike[1:]]
    longer = sorted((word for word in by_plain if SHORT <= len(word) <= LONG), key=len)
    spellings: dict[str, str] = {}  # of each word without one of its letters
    for word in longer:
        for spelling in {word, *(word[:i] + word[i + 1 :] for i in range(len(word)))}:
            other = spellings.setdefault(spelling, word)
            if other != word and _one_letter_apart(other, word):
                pairs.append((by_plain[other][0], by_plain[word][0]))
    return sorted(set(pairs))


def _one_letter_apart(a: str, b: str) -> bool:
    """Whether one letter, that is no digit, more or other makes `a`, no longer than `b`, the word `b`."""
    start = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), len(a))
    if b[start].isdigit() or (start < len(a) and a[start].isdigit()):
        return False
    return a[start:] == b[start + 1 :] or a[start + 1 :] == b[start + 1 :]


@check(
    "class.no_boxes",
    "warning",
    "classes without a box in train",
    "they cannot be learned: label some, or take them out (a labelling tool's root class, say)",
)
def without_boxes(data: DataSet) -> Iterator[Found]:
    counts = objects_by_class(data.trains)
    if any(counts.values()):
        names = [name for name, count in counts.items() if not count]
        yield classes_found(data.trains[0], names, "'{}' has no box".format)


@check(
    "class.unknown",
    "warning",
    "classes of another split that train lacks",
    "their objects cannot be found: give the class the same name in every split",
)
def unknown(data: DataSet) -> Iterator[Found]:
    for split in data.splits if data.trains else ():
        known = set(map(modern, data.trains[0].names))
        names = [name for name in split.names if modern(name) not in known]
        yield classes_found(split, names, partial(_unknown_text, data.trains[0].names))


def _unknown_text(known: Sequence[str], name: str) -> str:
    hint = nearest(name, known)
    return f"'{name}' is no class of train{hint if 'did you mean' in hint else ''}"


@check(
    "class.absent",
    "note",
    "classes of train without a box in val",
    "how well they are found cannot be told: move some of their images to val",
)
def absent(data: DataSet) -> Iterator[Found]:
    val = data.split("val")
    if val and val.is_object.any():
        there = {modern(name) for name, count in objects_by_class([val]).items() if count}
        names = [name for name, count in objects_by_class(data.trains).items() if count and modern(name) not in there]
        yield classes_found(val, names, "'{}' has no box".format)


@check(
    "class.uneven",
    "note",
    f"classes of train with less than one box for {UNEVEN} of the most frequent class",
    "they are learned last: label more of them, or show their images more often",
)
def uneven(data: DataSet) -> Iterator[Found]:
    counts = sorted((count, name) for name, count in objects_by_class(data.trains).items() if count)
    if counts:
        most, frequent = counts[-1]
        rare = [(name, count) for count, name in counts if count * UNEVEN < most]
        yield classes_found(data.trains[0], rare, lambda one: f"'{one[0]}' has {one[1]} boxes, '{frequent}' {most}")


def classes_found(split: Split, classes: Sequence[Any], text: Callable[[Any], str]) -> Found:
    """`Found` for classes, or pairs of them; `text` says what is wrong with one."""
    return Found.of(classes, lambda one: Example(split.source, "categories", text(one)))
