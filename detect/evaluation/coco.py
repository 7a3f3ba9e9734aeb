"""COCO AP by the referee itself: pycocotools' COCOeval on the original image and category ids."""

import io
from collections.abc import Collection, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from detect.errors import UserError
from detect.evaluation.tables import GroundTruth
from detect.files import printable
from detect.ops.boxes import xyxy_to_xywh

# in the order of COCOeval.summarize
METRICS = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")
IOU_50, AREA_ALL, MAX_100 = 0, 0, 2  # where COCOeval keeps IoU 0.5, all areas and 100 detections in its arrays

Detection = dict[str, Any]  # image_id, category_id, bbox [left, top, width, height] px, score: COCO's results format


@dataclass(frozen=True)
class CocoReport:
    """What the referee says of a set of detections; -1 where nothing of the kind is annotated, as pycocotools does."""

    lines: str  # the twelve lines of COCOeval.summarize, verbatim
    metrics: dict[str, float]  # by the names of METRICS
    per_class: dict[str, dict[str, float]]  # by class name: "AP", "AP50", "AR100" and "instances", crowds not counted


def indexed(mapping: dict[str, list[dict[str, Any]]]) -> COCO:
    """Mapping in COCO's form, such as `DetectionData.ground_truth` gives -> pycocotools' COCO; nothing is printed."""
    coco = COCO()
    coco.dataset = mapping
    with redirect_stdout(io.StringIO()):
        coco.createIndex()
    return coco


def to_coco_results(
    image_id: int, boxes: np.ndarray, scores: Sequence[float], category_ids: Sequence[int]
) -> list[Detection]:
    """Detections of one image as COCO's results, in plain Python numbers.

    Args:
        boxes: float32 [n, 4] xyxy in image px; written as xywh, rounded to 0.01 px.
        scores: [n], rounded to 5 decimals.
        category_ids: [n], the ids of the annotation file.
    """
    xywh = xyxy_to_xywh(np.asarray(boxes, dtype=np.float64)).round(2).tolist()
    scores = np.asarray(scores, dtype=np.float64).round(5).tolist()
    category_ids = np.asarray(category_ids, dtype=np.int64).tolist()
    return [
        {"image_id": int(image_id), "category_id": category_id, "bbox": box, "score": score}
        for box, score, category_id in zip(xywh, scores, category_ids, strict=True)
    ]


def evaluate_detections(
    ground_truth: COCO, detections: list[Detection], image_ids: Collection[int] | None = None
) -> CocoReport:
    """pycocotools' verdict on `detections` (COCO's results) -> CocoReport.

    Detections of other images than these, or not in the ground truth, have no say. `detections` stays as it is.

    Args:
        ground_truth: from `indexed`.
        image_ids: the images to evaluate on; all of the ground truth by default.
    """
    evaluation = matched(ground_truth, detections, image_ids)
    with redirect_stdout(io.StringIO()):
        evaluation.accumulate()
    truth = GroundTruth.of(ground_truth.dataset).of_images(evaluation.params.imgIds)
    return summarised(truth, evaluation.eval["precision"], evaluation.eval["recall"])


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


def matched(ground_truth: COCO, detections: list[Detection], image_ids: Collection[int] | None = None) -> COCOeval:
    """COCOeval with detections and objects matched, image by image; arguments as of `evaluate_detections`."""
    evaluated = set(ground_truth.imgs) if image_ids is None else set(image_ids) & set(ground_truth.imgs)
    results = _results(ground_truth, [detection for detection in detections if detection["image_id"] in evaluated])
    evaluation = COCOeval(ground_truth, results, "bbox")
    evaluation.params.imgIds = sorted(evaluated)
    with redirect_stdout(io.StringIO()):
        evaluation.evaluate()
    return evaluation


def _results(ground_truth: COCO, detections: list[Detection]) -> COCO:
    """What COCO.loadRes yields, without its failure on an empty list and its additions to the caller's mappings."""
    boxes = np.array([detection["bbox"] for detection in detections], dtype=np.float64).reshape(-1, 4)
    scores = np.array([detection["score"] for detection in detections], dtype=np.float64)
    broken = np.flatnonzero(~(np.isfinite(boxes).all(axis=1) & np.isfinite(scores)))
    if len(broken):
        raise UserError(
            f"detections: {len(broken)} of {len(boxes)} have a box or score that is no finite number, first in image "
            f"{detections[broken[0]]['image_id']}; the model's weights are likely broken, look for NaN in training"
        )
    annotations = [
        {
            "id": number, "image_id": detection["image_id"], "category_id": detection["category_id"],
            "bbox": box, "area": box[2] * box[3], "iscrowd": 0, "score": score,
        }
        for number, (detection, box, score) in enumerate(
            zip(detections, boxes.tolist(), scores.tolist(), strict=True), 1
        )
    ]  # fmt: skip
    dataset = {key: ground_truth.dataset[key] for key in ("images", "categories")}
    return indexed(dataset | {"annotations": annotations})


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
