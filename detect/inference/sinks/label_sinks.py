"""Detections as YOLO's text files, and cut out of their images."""

from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from detect.files import cannot_write, check_space
from detect.inference.result import Result
from detect.inference.sinks.output_names import FrameNames, OutputNames, safe_names
from detect.inference.sources import Frame

RESERVE = 1 << 20  # bytes of the disk that are left free


class YoloSink:
    """Writes a text file for each frame into a new folder `labels`, and `classes.txt` with the names of the classes.

    A line for each detection: its class from 0, its middle, width and height, in parts of the image's width and height.

    Args:
        names: in whose folder it is made.
        classes: the names of the K classes.
    """

    def __init__(self, names: OutputNames, classes: tuple[str, ...]) -> None:
        self._names = names
        self._classes = classes
        self._frame_names = FrameNames()
        self._folder: Path | None = None

    def write(self, result: Result) -> None:
        if self._folder is None:
            self._folder = self._names.new_folder("labels")
            classes = "".join(f"{name.splitlines()[0] if name else ''}\n" for name in self._classes)
            write_new(self._folder / "classes.txt", classes.encode())
        height, width = result.image.shape[:2]
        left, top, right, bottom = np.clip(result.boxes / [width, height, width, height], 0, 1).T
        rows = zip(result.labels, (left + right) / 2, (top + bottom) / 2, right - left, bottom - top, strict=True)
        text = "".join(f"{label} {x:.6f} {y:.6f} {w:.6f} {h:.6f}\n" for label, x, y, w, h in rows)
        write_new(self._folder / f"{self._name(result.frame)}.txt", text.encode())

    def _name(self, frame: Frame) -> str:
        name = self._frame_names.of(frame)
        return f"{name}-image" if name.lower() == "classes" else name


class CropSink:
    """Writes each detection as a .jpg of its own, into a folder for its class in a new folder `crops`.

    Args:
        names: in whose folder it is made.
        classes: the names of the K classes, which are made safe to be names of folders.
    """

    def __init__(self, names: OutputNames, classes: tuple[str, ...]) -> None:
        self._names = names
        self._classes = safe_names(classes)
        self._frame_names = FrameNames()
        self._folder: Path | None = None

    def write(self, result: Result) -> None:
        name = self._frame_names.of(result.frame)
        height, width = result.image.shape[:2]
        corners = np.clip(np.rint(result.boxes), 0, [width, height] * 2).astype(int).tolist()
        for number, ((left, top, right, bottom), label) in enumerate(zip(corners, result.labels, strict=True), 1):
            if right <= left or bottom <= top:
                continue
            file = BytesIO()
            Image.fromarray(np.ascontiguousarray(result.image[top:bottom, left:right])).save(file, "JPEG", quality=95)
            write_new(self._folder_of(int(label)) / f"{name}-{number}.jpg", file.getvalue())

    def _folder_of(self, label: int) -> Path:
        if self._folder is None:
            self._folder = self._names.new_folder("crops")
        folder = self._folder / self._classes[label]
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise cannot_write(folder, error) from error
        return folder


def write_new(path: Path, content: bytes) -> None:
    """Write a small file that is not there yet, whole or not at all.  Raises UserError."""
    check_space(path, RESERVE, "the files before it")
    try:
        with open(path, "xb") as file:
            file.write(content)
    except OSError as error:
        if not isinstance(error, FileExistsError):
            path.unlink(missing_ok=True)
        raise cannot_write(path, error) from error
