"""Where images come from: files, folders, glob patterns, videos, webcams, streams and arrays, all as `Item`s."""

import glob
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple, NoReturn

import numpy as np
from PIL import Image

from detect.errors import UserError
from detect.files import cannot_read, hidden, is_text, missing, printable
from detect.inference.address import name_of
from detect.ops.image import IMAGE_SUFFIXES, is_image

VIDEO_SUFFIXES = frozenset(
    (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv")
    + (".flv", ".ts", ".mts", ".m2ts", ".3gp", ".ogv", ".mjpeg", ".mjpg")
)
PHOTO_SUFFIXES = IMAGE_SUFFIXES | {".heic", ".heif", ".hif"}  # these cannot be read, and that is said of each
LAST_WEBCAM = 99_999
PLAYLISTS = (".m3u8", ".sdp")  # texts that FFmpeg opens as a video

Medium = Literal["image", "video", "live"]
Source = str | os.PathLike[str] | int | np.ndarray | Image.Image | Sequence[Any]  # see `find_items`
OnError = Callable[[UserError], object]
OnNote = Callable[[str], object]


@dataclass(frozen=True)
class Frame:
    """One image and where it comes from.

    `index` counts from 0 within its source, those that are passed over too; `time` is in seconds since the first frame
    of its source; `fps` (of the frames that are looked at) and `total` (frames of the source) are what the source says
    about itself. The three are None where they mean nothing. `medium` is `image`, `video` (no frame is lost) or `live`
    (late frames are dropped; `dropped` so far), and `clock`, of a live source alone, when the frame came: seconds since
    1970. `item` is the source's place among those of a run: names may be the same.
    """

    image: np.ndarray  # uint8 RGB [height, width, 3]
    source: str  # as in messages and results: no passwords
    index: int = 0
    time: float | None = None
    fps: float | None = None
    total: int | None = None
    medium: Medium = "image"
    dropped: int = 0
    note: str = ""  # what was chosen where the image's file leaves a choice
    clock: float | None = None
    item: int = 0

    @property
    def clock_text(self) -> str | None:
        """`clock` as ISO 8601, to the ms, in the machine's time zone: 2026-11-28T18:10:00.250+01:00."""
        if self.clock is None:
            return None
        return datetime.fromtimestamp(self.clock).astimezone().isoformat(timespec="milliseconds")


def ended_by(frame: Frame, last_frames: Mapping[int, Frame]) -> list[int]:
    """Which sources, by their place, are at their end when `frame` comes: files are read one by one, before live ones.

    Args:
        last_frames: a frame of each source that is known, by its place.
    """
    return [item for item, last in last_frames.items() if last.medium != "live"] if frame.index == 0 else []


class Item(NamedTuple):
    """One source to open: `value` is a path, an address, a webcam's number, an array or a Pillow image."""

    medium: Medium
    name: str  # as in messages and results
    value: Any


def raise_error(error: UserError) -> NoReturn:
    """What happens to a `UserError` about one of several sources when the caller does not collect them."""
    raise error


def say_nothing(note: str) -> None:
    """What happens to a note on what is left out when the caller does not ask for it."""


def find_items(source: Source, on_error: OnError = raise_error, on_note: OnNote = say_nothing) -> list[Item]:
    """What `source` stands for, as a list of `Item`; nothing is decoded yet.

    Of a folder and of a pattern it takes what is an image (or video) by its name or its content. A path that is there
    comes before other meanings: of a name in digits the file or folder, of `[brackets]` those of the name.

    Args:
        source: an image or video file, a folder (its images, sorted; subfolders not), a glob pattern, the number of
            a webcam (int or str), the address of a stream, a NumPy RGB array, a Pillow image, or a list of these.
        on_error: called with the `UserError` of a list's entry that is not there; the others go on. A single `source`
            that is not there raises.
        on_note: called with a sentence for each folder or pattern of which something was left out: what, and why.
    """
    if not isinstance(source, (list, tuple)):
        return _items_of(source, 0, on_note)
    items = []
    for number, entry in enumerate(source):
        try:
            items += _items_of(entry, number, on_note)
        except UserError as error:
            on_error(error)
    return _apart(items)


def _apart(items: Iterable[Item]) -> list[Item]:
    """The `items`, of which live ones have names of their own: what tells two addresses apart may not be shown."""
    names: Counter[str] = Counter()
    apart = []
    for item in items:
        names[item.name] += item.medium == "live"
        again = names[item.name] > 1
        apart.append(item._replace(name=f"{item.name} ({names[item.name]})") if again else item)
    return apart


def _items_of(source: Source, number: int, on_note: OnNote) -> list[Item]:
    """The `Item`s of one source; `number` is its place in the list that names an array."""
    if isinstance(source, (np.ndarray, Image.Image)):
        return [Item("image", f"image{number}", source)]
    if isinstance(source, (int, np.integer)) and not isinstance(source, bool):
        if abs(source) > LAST_WEBCAM:
            raise UserError(f"source is {source}; the numbers of webcams go up to {LAST_WEBCAM}")
        return [Item("live", f"webcam{source}", int(source))]
    if not isinstance(source, (str, os.PathLike)) or not str(source):
        raise UserError(
            f"source is {printable(repr(source))[:80]}; "
            "give a file, a folder, a pattern, the number of a webcam, an address or an RGB array"
        )
    text = os.fspath(source)
    webcam = text.removeprefix("/dev/video")
    if webcam.isascii() and webcam.isdigit() and len(webcam) <= len(str(LAST_WEBCAM)):
        if webcam != text or not os.path.exists(text):
            return [Item("live", f"webcam{int(webcam)}", int(webcam))]
        on_note(f"{text}: is taken for the file or folder of this name; the webcam is /dev/video{text}")
    if "://" in text:
        return [Item("live", name_of(text), text)]
    if os.path.isdir(text):
        return _in_folder(text, on_note)
    if os.path.isfile(text):
        return [_file(text)]
    if glob.has_magic(text):
        return _in_pattern(text, on_note)
    raise missing(text)


def _in_folder(folder: str, on_note: OnNote) -> list[Item]:
    try:
        names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except OSError as error:
        raise cannot_read(folder, error) from error
    items, left_out = _chosen([os.path.join(folder, name) for name in names], ("image",))
    if not items:
        raise UserError(
            f"{printable(folder)}: the folder holds no images{left_out and f' but {left_out}'} (subfolders are not "
            f"searched); give a folder of images, or '{printable(os.path.join(folder, '*.mp4'))}' for videos"
        )
    if left_out:
        on_note(f"{printable(folder)}: left out are {left_out}")
    return items


def _in_pattern(pattern: str, on_note: OnNote) -> list[Item]:
    folder, wildcards = split_pattern(pattern)
    found = sorted(glob.glob(wildcards, root_dir=folder or None, recursive=True))
    paths = [path for path in (os.path.join(folder, name) for name in found) if not os.path.isdir(path)]
    items, left_out = _chosen(paths, ("image", "video"))
    if not items:
        where = printable(hidden(Path(pattern).absolute()))
        raise UserError(
            f"{printable(hidden(pattern))}: no image or video fits this pattern{left_out and f' but {left_out}'} "
            f"(tried {where}); check the path"
        )
    if left_out:
        on_note(f"{printable(pattern)}: left out are {left_out}")
    return items


def split_pattern(pattern: str | os.PathLike[str]) -> tuple[str, str]:
    """(the folder before the first wildcard, the rest) of a glob pattern; a part that is there by its name is none."""
    parts = Path(pattern).parts
    plain = 0
    for part in parts[:-1]:
        if glob.has_magic(part) and not os.path.lexists(os.path.join(*parts[: plain + 1])):
            break
        plain += 1
    return os.path.join("", *parts[:plain]), os.path.join(*parts[plain:])


def _chosen(paths: Iterable[str], media: Collection[str]) -> tuple[list[Item], str]:
    """(the `Item`s of those `paths` that are of the `media`, what the others are: words, or nothing)."""
    items: list[Item] = []
    others: dict[str, list[str]] = {}
    for path in paths:
        kind = _kind_of(path)
        if kind in ("image", "video") and kind in media:
            items.append(Item(kind, path, path))
        else:
            others.setdefault(kind, []).append(printable(os.path.basename(path)))
    words = [f"{len(names)} {kind}{'s' * (len(names) > 1)} ({_few(names)})" for kind, names in sorted(others.items())]
    return items, ", ".join(words)


def _few(names: Sequence[str]) -> str:
    return ", ".join([*names[:2], *(["..."] if len(names) > 2 else [])])


def _kind_of(path: str) -> Literal["image", "video", "folder", "dead link", "text", "other file"]:
    """What is at `path`: by its suffix, or else by its content."""
    if os.path.isdir(path):
        return "folder"
    if os.path.exists(path) and not os.path.isfile(path):  # a pipe: reading it might never end
        return "other file"
    suffix = Path(path).suffix.lower()
    if suffix in PHOTO_SUFFIXES:
        return "image"
    if suffix in VIDEO_SUFFIXES:
        return "video"
    if not os.path.exists(path):
        return "dead link"
    if is_image(path):
        return "image"
    return "text" if is_text(path) else "other file"


def _file(path: str) -> Item:
    kind = _kind_of(path)
    if kind == "text" and Path(path).suffix.lower() not in PLAYLISTS:
        raise UserError(f"{printable(path)}: is a text; if it lists images or videos, give those themselves")
    return Item("image" if kind == "image" else "video", path, path)
