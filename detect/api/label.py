"""One's own photos labelled by a detector: `label`."""

from typing import Any

from detect.api.load import AnyPath, open_detector
from detect.api.say import Say, quiet
from detect.inference.labels import Photos, label_files


def label(
    weights: AnyPath,
    source: Photos,
    out: AnyPath,
    *,
    min_score: float | str = 0.05,
    overwrite: bool = False,
    cfg: AnyPath | None = None,
    names: AnyPath | None = None,
    batch: int = 1,
    log: Say = quiet,
    warn: Say = quiet,
    **options: Any,
) -> dict[str, Any]:
    """Label photos with a detector: one COCO JSON file, whose boxes have a `score`, to be corrected or learnt from.

    Args:
        weights, cfg, names, batch, options: as in `load`.
        source: a folder (its images, subfolders not), an image, or a glob pattern; file names are relative to the
            folder, to the image's folder, or to the part of the pattern before the first wildcard. Of a list of these,
            they are relative to the folder that all have in common.
        out: the .json to write. One that is there is replaced if it has the content that was left, or with `overwrite`.
        min_score: detections at or below it are left out; low, so that whoever learns from them can choose. "auto" as
            in `load`.
        log: called with a line for each image.
        warn: called with each note on the weights and each sentence on a file that could not be labelled.

    Returns:
        {"file": path of the labels, "folder": that file names are relative to, "images", "boxes": their numbers,
        "counts": boxes by class name, "limited": number of images with `max_detections`, where there may be more,
        "errors": a sentence for each file that could not be labelled}

    Raises:
        UserError: weights or source cannot be used, or `out` holds something else or cannot be written.
    """
    opened = open_detector(weights, cfg, names, min_score=min_score, batch=batch, **options)
    for note in opened.notes:
        warn(note)
    return {**label_files(opened.predictor, opened.categories, source, out, overwrite, log, warn)}
