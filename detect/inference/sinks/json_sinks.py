"""Detections as JSON: one file, a line a frame, or COCO's format."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, Self, TextIO

from detect.files import cannot_write, check_space, replacing
from detect.inference.result import Result
from detect.inference.sinks.line_file import LineFile
from detect.inference.sinks.output_names import FRAME_NUMBER, FrameNames, OutputNames
from detect.inference.sinks.segments import Segments
from detect.inference.sources import Frame

RESERVE = 256 << 10  # bytes of the disk that are left free to finish a JSON file


class JsonSink:
    """Writes all detections to one JSON file; use it in a `with` block.

    `{"frames": [...], "names": [...], "files": [...]}` with one `Result.to_dict()` a line. Frames go to disk as they
    come and the file takes its place when the block ends, however it ends. Without a frame there is no file.

    Args:
        path: of the file.
        names: of the K classes.
        files: called when the block ends for the names of the annotated images and videos beside it.
    """

    def __init__(
        self, path: str | os.PathLike[str], names: Iterable[str], files: Callable[[], list[str]] = list
    ) -> None:
        self.path = Path(path)
        self._files = files
        self.frames = 0
        self._class_names = list(names)
        self._stack = ExitStack()
        self._file: TextIO | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is None:
            return
        names, files = json.dumps(self._class_names), json.dumps(self._files())
        try:
            with self._stack:
                self._file.write(f'\n], "names": {names}, "files": {files}}}\n')
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def write(self, result: Result) -> None:
        try:
            check_space(self.path, RESERVE, f"{self.frames} frames")
            if self._file is None:
                self._file = self._open()
            self._file.write((",\n" if self.frames else '{"frames": [\n') + result.to_json())
        except OSError as error:
            raise cannot_write(self.path, error) from error
        self.frames += 1

    def _open(self) -> TextIO:
        temporary = self._stack.enter_context(replacing(self.path))
        return self._stack.enter_context(open(temporary, "w", encoding="ascii"))


class JsonLinesSink:
    """Writes a line of JSON for each frame, `Result.to_dict()`, which is on its way to the disk at once.

    Args:
        names: what the files are called: detections.jsonl.
        segment: seconds after which the next file begins, named by the time; None for one file.
    """

    def __init__(self, names: OutputNames, segment: float | None = None) -> None:
        self._names = names
        self._segments = Segments(segment)
        self._file: LineFile | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def write(self, result: Result) -> None:
        if self._segments.begins(result.frame) or self._file is None:
            self.__exit__()
            self._file = LineFile(self._names.take("detections", ".jsonl", self._segments.name))
        self._file.write(result.to_json())


class CocoSink:
    """Writes all detections to one COCO JSON file, with scores; use it in a `with` block.

    A file is called by its name, or by its path where that name is taken; an image of a video by its source and number,
    `clip-000012.jpg`. The file takes its place when the block ends, however it ends; until then all is on the disk,
    whatever the number of frames.

    Args:
        names: what the file is called: detections.coco.json.
        categories: `{"id", "name"}` by label.
    """

    def __init__(self, names: OutputNames, categories: Sequence[Mapping[str, Any]]) -> None:
        self._names = names
        self._categories = list(categories)
        self._frame_names = FrameNames()
        self._taken: set[str] = set()  # names of images
        self._stack = ExitStack()
        self.path = names.folder
        self._images: TextIO | None = None
        self._annotations: IO[str]
        self._frames = self._boxes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._images is None:
            return
        try:
            with self._stack:
                self._images.write('\n], "annotations": [\n')
                self._annotations.seek(0)
                shutil.copyfileobj(self._annotations, self._images)
                self._images.write(f'\n], "categories": {json.dumps(self._categories)}}}\n')
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def write(self, result: Result) -> None:
        try:
            images = self._images or self._open()
            size = images.tell() + self._annotations.tell()  # the annotations are copied at the end
            check_space(self.path, RESERVE + size, f"{self._frames} frames")
            height, width = result.image.shape[:2]
            frame, self._frames = result.frame, self._frames + 1
            image = {"id": self._frames, "file_name": self._file_name(frame)}
            images.write(",\n" * (self._frames > 1) + json.dumps(image | {"width": width, "height": height}))
            found = zip(result.boxes.tolist(), result.scores.tolist(), result.labels.tolist(), strict=True)
            for box, score, label in found:
                self._boxes += 1
                self._annotations.write(",\n" * (self._boxes > 1) + json.dumps(self._annotation(box, score, label)))
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def _file_name(self, frame: Frame) -> str:
        path, stem = Path(frame.source), self._frame_names.of(frame)
        is_file = frame.medium == "image" and path.suffix
        if is_file and (stem == path.stem or not FRAME_NUMBER.search(path.stem)):  # else a video's frame has its name
            for name in (path.name, path.as_posix()):
                if name not in self._taken:
                    self._taken.add(name)
                    return name
        return stem + (path.suffix if is_file else ".jpg")

    def _annotation(self, box: list[float], score: float, label: int) -> dict[str, Any]:
        left, top, right, bottom = (round(side, 3) for side in box)
        width, height = round(right - left, 3), round(bottom - top, 3)
        return {
            "id": self._boxes,
            "image_id": self._frames,
            "category_id": self._categories[label]["id"],
            "bbox": [left, top, width, height],
            "area": round(width * height, 3),
            "iscrowd": 0,
            "score": round(score, 6),
        }

    def _open(self) -> TextIO:
        self.path = self._names.take("detections", ".coco.json")
        temporary = self._stack.enter_context(replacing(self.path))
        self._images = self._stack.enter_context(open(temporary, "w", encoding="ascii"))  # noqa: SIM115
        beside = tempfile.TemporaryFile("w+", encoding="ascii", dir=self.path.parent)  # noqa: SIM115
        self._annotations = self._stack.enter_context(beside)
        self._images.write('{"images": [\n')
        return self._images
