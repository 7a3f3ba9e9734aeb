"""Images that look the same but for their size, compression or brightness, found by a perceptual hash.

The hash is pHash: which of the 63 lowest frequencies of a grey thumbnail are above their median. Of 2,956 photos of
COCO no two come nearer than 10 bits; copies saved anew differ in 0 to 4. Pairs that are near are looked at again, px by
px.
"""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from detect.errors import UserError
from detect.ops.thumbnail import read_thumbnail

SIDE, FREQUENCIES = 32, 8  # px of the thumbnail, and rows and columns of its cosine transform that are looked at
NEAR = 6  # bits
BANDS = NEAR + 1  # parts of a hash: of two that differ in `NEAR` bits, one part is equal
BITS = 63 // BANDS  # of a part; the last of a hash's 64 is always 0
SHARE, LEVELS = 0.3, 2.0  # of the contrast, and grey levels, by which the px of near-duplicates may differ (RMS)
FADED = 2.0  # factor between the contrasts of near-duplicates
BLOCK = 2048  # hashes compared with those of their part at once
READERS = 4

_angles = np.arange(FREQUENCIES)[:, None] * (2 * np.arange(SIDE) + 1) / (2 * SIDE)
COSINES = np.cos(np.pi * _angles)  # [FREQUENCIES, SIDE]


class Looks(NamedTuple):
    """How images look.  hashes: uint64 [n];  px: uint8 [n, 16, 16];  is_read: bool [n], False where it is no image."""

    hashes: np.ndarray
    px: np.ndarray
    is_read: np.ndarray


def look_at(paths: Iterable[str]) -> Looks:
    """The `Looks` of image files."""
    with ThreadPoolExecutor(READERS) as readers:
        looks = list(readers.map(_look, paths))
    hashes, px, is_read = zip(*looks, strict=True) if looks else ((), (), ())
    half = SIDE // 2
    return Looks(np.array(hashes, np.uint64), np.array(px, np.uint8).reshape(-1, half, half), np.array(is_read, bool))


def _look(path: str) -> tuple[int, np.ndarray, bool]:
    try:
        grey = read_thumbnail(path, SIDE)
    except UserError:
        return 0, np.zeros((SIDE // 2, SIDE // 2), np.uint8), False
    return hash_of(grey), grey.reshape(SIDE // 2, 2, SIDE // 2, 2).mean(axis=(1, 3)).astype(np.uint8), True


def hash_of(grey: np.ndarray) -> int:
    """The perceptual hash of a thumbnail, uint8 [SIDE, SIDE], as a number of 64 bits."""
    waves = (COSINES @ grey.astype(np.float64) @ COSINES.T).ravel()[1:]  # the first is the brightness
    bits = np.append(waves > np.median(waves), False)
    return int(np.packbits(bits).view(">u8")[0])


def near_duplicates(looks: Looks) -> np.ndarray:
    """int64 [m, 2]: pairs (i, j), i < j, of images that look the same; of many equal ones each with the first."""
    rows = np.flatnonzero(looks.is_read)
    _, firsts, inverse = np.unique(looks.hashes[rows], return_index=True, return_inverse=True)
    equal = np.column_stack([rows[firsts][inverse], rows])
    pairs = [equal[equal[:, 0] != equal[:, 1]], *_near(looks.hashes[rows[firsts]], rows[firsts])]
    found = np.sort(np.concatenate(pairs), axis=1)
    return np.unique(found[_look_alike(looks.px, found)], axis=0)


def _near(hashes: np.ndarray, rows: np.ndarray) -> Iterator[np.ndarray]:
    """Pairs of `rows` [n] whose `hashes` [n], all of them different, differ in few bits; some more than once."""
    for band in range(BANDS):
        part = hashes >> np.uint64(1 + band * BITS) & np.uint64((1 << BITS) - 1)
        order = np.argsort(part, kind="stable")
        for members in np.split(order, np.flatnonzero(np.diff(part[order])) + 1):
            for start in range(0, len(members), BLOCK):
                block, others = members[start : start + BLOCK], members[start:]
                differing = np.bitwise_count(hashes[block][:, None] ^ hashes[others][None])
                i, j = np.nonzero(differing <= NEAR)
                yield np.column_stack([rows[block[i[i < j]]], rows[others[j[i < j]]]])


def _look_alike(px: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """bool [m]: whether the px of the pairs [m, 2] differ no more than copies do, brightness and contrast apart."""
    same = np.zeros(len(pairs), bool)
    for start in range(0, len(pairs), BLOCK):
        both = px[pairs[start : start + BLOCK]].reshape(-1, 2, SIDE * SIDE // 4).astype(np.float64)
        both -= both.mean(axis=2, keepdims=True)
        contrasts = both.std(axis=2)  # [block, 2]
        least, greatest = contrasts.min(axis=1), contrasts.max(axis=1)
        both *= (least[:, None] / np.maximum(contrasts, 1e-6))[:, :, None]
        difference = np.sqrt(np.square(both[:, 0] - both[:, 1]).mean(axis=1))
        same[start : start + BLOCK] = (difference <= LEVELS + SHARE * least) & (greatest <= LEVELS + FADED * least)
    return same


def groups_of(count: int, pairs: np.ndarray | Sequence[tuple[int, int]]) -> np.ndarray:
    """int64 [count]: for each of so many images the smallest index that it is linked with by `pairs`, itself alone."""
    group = np.arange(count)

    def root(index: int) -> int:
        while group[index] != index:
            group[index] = group[group[index]]
            index = int(group[index])
        return index

    for i, j in np.asarray(pairs, dtype=np.int64).reshape(-1, 2).tolist():
        low, high = sorted((root(i), root(j)))
        group[high] = low
    return np.array([root(index) for index in range(count)], dtype=np.int64)
