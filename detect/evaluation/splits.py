"""A model evaluated on a split: the lines that are told, the files written, and the numbers as plain values."""

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from detect.config.schema import DataSettings
from detect.data.check_files import check_files
from detect.data.detection import DetectionData
from detect.data.formats.coco import paths_of_test_dev, read_image_list
from detect.data.image_folder import ImageFolder
from detect.evaluation.bootstrap import ap_intervals
from detect.evaluation.classification import accuracies, class_scores, per_class, ranks
from detect.evaluation.classification import per_class_table as classifier_table
from detect.evaluation.coco import evaluate_detections, per_class_table
from detect.evaluation.diagnosis import diagnose
from detect.evaluation.evaluate import detect_images, match_categories, matching_notes
from detect.evaluation.fast import Evaluation, evaluate
from detect.evaluation.submission import check_name, write_results, write_test_dev
from detect.inference.predictor import Predictor

Categories = list[dict[str, Any]]  # {"id", "name"} by label
Log = Callable[[str], Any]


def report_split(
    predictor: Predictor,
    dataset: DetectionData,
    categories: Categories,
    folder: Path,
    batch: int,
    log: Log,
    resamples: int = 0,
    fast: bool = False,
) -> tuple[dict[str, Any], Evaluation]:
    """AP of a detector on a data set; its detections go to `detections.json` in `folder`.

    Args:
        fast: take the numbers of the evaluator in NumPy instead of asking pycocotools for the same.

    Returns:
        The metrics by name, "per_class", numbers of "images" and "detections", the "file", which "evaluator" it was,
        "pycocotools" or "NumPy", and with `resamples` the "intervals" of `detect.evaluation.bootstrap`; and the
        `Evaluation` with that evaluator's report.

    Raises:
        UserError: an image cannot be read, none of its classes is known, or the file cannot be written.
    """
    category_ids = match_categories(categories, dataset.categories, dataset.source)
    for note in (*dataset.notes, *matching_notes(categories, dataset.categories, dataset.source)):
        log(note)
    check_files(dataset.source, dataset.images)
    truth = dataset.ground_truth()
    begin = time.perf_counter()
    detections = detect_images(predictor, dataset.images, category_ids, batch, sys.stderr.isatty())
    middle = time.perf_counter()
    evaluation = evaluate(truth, detections)
    report = evaluation.report if fast else evaluate_detections(truth, detections)
    end = time.perf_counter()
    for line in (report.lines, "", per_class_table(report)):
        log(line)
    path = folder / "detections.json"
    write_results(path, detections)  # after the report, which a full disk does not take away
    log(f"\n{len(dataset)} images, {len(detections)} detections: {path}")
    evaluator = "in NumPy" if fast else "by pycocotools"
    log(f"detected in {middle - begin:.1f} s, evaluated {evaluator} in {end - middle:.1f} s")
    intervals = {}
    if resamples:
        intervals = {"intervals": ap_intervals(evaluation.matches, resamples)}
    if resamples and report.metrics["AP"] >= 0:
        told = (f"{name} {low:.3f} to {high:.3f}" for name, (low, high) in intervals["intervals"].items())
        log(f"on other images of this kind, by a bootstrap of {resamples} (95%): {', '.join(told)}")
    if report.metrics["AP"] < 0:
        log("Nothing is annotated in these images, so there is no AP.")
    elif report.metrics["AP"] < 0.01:
        log("AP is below 0.01. What it looks like:")
        for sentence in diagnose(truth, detections):
            log(f"- {sentence}")
    told = {"per_class": report.per_class, "images": len(dataset), "detections": len(detections), "file": str(path)}
    told |= {"evaluator": "NumPy" if fast else "pycocotools"} | intervals
    return report.metrics | told, replace(evaluation, report=report)


def report_test_dev(
    predictor: Predictor, data: DataSettings, categories: Categories, folder: Path, name: str, batch: int, log: Log
) -> dict[str, Any]:
    """Write the two files of the method `name` for the COCO server; nothing can be evaluated here.

    Returns:
        Numbers of "images" and "detections", and the "files".
    """
    check_name(name)
    info, images = paths_of_test_dev(data)
    records, listed = read_image_list(info, images)
    category_ids = match_categories(categories, listed or categories, info)
    for note in matching_notes(categories, listed or categories, info):
        log(note)
    check_files(info, records)
    detections = detect_images(predictor, records, category_ids, batch, sys.stderr.isatty())
    json_path, zip_path = write_test_dev(folder, name, detections)
    log(f"{len(records)} images, {len(detections)} detections: {json_path}\nfor the COCO server: {zip_path}")
    return {"images": len(records), "detections": len(detections), "files": [str(json_path), str(zip_path)]}


def report_classifier(
    network: nn.Module, images: ImageFolder, size: int, resize: int | None, ten_crop: bool, log: Log
) -> dict[str, Any]:
    """Top-1 and top-5 of a classifier for inputs of `size` px, as `class_scores` cuts them.

    Returns:
        "top1", "top5", the number of "images", the share "majority" of the largest class, and "per_class".
    """
    found = ranks(class_scores(network, images, size, ten_crop, sys.stderr.isatty(), resize), images.labels)
    result = accuracies(found) | {"images": len(images), "majority": images.majority()}
    classes = per_class(found, images.labels, images.classes)
    log(classifier_table(classes))
    centre = f"centre crop of {resize} px" if resize else "centre crop"
    log(f"\n{len(images)} images, {size} px, {'ten crops' if ten_crop else centre}")
    majority = f"(the largest class alone: {result['majority']:.4f})"
    log(f"top-1 {result['top1']:.4f}  top-5 {result['top5']:.4f}  {majority}")
    return result | {"per_class": classes}
