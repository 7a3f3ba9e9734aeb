"""A model evaluated on a data set: the report's lines, the files written, and the numbers as plain values."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from detect.config.schema import DataSettings
from detect.data.check_files import check_files
from detect.data.coco import paths_of_test_dev, read_image_list
from detect.data.detection import DetectionData
from detect.data.image_folder import ImageFolder
from detect.evaluation.bootstrap import ap_intervals
from detect.evaluation.classification import accuracies, class_scores, per_class, ranks
from detect.evaluation.classification import per_class_table as class_table
from detect.evaluation.coco import indexed, per_class_table
from detect.evaluation.diagnosis import diagnose
from detect.evaluation.evaluate import detect_images, evaluate_dataset, match_categories, matching_notes
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
) -> dict[str, Any]:
    """AP of a detector on a data set; its detections go to `detections.json` in `folder`.

    Returns:
        The metrics by name, "per_class", numbers of "images" and "detections", the "file", and with `resamples` the
        "intervals" of `detect.evaluation.bootstrap`.

    Raises:
        UserError: an image cannot be read, none of its classes is known, or the file cannot be written.
    """
    match_categories(categories, dataset.categories, dataset.source)  # or else nothing is worth a word
    for note in (*dataset.notes, *matching_notes(categories, dataset.categories, dataset.source)):
        log(note)
    check_files(dataset.source, dataset.images)
    ground_truth = indexed(dataset.ground_truth())
    report, detections = evaluate_dataset(predictor, dataset, categories, batch, sys.stderr.isatty(), ground_truth)
    for line in (report.lines, "", per_class_table(report)):
        log(line)
    path = folder / "detections.json"
    write_results(path, detections)  # after the report, which a full disk does not take away
    log(f"\n{len(dataset)} images, {len(detections)} detections: {path}")
    intervals = {}
    if resamples:
        intervals = {"intervals": ap_intervals(ground_truth, detections, resamples)}
        told = (f"{name} {low:.3f} to {high:.3f}" for name, (low, high) in intervals["intervals"].items())
        log(f"on other images of this kind, by a bootstrap of {resamples} (95%): {', '.join(told)}")
    if report.metrics["AP"] < 0:
        log("Nothing is annotated in these images, so there is no AP.")
    elif report.metrics["AP"] < 0.01:
        log("AP is below 0.01. What it looks like:")
        for sentence in diagnose(ground_truth, detections):
            log(f"- {sentence}")
    counts = {"images": len(dataset), "detections": len(detections)}
    return report.metrics | {"per_class": report.per_class} | counts | {"file": str(path)} | intervals


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
    log(class_table(classes))
    centre = f"centre crop of {resize} px" if resize else "centre crop"
    log(f"\n{len(images)} images, {size} px, {'ten crops' if ten_crop else centre}")
    majority = f"(the largest class alone: {result['majority']:.4f})"
    log(f"top-1 {result['top1']:.4f}  top-5 {result['top5']:.4f}  {majority}")
    return result | {"per_class": classes}
