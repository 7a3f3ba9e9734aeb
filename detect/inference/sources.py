"""Where images come from: files, folders, glob patterns, videos, webcams, streams and arrays, all as `Frame`s."""

import glob
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, NoReturn
from urllib.parse import urlsplit

import cv2
import numpy as np
from PIL import Image

from detect.errors import UserError, nearest
from detect.files import missing, printable
from detect.inference.live import LatestImage
from detect.inference.video import FASTEST_LIVE, Video, check_end, check_size, open_capture, open_video, sane_fps
from detect.ops.image import IMAGE_SUFFIXES, is_image, read_image, to_rgb

VIDEO_SUFFIXES = frozenset(
    (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv")
    + (".flv", ".ts", ".mts", ".m2ts", ".3gp", ".ogv", ".mjpeg", ".mjpg")
)
STREAM_SCHEMES = ("rtsp", "rtsps", "rtmp", "rtmps", "http", "https", "udp", "tcp", "srt", "rtp")

Medium = Literal["image", "video", "live"]
Source = str | os.PathLike[str] | int | np.ndarray | Image.Image | Sequence[Any]  # see `find_items`
OnError = Callable[[UserError], object]


@dataclass(frozen=True)
class Frame:
    """One image and where it comes from.

    `index` counts from 0 within its source; `time` is in seconds since the first frame of its source; `fps` and `total`
    (frames of the source) are what the source says about itself. The three are None where they mean nothing.
    `medium` is `image`, `video` (every frame is read) or `live` (late frames are dropped; `dropped` so far).
    """

    image: np.ndarray  # uint8 RGB [height, width, 3]
    source: str  # as in messages and results: no passwords
    index: int = 0
    time: float | None = None
    fps: float | None = None
    total: int | None = None
    medium: Medium = "image"
    dropped: int = 0


class Item(NamedTuple):
    """One source to open: `value` is a path, an address, a webcam's number, an array or a Pillow image."""

    medium: Medium
    name: str  # as in messages and results
    value: Any


def raise_error(error: UserError) -> NoReturn:
    """What happens to a `UserError` about one of several sources when the caller does not collect them."""
    raise error


def find_items(source: Source, on_error: OnError = raise_error) -> list[Item]:
    """What `source` stands for, as a list of `Item`; nothing is decoded yet.

    Args:
        source: an image or video file, a folder (its images, sorted; subfolders not), a glob pattern, the number of
            a webcam (int or str), the address of a stream, a NumPy RGB array, a Pillow image, or a list of these.
        on_error: called with the `UserError` of a list's entry that is not there; the others go on. A single `source`
            that is not there raises.
    """
    if not isinstance(source, (list, tuple)):
        return _items_of(source, 0)
    items = []
    for number, entry in enumerate(source):
        try:
            items += _items_of(entry, number)
        except UserError as error:
            on_error(error)
    return items


def read_frames(items: Iterable[Item], on_error: OnError = raise_error) -> Generator[Frame, None, None]:
    """The `Frame`s of a list of `Item`s, one source after the other.

    A source that cannot be opened, or that breaks off, is given to `on_error` as a `UserError` and the next one
    follows; the frames before the break are yielded. Closing the iterator closes the source.
    """
    readers = {"image": _read_image, "video": _read_video, "live": _read_live}
    for item in items:
        try:
            yield from readers[item.medium](item)
        except UserError as error:
            on_error(error)


def _items_of(source: Source, number: int) -> list[Item]:
    """The `Item`s of one source; `number` is its place in the list that names an array."""
    if isinstance(source, (np.ndarray, Image.Image)):
        return [Item("image", f"image{number}", source)]
    if isinstance(source, (int, np.integer)) and not isinstance(source, bool):
        return [Item("live", f"webcam{source}", int(source))]
    if not isinstance(source, (str, os.PathLike)) or not str(source):
        raise UserError(
            f"source is {printable(repr(source))[:80]}; "
            "give a file, a folder, a pattern, the number of a webcam, an address or an RGB array"
        )
    text = os.fspath(source)
    webcam = text.removeprefix("/dev/video")
    if webcam.isascii() and webcam.isdigit():
        return [Item("live", f"webcam{int(webcam)}", int(webcam))]
    if "://" in text:
        return [_stream(text)]
    if os.path.isdir(text):
        return _in_folder(text)
    if os.path.isfile(text):
        return [_file(text)]
    if glob.has_magic(text):
        return _in_pattern(text)
    raise missing(text)


def _stream(address: str) -> Item:
    scheme, _, rest = address.partition("://")
    if scheme.lower() not in STREAM_SCHEMES:
        raise UserError(f"{printable(scheme)}://: cannot open such an address{nearest(scheme.lower(), STREAM_SCHEMES)}")
    try:
        host = urlsplit(address).hostname or "stream"
        path = urlsplit(address).path
    except ValueError:
        host, path = rest.rpartition("@")[2].split("/")[0], ""
    return Item("live", printable(f"{scheme.lower()}://{host}{path}"), address)  # neither password nor query


def _in_folder(folder: str) -> list[Item]:
    names = sorted(n for n in os.listdir(folder) if not n.startswith(".") and Path(n).suffix.lower() in IMAGE_SUFFIXES)
    paths = [os.path.join(folder, n) for n in names]
    items = [Item("image", path, path) for path in paths if os.path.isfile(path)]
    if not items:
        raise UserError(
            f"{printable(folder)}: the folder holds no images (subfolders are not searched); "
            f"give a folder of images, or '{printable(os.path.join(folder, '*.mp4'))}' for videos"
        )
    return items


def _in_pattern(pattern: str) -> list[Item]:
    paths = [p for p in sorted(glob.glob(pattern, recursive=True)) if os.path.isfile(p)]
    items = [_file(p) for p in paths if Path(p).suffix.lower() in IMAGE_SUFFIXES | VIDEO_SUFFIXES]
    if not items:
        where = printable(Path(pattern).absolute())
        raise UserError(f"{printable(pattern)}: no image or video fits this pattern (tried {where}); check the path")
    return items


def _file(path: str) -> Item:
    suffix = Path(path).suffix.lower()
    known = suffix in IMAGE_SUFFIXES | VIDEO_SUFFIXES
    image = suffix in IMAGE_SUFFIXES if known else is_image(path)
    return Item("image" if image else "video", path, path)


def _read_image(item: Item) -> Iterator[Frame]:
    value = item.value
    if isinstance(value, np.ndarray):
        if value.dtype != np.uint8 or value.ndim != 3 or value.shape[2] != 3 or not value.size:
            shape = f"{value.dtype} {list(value.shape)}"
            raise UserError(f"{item.name}: the array is {shape}; give uint8 RGB [height, width, 3]")
        yield Frame(value, item.name)
    elif isinstance(value, Image.Image):
        try:
            image = to_rgb(value, item.name)
        except (OSError, ValueError) as error:
            raise UserError(f"{item.name}: not a readable Pillow image ({error}); give another one") from error
        yield Frame(image, item.name)
    else:
        yield Frame(read_image(value), item.name)


def _read_video(item: Item) -> Iterator[Frame]:
    video = open_video(item.value)
    with closing_capture(video.capture):
        yield from _frames_of(video, item)
        check_end(video, item.value)


def _frames_of(video: Video, item: Item) -> Iterator[Frame]:
    for index, (image, time) in enumerate(video):
        yield Frame(image, item.name, index, time, video.fps, video.total, "video")


def _read_live(item: Item) -> Iterator[Frame]:
    capture = open_capture(item.value)
    if not capture.isOpened():
        advice = "check the address and the network" if isinstance(item.value, str) else "check that it is plugged in"
        raise UserError(f"{item.name}: cannot be opened; {advice}")
    check_size(capture, item.name)
    if isinstance(item.value, str) and capture.get(cv2.CAP_PROP_FRAME_COUNT) > 0:  # a file on a server: it can wait
        with closing_capture(capture):
            video = Video(capture, item.name)
            yield from _frames_of(video, item)
            check_end(video, item.name)
        return
    fps = sane_fps(capture.get(cv2.CAP_PROP_FPS), FASTEST_LIVE)
    reopen = partial(open_capture, item.value) if isinstance(item.value, str) else None
    with LatestImage(capture, item.name, reopen) as images:
        for index, (image, time) in enumerate(images):
            yield Frame(image, item.name, index, time, fps, None, "live", images.dropped)


@contextmanager
def closing_capture(capture: cv2.VideoCapture) -> Iterator[None]:
    """Release an OpenCV capture at the end of the block, however it ends."""
    try:
        yield
    finally:
        capture.release()
