"""One's own photos labelled by a detector: what it finds as one COCO JSON file, to be corrected or learnt from."""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, TypedDict

from detect.errors import UserError
from detect.files import leads_out, made_folder, name_problem, printable, read_json, write_text
from detect.inference.pipeline import FramePredictor
from detect.inference.progress import ProgressSink, above_bars
from detect.inference.reading import read_frames
from detect.inference.result import Result
from detect.inference.sources import Item, OnError, OnNote, find_items, split_pattern
from detect.interrupt import held

LEAST_SIDE = 1.0  # px: boxes of less width or height are left out
ORIGIN = "found by detect label, checked by nobody"  # what a file says of itself


Photos = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]  # see `label_files`


class LabelSummary(TypedDict):
    """What `label_files` tells at its end."""

    file: str  # path of the labels
    folder: str  # that its file names are relative to
    images: int  # labelled, with boxes or without
    boxes: int
    counts: dict[str, int]  # boxes by class name; classes without any are left out
    limited: int  # images in which as many were found as the predictor shows at the most: there may be more
    errors: list[str]  # one sentence for each file that could not be labelled; the others were


def label_files(
    predictor: FramePredictor,
    categories: Sequence[Mapping[str, Any]],
    source: Photos,
    out: str | os.PathLike[str],
    overwrite: bool = False,
    log: Callable[[str], object] = print,
    warn: Callable[[str], object] | None = None,
) -> LabelSummary:
    """Detect in photos and write `out`, a COCO JSON file, whole or not at all.

    Its `images` have id, file_name (relative to the photos' folder), width and height in px, its `categories` are the
    detector's, its `annotations` have id, image_id, category_id, bbox [left, top, width, height] in px of the upright
    image, area in px², iscrowd 0 and score. Images in which nothing was found are in it as well.

    A file that is there is replaced if it has the content that this function left; its `info` holds the SHA-256 of the
    rest.

    Args:
        predictor: finds things; its `min_score` says how sure it has to be.
        categories: `{"id", "name"}` of label 0..K-1.
        source: a folder (its images, subfolders not), an image, or a glob pattern; file names are relative to the
            folder, to the image's folder, or to the part of the pattern before the first wildcard. Of a list of these,
            they are relative to the folder that all have in common.
        overwrite: replace whatever file is there.
        log: called with a line for each image.
        warn: called with each sentence on a file that could not be labelled or was left out; `log` by default.

    Raises:
        UserError: there is nothing to label, `out` holds something else, or it cannot be written.
        KeyboardInterrupt: Ctrl-C, or another signal that asks to stop; what was found so far is written.
    """
    say, tell = above_bars(log), above_bars(warn or log)
    errors: list[str] = []

    def note(error: UserError) -> None:
        errors.append(str(error))
        tell(f"error: {error}")

    out = checked_out(out, overwrite)
    items, folder = find_photos(source, note, tell)
    made_folder(out.parent)
    labels, limited = Labels(folder, categories), 0
    progress = ProgressSink(say, tell, len(items))
    frames = read_frames(items, note)
    with progress, closing(frames), closing(predictor.predict_frames(frames, note)) as results:
        try:
            for result in results:
                with held():
                    progress.write(result)
                    labels.add(result)
                    limited += len(result) >= predictor.max_detections
        except KeyboardInterrupt:
            if labels.images:
                with held():
                    labels.write(out)
                say(f"interrupted after {len(labels.images)} of {len(items)} images; their labels are in {out}")
            raise
    if not labels.images:
        where = printable(source if isinstance(source, (str, os.PathLike)) else folder)
        raise UserError(f"{where}: none of its {len(items)} images can be read; nothing was written")
    labels.write(out)
    return {
        "file": str(out),
        "folder": str(folder),
        "images": len(labels.images),
        "boxes": len(labels.annotations),
        "counts": labels.counts(),
        "limited": limited,
        "errors": errors,
    }


def find_photos(source: Photos, on_error: OnError, on_note: OnNote) -> tuple[list[Item], Path]:
    """(the images of `source`, the folder that their names are relative to).

    Videos, links that lead out of the folder and files whose name no label file can hold are given to `on_error`;
    `on_note` as in `find_items`.

    Raises:
        UserError: no image is left.
    """
    sources: Sequence[Any] = source if isinstance(source, (list, tuple)) else [source]
    for entry in sources:
        if not isinstance(entry, (str, os.PathLike)):
            raise UserError(f"source is {printable(repr(entry))[:80]}; give a folder, an image or a pattern")
    try:
        folder = Path(os.path.commonpath([str(_folder_of(entry)) for entry in sources]))
    except ValueError as fault:  # no sources, or of several drives
        raise UserError("the photos have no folder in common; label those of each folder on their own") from fault
    photos, refused = [], []
    for item in dict.fromkeys(find_items(source, on_error, on_note)):
        name = printable(item.name)
        if item.medium == "live":
            raise UserError(f"{name}: only image files can be labelled; give a folder, an image or a pattern")
        if item.medium == "video":
            refused.append(UserError(f"{name}: is no image; videos cannot be labelled, save their frames as images"))
        elif name_problem(_name_within(folder, item.value)):
            refused.append(UserError(f"{name}: such a file name cannot stand in a label file; rename it"))
        elif leads_out(item.value, folder):
            refused.append(UserError(f"{name}: is a link to a file outside {printable(folder)}; copy the file there"))
        else:
            photos.append(item)
    if not photos:
        raise refused[0] if refused else UserError(f"{printable(folder)}: none of the photos given is there")
    for error in refused:
        on_error(error)
    return photos, folder


def _folder_of(source: str | os.PathLike[str]) -> Path:
    """The folder that file names are relative to."""
    path = Path(source)
    if os.path.isdir(path):
        return path
    if os.path.isfile(path):
        return path.parent
    return Path(split_pattern(source)[0])


def _name_within(folder: Path, path: str | os.PathLike[str]) -> str:
    """A file's name relative to the folder, with slashes."""
    return Path(path).relative_to(folder).as_posix()


class Labels:
    """The records of a label file, image after image.

    Args:
        folder: that file names are relative to.
        categories: `{"id", "name"}` of label 0..K-1.
    """

    def __init__(self, folder: Path, categories: Sequence[Mapping[str, Any]]) -> None:
        self.folder = folder
        self.categories = [{"id": category["id"], "name": category["name"]} for category in categories]
        self.images: list[dict[str, Any]] = []
        self.annotations: list[dict[str, Any]] = []

    def add(self, result: Result) -> None:
        """Take one more image with its detections."""
        height, width = result.image.shape[:2]
        image_id = len(self.images) + 1
        name = _name_within(self.folder, result.source)
        self.images.append({"id": image_id, "file_name": name, "width": width, "height": height})
        for box, score, label in zip(result.boxes, result.scores, result.labels, strict=True):
            left, top, right, bottom = (round(float(side), 2) for side in box)
            sides = round(right - left, 2), round(bottom - top, 2)
            if min(sides) >= LEAST_SIDE:
                self.annotations.append(
                    {
                        "id": len(self.annotations) + 1,
                        "image_id": image_id,
                        "category_id": self.categories[label]["id"],
                        "bbox": [left, top, *sides],
                        "area": round(sides[0] * sides[1], 2),
                        "iscrowd": 0,
                        "score": round(float(score), 4),
                    }
                )

    def counts(self) -> dict[str, int]:
        """Number of boxes by class name, in the order of the classes; classes without any are left out."""
        found = Counter(annotation["category_id"] for annotation in self.annotations)
        return {c["name"]: found[c["id"]] for c in self.categories if found[c["id"]]}

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the file, a record a line, whole or not at all.  Raises UserError."""
        content = {"images": self.images, "categories": self.categories, "annotations": self.annotations}
        parts = [f'"info": {json.dumps(_info(content))}']
        parts += [f'"{key}": [\n{_lines(records)}\n]' for key, records in content.items()]
        write_text(path, "{" + ",\n".join(parts) + "}\n")


def _lines(records: Iterable[object]) -> str:
    return ",\n".join(json.dumps(record, allow_nan=False) for record in records)


# ---- what may be replaced ------------------------------------------------------------------------------------------


def checked_out(out: str | os.PathLike[str], overwrite: bool) -> Path:
    """The path of the labels.  Raises UserError: they must not be written there."""
    path = Path(out)
    if path.suffix.lower() != ".json":
        raise UserError(f"{printable(path)}: must end in .json", argument="out")
    if os.path.exists(path) and not overwrite and not _is_untouched(path):
        raise UserError(
            f"{printable(path)}: is there already with other content than detect label left, corrected by hand "
            "perhaps; give another name, or the option overwrite to replace it",
            argument="out",
        )
    return path


def _is_untouched(path: Path) -> bool:
    """Whether a file has the content of labels as they were written; spaces and lines do not count."""
    try:
        content = read_json(path)
    except UserError:
        return False
    return isinstance(content, dict) and content.get("info") == _info(content)


def _info(content: Mapping[str, Any]) -> dict[str, str]:
    """The `info` of a label file: what it is, and the SHA-256, in hexadecimal digits, of what it holds beside."""
    rest = {key: value for key, value in content.items() if key != "info"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"))
    return {"description": ORIGIN, "sha256": hashlib.sha256(text.encode()).hexdigest()}
