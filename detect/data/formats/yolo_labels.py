"""Darknet's and Ultralytics' label files: a line an object, with shares of the image's sides."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from detect.data.formats.reader import Fault, short
from detect.data.formats.text_reader import MAX_LABEL_BYTES, TextReader, parse_number, read_lines, sizes_of
from detect.errors import UserError
from detect.files import printable

SPILL = 0.5  # share of a side by which a box may reach over the image; more are px


class YoloReader(TextReader):
    """Images with a text file each: `CLASS X Y WIDTH HEIGHT`, the middle and the sides as shares of the image's.

    A sixth number is a detector's score; a polygon, CLASS X Y X Y X Y ..., becomes the box around it. An image without
    a label file holds no objects. Category ids are the numbers of the classes, from 0 on.

    Args:
        source: the file or folder that describes the data, for messages.
        images: paths of the image files.
        labels: of their label files; None where an image has none.
        names: of the classes.
        unlisted: images that a list names and that are nowhere: (file and line, name).
        keypoints: numbers that follow each box of a pose label (data.yaml's kpt_shape), left out.
    """

    def __init__(
        self, source: Path, images: Sequence[str], labels: Sequence[str | None], names: Sequence[str],
        unlisted: Sequence[tuple[str, str]] = (), keypoints: int = 0,
    ) -> None:  # fmt: skip
        super().__init__(source)
        self._images, self._labels, self._names = images, labels, names
        self._unlisted, self._keypoints = unlisted, keypoints

    def _read(self) -> Iterator[Fault]:
        yield from self.name_classes(self._names, 0, str(self.source))
        for where, name in self._unlisted:
            yield Fault("image.file_name", where, f"names {short(name)}, which is not in {self.source.parent}")
        if not self._images:
            yield Fault("images.empty", str(self.source), "names a split without images")
        for image, label, size in zip(self._images, self._labels, sizes_of(self._images), strict=True):
            if isinstance(size, str):
                yield Fault("image.size", image, size)
                continue
            self.images.append(len(self.images) + 1, image, *size)
            if label is not None:
                yield from self._read_labels(label, size)
        self.seal()
        unlabelled = sum(label is None for label in self._labels)
        if unlabelled:
            self.notes.append(
                f"{self.source}: {unlabelled} of {len(self._labels)} images have no label file: no objects"
            )
        if self.outlines:
            self.notes.append(f"{self.source}: {self.outlines} polygons became the boxes around them")

    def _read_labels(self, path: str, size: tuple[int, int]) -> Iterator[Fault]:
        try:
            lines = read_lines(path, MAX_LABEL_BYTES)
        except UserError as error:
            yield Fault("labels.form", path, str(error).removeprefix(f"{printable(path)}: "))
            return
        file = self.add_file(path)
        for line, text in enumerate(lines, 1):
            words = text.split()
            if words:
                fault_id, sentence = self._read_line(file, line, words, size)
                if sentence:
                    is_bad_box = fault_id == "box.pixels"
                    yield Fault(fault_id, f"{path}:{line}", sentence, is_bad_box)

    def _read_line(self, file: int, line: int, words: list[str], size: tuple[int, int]) -> tuple[str, str]:
        """Add the box of a line, or return the id and sentence of what is wrong with it."""
        numbers = [parse_number(word) for word in words]
        if None in numbers:
            word = words[numbers.index(None)]
            return "box.form", f"{short(word)} is no finite number; a line is CLASS X Y WIDTH HEIGHT"
        label, *values = [number for number in numbers if number is not None]
        if self._keypoints and len(values) == 4 + self._keypoints:
            values = values[:4]
        if label != int(label) or not 0 <= label < len(self.categories):
            count = len(self.categories)
            return "box.category_id", f"class {words[0]}, but there are {count} classes (0 to {count - 1})"
        score = values.pop() if len(values) == 5 else math.nan
        if not (math.isnan(score) or 0 <= score <= 1):
            return "box.score", f"has the score {score:g}; a detector's score is from 0 to 1"
        if len(values) != 4 and (len(values) < 6 or len(values) % 2):
            return "box.form", f"has {len(words)} numbers; a box has 5 (CLASS X Y WIDTH HEIGHT), a polygon 7, 9, ..."
        if max(values) > 1 + SPILL or min(values) < -SPILL:
            return (
                "box.pixels",
                f"has the value {max(values, key=abs):g}; YOLO's are shares of the image's sides, 0 to 1",
            )
        if len(values) > 4:
            self.outlines += 1
        self.add_box(file, line, len(self.images) - 1, int(label), _to_px(values, size), score=score)
        return "", ""


def _to_px(values: Sequence[float], size: tuple[int, int]) -> tuple[float, float, float, float]:
    """The box xywh in px of a line's shares: middle and sides, or the points of a polygon."""
    width, height = size
    if len(values) == 4:
        x, y, w, h = values
        return (x - w / 2) * width, (y - h / 2) * height, w * width, h * height
    xs, ys = values[::2], values[1::2]
    return min(xs) * width, min(ys) * height, (max(xs) - min(xs)) * width, (max(ys) - min(ys)) * height
