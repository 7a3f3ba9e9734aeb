"""From images of any size to detections in image px, whatever runs the network: the core of prediction, evaluation."""

import glob
import math
import numbers
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from itertools import islice
from typing import Any, overload

import numpy as np
from PIL import Image

from detect.errors import UserError, nearest
from detect.files import printable
from detect.inference.reading import read_frames
from detect.inference.result import Result
from detect.inference.runtime import Runtime
from detect.inference.sources import Frame, Item, find_items, raise_error, say_nothing
from detect.inference.tiling import AT_ONCE, Tiling, View
from detect.ops.letterbox import Letterbox
from detect.ops.nms import OVERLAPS, Candidates, nms

NMS_OPTIONS = ("overlap", "threshold", "beta", "per_class", "vote")

OneImage = str | os.PathLike[str] | np.ndarray | Image.Image


class Predictor:
    """Runs a detector over images of any size.

    Args:
        runtime: the network, see `detect.inference.runtime.Runtime`.
        min_score: detections at or below it are left out (0.001 for evaluation); one number, or one for each class.
        nms: keyword arguments for `detect.ops.nms.nms`: overlap, threshold, beta, per_class, vote.
        max_detections: per image.
        batch: images that are read and go through the network together; live sources always go one by one.
        tiling: larger images go through the network in these tiles too, each at the network's size; None for never.

    Raises:
        UserError: an argument is out of its range.
    """

    def __init__(
        self,
        runtime: Runtime,
        min_score: float | Sequence[float] = 0.25,
        nms: Mapping[str, Any] | None = None,
        max_detections: int = 100,
        batch: int = 1,
        tiling: Tiling | None = None,
    ) -> None:
        self.runtime = runtime
        self.min_score = min_score
        self.max_detections = max_detections
        self.batch = batch
        self.tiling = tiling
        self.nms = dict(nms or {})
        self._check()

    def __repr__(self) -> str:
        tiles = f" in tiles of {self.tiling.tile} px" if self.tiling else ""
        return f"<Predictor of {len(self.names)} classes at {self.size} px{tiles}, {self.runtime!r}>"

    @property
    def names(self) -> tuple[str, ...]:
        """Of the K classes."""
        return self.runtime.names

    @property
    def size(self) -> int:
        """Side of the network's square input, px."""
        return self.runtime.size

    @property
    def lowest_score(self) -> float:
        """`min_score`, or the lowest of the classes'."""
        return float(np.min(self.min_score))

    def to(self, device: Any) -> "Predictor":
        """Move the network to another device (`cpu`, `cuda`, `cuda:1`, `mps`); returns itself.

        Raises:
            UserError: there is no such device, or this runtime cannot move.
        """
        move = getattr(self.runtime, "to", None)
        if move is None:
            raise UserError(f"{type(self.runtime).__name__} cannot move to {device}; it runs where it was made")
        move(device)
        return self

    @overload
    def __call__(self, source: list[Any] | tuple[Any, ...]) -> list[Result]: ...

    @overload
    def __call__(self, source: OneImage) -> Result: ...

    def __call__(self, source: OneImage | list[Any] | tuple[Any, ...]) -> Result | list[Result]:
        """What is found in an image, a file or uint8 RGB [height, width, 3] or a Pillow image; a list gives a list.

        Raises:
            UserError: an image cannot be read, or is none.
        """
        many = isinstance(source, (list, tuple))
        entries: Any = source if many else [source]
        for entry in entries:
            _check_not_many(entry)
        items = find_items(source)
        for item in items:
            if item.medium != "image":
                raise _not_one_image(item.name)
        results = list(self.predict_items(items))
        return results if many else results[0]

    def stream(
        self,
        source: Any,
        on_error: Callable[[UserError], Any] | None = None,
        on_note: Callable[[str], Any] = say_nothing,
    ) -> Iterator[Result]:
        """An iterator over the `Result` of every image of `source` (see `sources.find_items`), in order.

        A file that cannot be read, or breaks off, is given to `on_error` as a `UserError` and the others go on; without
        `on_error` it raises. A `source` that is not there raises at once. `on_note` gets a sentence for each folder or
        pattern of which something is left out.
        """
        on_error = on_error or raise_error
        return self.predict_items(find_items(source, on_error, on_note), on_error, on_note)

    def predict_items(
        self,
        items: Iterable[Item],
        on_error: Callable[[UserError], Any] = raise_error,
        on_note: Callable[[str], Any] = say_nothing,
    ) -> Generator[Result, None, None]:
        """`stream` for sources that `find_items` has found."""
        with closing(read_frames(items, on_error, on_note)) as frames:
            yield from self.predict_frames(frames, on_error)

    def predict_frames(
        self, frames: Iterable[Frame], on_error: Callable[[UserError], Any] = raise_error
    ) -> Generator[Result, None, None]:
        """The `Result` of each frame, in order; an image that makes too many tiles is given to `on_error`.

        While the network computes some, the next ones are made ready and the last ones looked through, in threads; a
        frame of a live source is waited for before the next one is asked for, which is the newest then.
        """
        at_once = getattr(self.runtime, "calls", 1)
        running: deque[tuple[list[Frame], Future[list[Candidates]]]] = deque()
        with ThreadPoolExecutor(at_once, thread_name_prefix="detect") as pool:
            for batch in self._batches(self._tileable(frames, on_error)):
                running.append((batch, pool.submit(self.detect_batch, [frame.image for frame in batch])))
                while len(running) > (0 if batch[-1].medium == "live" else at_once):
                    yield from self._results(*running.popleft())
            while running:
                yield from self._results(*running.popleft())

    def _tileable(self, frames: Iterable[Frame], on_error: Callable[[UserError], Any]) -> Iterator[Frame]:
        """The frames without the images that make too many tiles."""
        for frame in frames:
            try:
                if frame.medium == "image":
                    self._views(frame.image)
            except UserError as error:
                on_error(UserError(f"{printable(frame.source)}: {error}", argument="tile"))
            else:
                yield frame

    def _batches(self, frames: Iterable[Frame]) -> Iterator[list[Frame]]:
        """The frames that go through the network together."""
        waiting: list[Frame] = []
        for frame in frames:
            waiting.append(frame)
            if len(waiting) >= self.batch or frame.medium == "live":
                yield waiting
                waiting = []
        if waiting:
            yield waiting

    def detect_batch(self, images: Sequence[np.ndarray]) -> list[Candidates]:
        """Images, uint8 RGB [h_i, w_i, 3] of any sizes -> what NMS leaves of each, boxes in image px.

        Raises:
            UserError: the network puts out boxes that are no finite numbers, or an image makes too many tiles.
        """
        views = [self._views(image) for image in images]
        parts = [view.cut(image) for image, of_one in zip(images, views, strict=True) for view in of_one]
        at_once = max(len(images), self.batch, AT_ONCE)
        found = (
            one for start in range(0, len(parts), at_once) for one in self._detect_views(parts[start : start + at_once])
        )
        return [self._merged(list(islice(found, len(of_one))), of_one) for of_one in views]

    def _views(self, image: np.ndarray) -> list[View]:
        height, width = image.shape[:2]
        return self.tiling.views(width, height) if self.tiling else [View(0, 0, width, height)]

    def _merged(self, found: list[Candidates], views: list[View]) -> Candidates:
        """What is found in the views of an image -> of the image: pieces joined, and one NMS over all of it."""
        if len(views) == 1 or not self.tiling:
            return found[0]
        corners = (np.array([view.left, view.top] * 2, dtype=np.float32) for view in views)
        placed = [of._replace(boxes=of.boxes + corner) for of, corner in zip(found, corners, strict=True)]
        joined = self.tiling.merged(placed, views)
        return nms(joined, limit=self.max_detections, **self.nms | {"vote": False})  # each view has had its votes

    def _detect_views(self, images: Sequence[np.ndarray]) -> list[Candidates]:
        """`detect_batch` of one image or more as they are, through the network at once."""
        frames = [Letterbox(image.shape[1], image.shape[0], self.size) for image in images]
        fitted = [frame.apply(image) for frame, image in zip(frames, images, strict=True)]
        squares = np.stack(fitted) if len(fitted) > 1 else fitted[0][None]
        found = []
        for frame, candidates in zip(frames, self._candidates(squares), strict=True):
            with np.errstate(invalid="ignore", over="ignore"):  # boxes that are no numbers, said below
                kept = nms(candidates, limit=self.max_detections, **self.nms)
            _check_finite(kept)
            found.append(kept._replace(boxes=frame.undo(kept.boxes)))
        return found

    def _candidates(self, squares: np.ndarray) -> list[Candidates]:
        """uint8 RGB [B, size, size, 3] -> of each image the candidates above `min_score`, boxes in network px."""
        candidates = self.runtime(squares, self.lowest_score)
        if isinstance(self.min_score, numbers.Real):
            return candidates
        least = np.asarray(self.min_score, dtype=np.float32)
        kept = ((found, found.scores > least[found.labels]) for found in candidates)
        return [Candidates(*(column[chosen] for column in found)) for found, chosen in kept]

    def _results(self, frames: list[Frame], detected: "Future[list[Candidates]]") -> Iterator[Result]:
        for frame, found in zip(frames, detected.result(), strict=True):
            yield Result(*found, self.names, frame)

    def _check(self) -> None:
        is_one = not isinstance(self.min_score, (list, tuple, np.ndarray))
        scores: Any = [self.min_score] if is_one else self.min_score
        if not all(_is_number(score, 0, 1) for score in scores):
            raise UserError(f"min_score is {self.min_score}; give a number from 0 to 1")
        if not is_one and len(scores) != len(self.names):
            raise UserError(
                f"min_score has {len(scores)} numbers; give one, or one for each of {len(self.names)} classes"
            )
        for name in ("max_detections", "batch"):
            if type(getattr(self, name)) is not int or getattr(self, name) < 1:
                raise UserError(f"{name} is {getattr(self, name)}; give a whole number from 1")
        for option in self.nms:
            if option not in NMS_OPTIONS:
                raise UserError(f"nms has no option '{option}'{nearest(option, NMS_OPTIONS)}")
        beta = self.nms.get("beta", 1)
        if not _is_number(self.nms.get("threshold", 0), -1, 1) or not (_is_number(beta, 0, math.inf) and beta):
            raise UserError("nms threshold must be a number from -1 to 1 and nms beta above 0")
        if not all(isinstance(self.nms.get(name, True), bool) for name in ("per_class", "vote")):
            raise UserError("nms per_class and nms vote must be true or false")
        overlap = self.nms.get("overlap", OVERLAPS[0])
        if overlap not in OVERLAPS:
            raise UserError(f"nms overlap is '{overlap}'{nearest(overlap, OVERLAPS)}")


def _is_number(value: Any, low: float, high: float) -> bool:
    """Whether it is a number from `low` to `high`."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and low <= float(value) <= high


def _check_finite(found: Candidates) -> None:
    """Raise UserError where a network has put out boxes that are no finite numbers."""
    broken = int((~np.isfinite(found.boxes).all(axis=1)).sum())
    if broken:
        raise UserError(
            f"{broken} of {len(found.boxes)} detections in an image have a box that is no finite number; the model's "
            "weights are likely broken, look for NaN in training"
        )


def _check_not_many(source: Any) -> None:
    """Raise UserError for a folder or a pattern."""
    if isinstance(source, (str, os.PathLike)):
        path = os.fspath(source)
        is_pattern = glob.has_magic(path) and "://" not in path and not os.path.exists(path)
        if is_pattern or os.path.isdir(path):
            raise _not_one_image(path)


def _not_one_image(name: str) -> UserError:
    return UserError(f"{printable(name)}: not an image; use stream for videos, folders, patterns and live sources")
