"""COCO AP by the referee itself: pycocotools' COCOeval on the original image and category ids."""

import io
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from detect.data.ground_truth import GroundTruth
from detect.evaluation.detections import Detections
from detect.files import printable

# in the order of COCOeval.summarize
METRICS = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")
IOU_50, AREA_ALL, MAX_100 = 0, 0, 2  # where COCOeval keeps IoU 0.5, all areas and 100 detections in its arrays


@dataclass(frozen=True)
class CocoReport:
    """What the referee says of a set of detections; -1 where nothing of the kind is annotated, as pycocotools does."""

    lines: str  # the twelve lines of COCOeval.summarize, verbatim
    metrics: dict[str, float]  # by the names of METRICS
    per_class: dict[str, dict[str, float]]  # by class name: "AP", "AP50", "AR100" and "instances", crowds not counted


def evaluate_detections(truth: GroundTruth, detections: Detections) -> CocoReport:
    """pycocotools' verdict on `detections` -> CocoReport; those of other images or classes have no say."""
    known = detections[np.isin(detections.image_ids, truth.image_ids)]
    evaluation = COCOeval(_objects(truth), _found(truth, known), "bbox")
    with redirect_stdout(io.StringIO()):
        evaluation.evaluate()
        evaluation.accumulate()
    return summarised(truth, evaluation.eval["precision"], evaluation.eval["recall"])


def _objects(truth: GroundTruth) -> COCO:
    """What is annotated, as pycocotools wants it; numbered from 1, as COCOeval takes an id of 0 for "not found"."""
    rows = zip(
        truth.image_ids[truth.images].tolist(),
        truth.category_ids[truth.labels].tolist(),
        truth.boxes.tolist(),
        truth.areas.tolist(),
        truth.crowds.tolist(),
        strict=True,
    )
    return _indexed(
        truth,
        [
            {"id": number, "image_id": image, "category_id": category, "bbox": box, "area": area, "iscrowd": int(crowd)}
            for number, (image, category, box, area, crowd) in enumerate(rows, 1)
        ],
    )


def _found(truth: GroundTruth, detections: Detections) -> COCO:
    """What COCO.loadRes yields, without its failure on an empty list."""
    return _indexed(
        truth,
        [
            row | {"id": number, "area": row["bbox"][2] * row["bbox"][3], "iscrowd": 0}
            for number, row in enumerate(detections.results(), 1)
        ],
    )


def _indexed(truth: GroundTruth, annotations: list[dict[str, Any]]) -> COCO:
    """pycocotools' COCO of the images and classes of `truth`; nothing is printed."""
    coco = COCO()
    images, categories = ([{"id": number} for number in ids.tolist()] for ids in (truth.image_ids, truth.category_ids))
    coco.dataset = {"images": images, "categories": categories, "annotations": annotations}
    with redirect_stdout(io.StringIO()):
        coco.createIndex()
    return coco


def summarised(truth: GroundTruth, precision: np.ndarray, recall: np.ndarray) -> CocoReport:
    """COCOeval's summary of its arrays, precision [T, R, K, A, M] and recall [T, K, A, M] of the classes of `truth`."""
    evaluation = COCOeval(iouType="bbox")
    evaluation.eval = {"precision": precision, "recall": recall}
    with redirect_stdout(io.StringIO()) as printed:
        evaluation.summarize()
    metrics = dict(zip(METRICS, evaluation.stats.tolist(), strict=True))
    precision, recall = precision[..., AREA_ALL, MAX_100], recall[..., AREA_ALL, MAX_100]  # [T, R, K], [T, K]
    per_class = {
        name: {
            "AP": _mean(precision[:, :, label]),
            "AP50": _mean(precision[IOU_50, :, label]),
            "AR100": _mean(recall[:, label]),
            "instances": instances,
        }
        for label, (name, instances) in enumerate(zip(truth.names, truth.instances.tolist(), strict=True))
    }
    return CocoReport(printed.getvalue().rstrip("\n"), metrics, per_class)


def _mean(values: np.ndarray) -> float:
    """Mean without the -1 of "nothing annotated"; -1 when nothing is left."""
    values = values[values > -1]
    return float(values.mean()) if values.size else -1.0


def per_class_table(report: CocoReport) -> str:
    """Plain text, one line a class in the order of category ids; "-" where nothing is annotated."""
    rows = [("class", "instances", "AP", "AP50", "AR100")]
    for name, values in report.per_class.items():
        name = printable(name)  # may come from a stranger's file
        name = name if len(name) <= 40 else name[:37] + "..."
        numbers = (values[key] for key in ("AP", "AP50", "AR100"))
        shown = ["-" if number < 0 else f"{number:.3f}" for number in numbers]
        rows.append((name, str(values["instances"]), *shown))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join([name.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True))])
        for name, *cells in rows
    )
