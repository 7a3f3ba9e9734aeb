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
from detect.data.detection import DetectionData
from detect.data.image_folder import ImageFolder
from detect.errors import UserError
from detect.evaluation.evaluate import EVALUATION_THRESHOLDS
from detect.evaluation.fast import Evaluation
from detect.evaluation.splits import report_classifier, report_split, report_test_dev
from detect.files import made_folder, new_folder
from detect.inference.predictor import Predictor
from detect.inference.torch_runtime import pick_device, use_threads
from detect.report.best_thresholds import best_thresholds
from detect.report.page import Subject, report_path, write_report
from detect.weights.files import keeping_file, read, write_thresholds


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
    report: AnyPath | bool = False,
    keep_thresholds: bool = False,
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
        resamples: of the images, for "intervals" in which 95% of their APs lie (a bootstrap); 0 for none.
        fast: take the numbers of the evaluator in NumPy, which are the same, instead of waiting for pycocotools.
        report: write the evaluation as one page: a file that ends in .html, a folder for `report.html`, or True for
            that of the other files.
        keep_thresholds: write the score that gave each class its highest F1 into the weights' file, which `load` takes
            with `min_score="auto"`.
        log: called with each line of the report.
        warn: called with each note on the weights.

    Returns:
        The twelve metrics by name, "per_class", and the numbers of "images" and "detections"; "file": the detections;
        "evaluator": "pycocotools" or "NumPy"; "thresholds": by class name, what `keep_thresholds` keeps, if anything
        was found; "report": its file, if there is one.

    Raises:
        UserError: weights or data cannot be used, or the file cannot be written.
    """
    if bool(images) != bool(annotations) or (images and data):
        raise UserError("give a folder of images with an annotations file, or data, or none of them")
    if resamples < 0:
        raise UserError(f"resamples is {resamples}; give a whole number from 0", argument="resamples")
    for option in options.keys() & EVALUATION_THRESHOLDS.keys():
        raise UserError(f"{option} is the same for every evaluation, {EVALUATION_THRESHOLDS[option]}; leave it out")
    if split == "test-dev" and (report or keep_thresholds):
        raise UserError("test-dev has no labels here, so there is nothing to report and no threshold to keep")
    if keep_thresholds:
        keeping_file(weights)
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
        page = report_path(folder if report is True else report) if report else None
        told, found = report_split(opened.predictor, dataset, opened.categories, folder, batch, log, resamples, fast)
        thresholds = best_thresholds(found, opened.categories, dataset)
        if thresholds:
            told["thresholds"] = dict(zip(opened.predictor.names, thresholds.scores, strict=True))
        if thresholds and keep_thresholds:
            log(f"best thresholds on {thresholds.data}: kept in {write_thresholds(weights, thresholds)}")
        if page:
            write_report(page, _subject(weights, opened.predictor, dataset, found, told["evaluator"]))
            log(f"report: {page}")
            told["report"] = str(page)
        return told


def _subject(
    weights: AnyPath, predictor: Predictor, dataset: DetectionData, found: Evaluation, evaluator: str
) -> Subject:
    """What a page on an evaluation says above its numbers."""
    about = {
        "weights": str(weights),
        "data": str(dataset.source),
        "images": f"{len(dataset):,}",
        "objects": f"{found.truth.instances.sum():,}",
        "detections": f"{len(found.detections):,}",
        "input": f"{predictor.size} px",
        "run by": repr(predictor.runtime),
        "evaluated by": evaluator,
    }
    return Subject(f"{Path(weights).name} on {Path(dataset.source).name}", about, found, dataset.images)


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
