"""Large images in tiles: where the tiles lie, and one box for what their borders cut in pieces.

Every tile and the image as a whole go through the network by themselves. An object no larger than the overlap is seen
whole by one tile at least, but its neighbours see a piece of it, and of a larger one every tile sees a piece. A piece
is known by its box, which touches a border of its tile within the image:

1. It goes where another view found all of the object: a box that is no piece, of the same class, of which the piece is
   what its tile shows (their IoU within the tile is at least `FIT`).
2. Pieces that are left, from tiles that meet, are joined where each is cut at the border that the other goes beyond
   and both are equally wide along it (an IoU of at least `FIT`, as far as both tiles see). So are joined boxes, until
   they are whole.
3. What the joined boxes show all of goes too. A piece that fits nothing stays as it is.

The surest of the boxes that become one gives its score. The NMS comes after this, over all that is left.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from detect.errors import UserError
from detect.ops.boxes import iou
from detect.ops.nms import Candidates

OVERLAP = 0.2  # of neighbouring tiles, as a share of their side: what is no larger is seen whole by one of them
SMALLEST = 32  # px, side of a tile
LARGEST_OVERLAP = 0.9  # of a tile's side; from here on tiles hardly move
MAX_TILES = 1000  # of an image
AT_ONCE = 8  # tiles that go through the network together at least: enough for engines that compute side by side
TOUCH = 0.02  # share of a tile's side within which a box touches its border
FIT = 0.5  # least overlap of two views of the same object
PAIRS = 1_000_000  # of boxes that are compared at once: some 100 MB


class View(NamedTuple):
    """A part of an image, px."""

    left: int
    top: int
    right: int
    bottom: int

    def cut(self, image: np.ndarray) -> np.ndarray:
        """What it shows of the image [height, width, 3]; no copy."""
        return image[self.top : self.bottom, self.left : self.right]


@dataclass(frozen=True)
class Tiling:
    """Square tiles over an image, evenly spread, so that neighbours share at least `overlap` of a tile's side.

    Args:
        tile: side in px of the image, from `SMALLEST` on; an image no larger is not tiled.
        overlap: from 0 to below `LARGEST_OVERLAP`.

    Raises:
        UserError: an argument is out of its range.
    """

    tile: int
    overlap: float = OVERLAP

    def __post_init__(self) -> None:
        if type(self.tile) is not int or self.tile < SMALLEST:
            raise UserError(f"{self.tile}: a tile's side is a whole number of px from {SMALLEST} on", argument="tile")
        is_number = isinstance(self.overlap, (int, float)) and not isinstance(self.overlap, bool)
        if not is_number or not 0 <= self.overlap < LARGEST_OVERLAP:
            sentence = f"{self.overlap}: tiles overlap by a share of their side, from 0 to below {LARGEST_OVERLAP}"
            raise UserError(sentence, argument="overlap")

    def views(self, width: int, height: int) -> list[View]:
        """The image as a whole, and its tiles row by row where it is larger than one.  Raises UserError: too many."""
        whole = View(0, 0, width, height)
        if max(width, height) <= self.tile:
            return [whole]
        count = self._count(width) * self._count(height)
        if count > MAX_TILES:
            raise UserError(
                f"an image of {width}x{height} px makes {count:,} tiles of {self.tile} px, and {MAX_TILES:,} are the "
                "limit; take larger tiles or less overlap",
                argument="tile",
            )
        columns, rows = self._spans(width), self._spans(height)
        return [whole, *(View(left, top, right, bottom) for top, bottom in rows for left, right in columns)]

    def merged(self, found: Sequence[Candidates], views: Sequence[View]) -> Candidates:
        """What is found in each of an image's `views`, boxes in image px -> all of it, for one NMS over the image.

        The first view is the whole image. Pieces of objects are joined, or left out where the object is there.
        """
        seen = np.repeat(np.array(views, dtype=np.float32), [len(of.scores) for of in found], axis=0)
        boxes, scores, labels = (np.concatenate(column) for column in zip(*found, strict=True))
        merged = []
        for label in np.unique(labels):
            own = np.flatnonzero(labels == label)
            merged.append(_mended(_Boxes(boxes[own], scores[own], seen[own]), views[0], TOUCH * self.tile))
        if not merged:
            return Candidates(boxes, scores, labels)
        counts = [len(of.scores) for of in merged]
        boxes, scores, _ = (np.concatenate(column) for column in zip(*merged, strict=True))
        return Candidates(boxes, scores, np.repeat(np.unique(labels), counts))

    def _count(self, length: int) -> int:
        """How many tiles cover a side of `length` px."""
        step = self.tile - int(np.ceil(self.tile * self.overlap))
        return 1 + max(-(-(length - self.tile) // step), 0)

    def _spans(self, length: int) -> list[tuple[int, int]]:
        """(start, end) of each tile on a side of `length` px."""
        count, tile = self._count(length), min(self.tile, length)
        return [(start, start + tile) for start in (i * (length - tile) // max(count - 1, 1) for i in range(count))]


class _Boxes(NamedTuple):
    """Boxes of one class, each with the part of the image that its finder saw."""

    boxes: np.ndarray  # float32 [n, 4] xyxy, image px
    scores: np.ndarray  # float32 [n]
    views: np.ndarray  # float32 [n, 4], as `View`

    def take(self, rows: np.ndarray) -> "_Boxes":
        return _Boxes(*(column[rows] for column in self))

    def cuts(self, whole: View, touch: float) -> np.ndarray:
        """Which sides of each box are cut by its view, bool [n, 4]: they touch a border within the image."""
        is_inner = (self.views > whole) * [True, True, False, False] | (self.views < whole) * [False, False, True, True]
        return is_inner & (np.abs(self.boxes - self.views) <= touch)


def _mended(of: _Boxes, whole: View, touch: float) -> _Boxes:
    """Steps 1 to 3 above, for one class."""
    is_piece = np.asarray(of.cuts(whole, touch).any(axis=1))
    wholes, pieces = of.take(~is_piece), of.take(is_piece)
    wholes, pieces = _explained(wholes, pieces)
    joined, left = _joined(pieces, whole, touch)
    joined, left = _explained(joined, left)
    return _together([wholes, joined, left])


def _explained(wholes: _Boxes, pieces: _Boxes) -> tuple[_Boxes, _Boxes]:
    """(wholes, the pieces that are of none of them). A whole takes a piece's score if that is the higher one."""
    wholes = wholes.take(np.argsort(-wholes.scores, kind="stable"))
    scores, count = wholes.scores.copy(), len(wholes.scores)
    is_left = np.ones(len(pieces.scores), dtype=bool)
    at_once = max(PAIRS // max(count, 1), 1)
    for start in range(0, len(pieces.scores) if count else 0, at_once):
        part = pieces.take(np.arange(start, min(start + at_once, len(pieces.scores))))
        low, high = part.views[:, None, [0, 1, 0, 1]], part.views[:, None, [2, 3, 2, 3]]
        fits = iou(np.clip(wholes.boxes, low, high), part.boxes[:, None]) >= FIT  # [part, wholes]
        found = np.flatnonzero(fits.any(axis=1))
        np.maximum.at(scores, fits[found].argmax(axis=1), part.scores[found])  # the surest of those that fit
        is_left[start + found] = False
    return wholes._replace(scores=scores), pieces.take(np.flatnonzero(is_left))


def _joined(pieces: _Boxes, whole: View, touch: float) -> tuple[_Boxes, _Boxes]:
    """(whole boxes that were joined of pieces, what stays a piece), the surest pieces first."""
    nothing = pieces.take(np.arange(0))
    wholes, left = [nothing], [nothing]
    waiting = pieces.take(np.argsort(-pieces.scores, kind="stable"))
    while len(waiting.scores):
        first, cuts = waiting.take(np.arange(1)), waiting.cuts(whole, touch)
        partners = np.flatnonzero(_go_on(first, cuts[0], waiting, cuts))
        if len(partners):
            pair = waiting.take(np.array([0, partners[0]]))
            waiting = waiting.take(np.delete(np.arange(len(waiting.scores)), partners[0]))
            waiting.boxes[0], waiting.views[0] = _hull(pair.boxes), _hull(pair.views)
        else:
            (left if cuts[0].any() else wholes).append(first)
            waiting = waiting.take(np.arange(1, len(waiting.scores)))
    return _together(wholes), _together(left)


def _go_on(piece: _Boxes, piece_cuts: np.ndarray, others: _Boxes, cuts: np.ndarray) -> np.ndarray:
    """Which of the others [n] go on where `piece`, a single one, is cut: bool [n]; it does not itself."""
    goes_on = np.zeros(len(others.scores), dtype=bool)
    for side, facing in ((0, 2), (2, 0), (1, 3), (3, 1)):
        if not piece_cuts[side]:
            continue
        outwards = 1 if side >= 2 else -1
        border, far = piece.views[0, side] * outwards, piece.views[0, facing] * outwards
        near_end, far_end = others.views[:, facing] * outwards, others.views[:, side] * outwards
        meets = (far < near_end) & (near_end <= border) & (border < far_end)
        goes_on |= meets & cuts[:, facing] & (_shared_width(piece, others, axis=1 - side % 2) >= FIT)
    return goes_on


def _shared_width(piece: _Boxes, others: _Boxes, axis: int) -> np.ndarray:
    """IoU [n] of the extents of one piece and of others along an axis, 0 or 1, as far as both views go."""
    low = np.maximum(piece.views[0, axis], others.views[:, axis])
    high = np.maximum(np.minimum(piece.views[0, axis + 2], others.views[:, axis + 2]), low)
    starts = [np.clip(boxes[:, axis], low, high) for boxes in (piece.boxes, others.boxes)]
    ends = [np.clip(boxes[:, axis + 2], low, high) for boxes in (piece.boxes, others.boxes)]
    both = np.maximum(np.minimum(*ends) - np.maximum(*starts), 0)
    either = np.maximum(*ends) - np.minimum(*starts)
    return both / np.maximum(either, 1e-9)


def _together(parts: Sequence[_Boxes]) -> _Boxes:
    return _Boxes(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _hull(boxes: np.ndarray) -> np.ndarray:
    """The smallest box [4] around boxes [n, 4] xyxy."""
    return np.concatenate([boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)])
