"""COCO AP of detectors, top-1 and top-5 of classifiers: `evaluate`, `evaluate_classifier`."""

import os
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from detect import config
from detect.api.load import AnyPath, open_detector
from detect.api.say import Say, quiet
from detect.config.schema import ClassifierSettings, Settings
from detect.data.dataset import Dataset
from detect.data.image_folder import ImageFolder
from detect.errors import UserError
from detect.evaluation.evaluate import EVALUATION_THRESHOLDS
from detect.evaluation.report import report_classifier, report_split, report_test_dev
from detect.files import made_folder, new_folder
from detect.inference.torch_runtime import pick_device, use_threads
from detect.weights.files import read


def evaluate(
    weights: AnyPath,
    data: AnyPath | None = None,
    *,
    split: str = "val",
    images: AnyPath | None = None,
    annotations: AnyPath | None = None,
    name: str = "detect",
    out: AnyPath | None = None,
    cfg: AnyPath | None = None,
    names: AnyPath | None = None,
    batch: int = 16,
    resamples: int = 0,
    fast: bool = False,
    log: Say = quiet,
    warn: Say = quiet,
    **options: Any,
) -> dict[str, Any]:
    """COCO AP of a detector on a split of a data set, by pycocotools; writes `detections.json`.

    Args:
        weights, cfg, names, batch, options: as in `load`.
        data: a data folder or data YAML; what the weights were trained on by default.
        split: val, train, ...; of `test-dev`, which nobody but the COCO server can evaluate, the two files are written.
        images, annotations: instead of `data`, a folder of images and a COCO JSON file.
        name: of the method in test-dev files.
        out: folder for the files; the run's folder by default, else a new one in `runs`.
        resamples: of the images, for "intervals" in which 95% of their APs lie (a bootstrap).
        fast: take the numbers of the evaluator in NumPy, which are the same, instead of waiting for pycocotools.
        log: called with each line of the report.
        warn: called with each note on the weights.

    Returns:
        The twelve metrics by name, "per_class", and the numbers of "images" and "detections"; "file": the detections;
        "evaluator": "pycocotools" or "NumPy".

    Raises:
        UserError: weights or data cannot be used, or the file cannot be written.
    """
    if bool(images) != bool(annotations) or (images and data):
        raise UserError("give a folder of images with an annotations file, or data, or none of them")
    for option in options.keys() & EVALUATION_THRESHOLDS.keys():
        raise UserError(f"{option} is the same for every evaluation, {EVALUATION_THRESHOLDS[option]}; leave it out")
    opened = open_detector(weights, cfg, names, batch=batch, **options, **EVALUATION_THRESHOLDS)
    for note in opened.notes:
        warn(note)
    described: Any = None if images else _data_of(weights, opened.data, data)
    with _evaluation_folder(weights, out) as folder:
        if split == "test-dev" and described:
            return report_test_dev(opened.predictor, described, opened.categories, folder, name, batch, log)
        if annotations and images:
            dataset = Dataset.of_coco(annotations, images, bad_boxes="drop")
        else:
            dataset = Dataset.of_split(described, split)
        return report_split(opened.predictor, dataset, opened.categories, folder, batch, log, resamples, fast)


def evaluate_classifier(
    weights: AnyPath,
    data: AnyPath | None = None,
    *,
    split: str = "val",
    ten_crop: bool = False,
    device: str | None = None,
    threads: int | None = None,
    log: Say = quiet,
) -> dict[str, Any]:
    """Top-1 and top-5 of a classifier on a split of class folders.

    Args:
        weights: a run folder, a `.pt` or `.safetensors` file.
        data: folder with SPLIT/CLASS/*.jpg; what it was trained on by default.
        ten_crop: average over ten crops instead of taking the centre crop.
        device, threads, log: as in `load` and `evaluate`.

    Returns:
        {"top1", "top5", "images": their number, "majority": share of the largest class, "per_class"}
    """
    use_threads(threads)
    loaded = read(weights, settings_type=ClassifierSettings)
    described = _data_of(weights, loaded.settings.data, data, ClassifierSettings)
    images = ImageFolder.of_split(described, split, loaded.names)
    network = loaded.network.to(pick_device(device))
    view = loaded.settings.input
    return report_classifier(network, images, view.size, view.resize, ten_crop, log)


def _data_of(weights: AnyPath, trained_on: Any, data: AnyPath | None, settings_type: type = Settings) -> Any:
    """The data settings to evaluate on: of `data`, or those that the weights were trained on."""
    described = config.read_data(data, settings_type) if data else trained_on
    if described is None:
        raise UserError(f"{weights}: does not say which data to evaluate it on", argument="data")
    return described


def _evaluation_folder(weights: AnyPath, out: AnyPath | None) -> AbstractContextManager[Path]:
    """The folder for an evaluation's files: `out`, the run's own, or a new one in `runs`."""
    if out:
        return nullcontext(made_folder(out))
    return nullcontext(Path(weights)) if os.path.isdir(weights) else new_folder("runs", "evaluate")
