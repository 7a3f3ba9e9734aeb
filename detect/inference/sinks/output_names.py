"""What the files of a run are called: no output takes the place of a file that is none of ours."""

import itertools
import json
import mmap
import os
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from detect.files import cannot_write, shortened
from detect.inference.sources import Frame
from detect.ops.image import WRITE_FORMATS

RESERVED = ("CON", "PRN", "AUX", "NUL", *(f"{port}{n}" for port in ("COM", "LPT") for n in range(1, 10)))  # Windows
FRAME_NUMBER = re.compile(r"-\d{6,}$")  # at the end of a frame's name
LONGEST_REST = "-0000000000-00000.jpeg"  # what may follow a stem: number of a frame, of a crop, suffix
JSON_START, JSON_END = b'{"frames": [', b'\n], "'  # what stands around the frames of a JSON file of ours


class OutputNames:
    """Names for output files in one folder: never that of another output, of a source, or of any file but those that an
    earlier run wrote, which the `detections.json` of that run lists.

    Args:
        folder: where the outputs go; made if it is not there.
        sources: paths that no output may replace.

    Attributes:
        taken: paths of all files but that one, in the order they were asked for.
        folders: those that were made, each for many files.
        json: path of the JSON file.
    """

    def __init__(self, folder: str | os.PathLike[str], sources: Iterable[str | os.PathLike[str]] = ()) -> None:
        self.folder = Path(folder)
        self.taken: list[Path] = []
        self.folders: list[Path] = []
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(folder, error) from error
        self._lower_case: set[str] = set()  # the names taken; some file systems know no case
        self._uses: Counter[str] = Counter()
        self._sources = {identity for identity in map(_identity, sources) if identity}
        numbered = (self.folder / f"detections{f'-{n}' if n > 1 else ''}.json" for n in itertools.count(1))
        self.json = next(path for path in numbered if not os.path.lexists(path) or outputs_beside(path) is not None)
        self._earlier = outputs_beside(self.json) or set()  # names of earlier runs

    def take(self, source: str, suffix: str | None = None, part: str = "") -> Path:
        """A free path named after `source` (a path, an address or a word), with `suffix` or else the source's own.

        `part` follows the name where a source has several files.
        """
        own = "" if "://" in source else Path(source).suffix.lower()
        stem = stem_of(source) + part
        suffix = suffix or (own if own in WRITE_FORMATS else ".png")
        for number in itertools.count(self._uses[stem + suffix] + 1):
            rest = f"{f'-{number}' if number > 1 else ''}{suffix}"
            path = self.folder / (shortened(stem, rest) + rest)
            if self._is_free(path):
                break
        self._uses[stem + suffix] = number
        self._lower_case.add(path.name.lower())
        self.taken.append(path)
        return path

    def new_folder(self, name: str) -> Path:
        """Make the first that is not there of the folders `name`, `name`-2, ...  Raises UserError."""
        for number in itertools.count(1):
            path = self.folder / (f"{name}-{number}" if number > 1 else name)
            try:
                path.mkdir()
                self.folders.append(path)
                return path
            except FileExistsError:
                continue
            except OSError as error:
                raise cannot_write(path, error) from error
        raise AssertionError("there is always one more number")

    def ours(self) -> list[str]:
        """Names of all files in the folder that this run or an earlier one wrote."""
        return sorted(self._earlier | {path.name for path in self.taken})

    def _is_free(self, path: Path) -> bool:
        if path.name.lower() in self._lower_case:
            return False
        if path.name in self._earlier:
            return _identity(path) not in self._sources
        return not os.path.lexists(path)


class FrameNames:
    """Names, without a suffix, for files about single frames: no two frames of a run have the same one."""

    def __init__(self) -> None:
        self._stems: dict[int, str] = {}  # of the sources, by their place among those of the run
        self._taken: set[str] = set()  # stems, in small letters
        self._moving: set[str] = set()  # those of videos and live sources
        self._like_frames: set[str] = set()  # what stands before the number in those of images called like a frame

    def of(self, frame: Frame) -> str:
        """`photo` for an image, `clip-000012` for frame 12 of a video."""
        is_image = frame.medium == "image"
        if frame.item not in self._stems:
            self._stems[frame.item] = self._free_stem(stem_of(frame.source), is_image)
        return self._stems[frame.item] + ("" if is_image else f"-{frame.index:06d}")

    def _free_stem(self, plain: str, is_image: bool) -> str:
        for number in itertools.count(1):
            rest = f"-{number}" if number > 1 else ""
            stem = shortened(plain, rest + LONGEST_REST) + rest
            name, clip = stem.lower(), FRAME_NUMBER.sub("", stem.lower())
            if name in self._taken or (clip in self._moving if is_image else name in self._like_frames):
                continue
            self._taken.add(name)
            if not is_image:
                self._moving.add(name)
            elif clip != name:
                self._like_frames.add(clip)
            return stem
        raise AssertionError("there is always one more number")


def stem_of(source: str) -> str:
    """What files about `source` (a path, an address or a word) are called, without a suffix."""
    if "://" in source:
        return re.sub(r"[^A-Za-z0-9.-]+", "_", source.partition("://")[2]).strip("._")[:100] or "stream"
    return Path(source).stem


def safe_names(names: Iterable[str]) -> list[str]:
    """Words as names of folders: no two alike, none that steers a path or that a file system refuses."""
    safe: list[str] = []
    for number, name in enumerate(names):
        plain = re.sub(r"[^\w -]+", "_", name).strip(" ")[:60]
        if not plain.strip("_ ") or plain.upper() in RESERVED or plain.lower() in map(str.lower, safe):
            plain = f"{plain}-{number}" if plain.strip("_ ") else f"class-{number}"
        safe.append(plain)
    return safe


def outputs_beside(path: str | os.PathLike[str]) -> set[str] | None:
    """The names of the files that a JSON file of ours lists as written beside it; None for a file that is none."""
    try:
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            end = content.rfind(JSON_END)
            if content[: len(JSON_START)] != JSON_START or end < 0:
                return None
            return set(json.loads(JSON_START + content[end:]).get("files", ()))
    except (OSError, ValueError, TypeError, RecursionError):
        return None


def _identity(path: str | os.PathLike[str]) -> tuple[int, int] | None:
    """What tells whether two paths are the same file, or None if there is none."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino
