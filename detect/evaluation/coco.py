"""COCO AP by the referee itself: pycocotools' COCOeval on the original image and category ids."""

import io
from collections import Counter
from contextlib import redirect_stdout
from dataclasses import dataclass

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from detect.errors import UserError
from detect.files import read_json
from detect.ops.boxes import xyxy_to_xywh

# in the order of COCOeval.summarize
METRICS = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")
IOU_50, AREA_ALL, MAX_100 = 0, 0, 2  # where COCOeval keeps IoU 0.5, all areas and 100 detections in its arrays
MAX_SIDE = 100_000  # px
MAX_NUMBER = 1e9  # no box, area or id of a sane file is beyond (ids: 2^53)


@dataclass(frozen=True)
class CocoReport:
    """What the referee says of a set of detections; -1 where nothing of the kind is annotated, as pycocotools does."""

    lines: str  # the twelve lines of COCOeval.summarize, verbatim
    metrics: dict  # METRICS -> float
    per_class: dict  # class name -> {"AP", "AP50", "AR100": float, "instances": int, crowds not counted}


def load_ground_truth(annotations_file):
    """Annotation file in COCO's format -> pycocotools' COCO; nothing is printed. UserError when the file is wrong."""
    return ground_truth_from(read_json(annotations_file), annotations_file)


def ground_truth_from(dataset, source="annotations"):
    """Mapping in COCO's format -> pycocotools' COCO. `source` names it in errors.

    Image and category ids stay. Annotations are numbered anew from 1: COCOeval takes an id of 0, which several
    labelling tools write, for "not found", and mixes up two of the same id. Where `area` or `iscrowd` is missing,
    the box's area and 0 stand in. Boxes without extent and annotations of images that are not listed are left to
    pycocotools, which finds no match for the former and does not look at the latter.
    """
    images = records(dataset, "images", source)
    categories = records(dataset, "categories", source)
    for index, image in enumerate(images):
        check_image(image, f"{source}: image {index}")
    for index, category in enumerate(categories):
        if not is_id(category.get("id")) or not isinstance(category.get("name"), str | int | float):
            raise UserError(f"{source}: category {index} needs a whole number 'id' and a text 'name'; add them")
    categories = [category | {"name": str(category["name"])} for category in categories]
    for what, entries in (("image", images), ("category", categories)):
        repeated = [key for key, count in Counter(entry["id"] for entry in entries).items() if count > 1]
        if repeated:
            raise UserError(f"{source}: {what} id {repeated[0]} is given to more than one {what}; make ids unique")
    known = {category["id"] for category in categories}
    annotations = [
        _annotation(index, annotation, known, source)
        for index, annotation in enumerate(records(dataset, "annotations", source))
    ]
    return _indexed({"images": images, "categories": categories, "annotations": annotations})


def records(dataset, key, source):
    """The list of mappings `dataset[key]`, or a UserError that names what is wrong."""
    entries = dataset.get(key) if isinstance(dataset, dict) else None
    if not isinstance(entries, list):
        raise UserError(f"{source}: has no list '{key}'; is this a file in COCO's format?")
    for index, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise UserError(f"{source}: entry {index} of '{key}' is {type(entry).__name__}; it must be a mapping")
    return entries


def check_image(image, where):
    """UserError unless the image record has a whole number `id`, `width` and `height` (px)."""
    if not is_id(image.get("id")):
        raise UserError(f"{where} has id {short(image.get('id'))}; it must be a whole number")
    for side in ("width", "height"):
        if not is_id(image.get(side)) or not 1 <= image[side] <= MAX_SIDE:
            raise UserError(
                f"{where} (id {image['id']}) has {side} {short(image.get(side))}; give whole px, 1 to {MAX_SIDE}"
            )


def is_id(value):
    """Whether `value` is a whole number that every tool reads the same (below 2^53)."""
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53


def is_number(value):
    """Whether `value` is a finite number of sane size."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < MAX_NUMBER


def short(value):
    """`repr(value)`, at most 40 characters of it: what a stranger wrote goes into an error text."""
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _annotation(index, annotation, category_ids, source):
    """The checked annotation, with just what the referee reads."""
    where = f"{source}: annotation {index} (id {short(annotation.get('id'))})"
    image_id, category_id, box = (annotation.get(key) for key in ("image_id", "category_id", "bbox"))
    if not is_id(image_id):
        raise UserError(f"{where} has image_id {short(image_id)}; it must be a whole number")
    if not is_id(category_id) or category_id not in category_ids:
        raise UserError(f"{where} has category_id {short(category_id)}, which 'categories' does not list; add it there")
    if not (isinstance(box, list) and len(box) == 4 and all(map(is_number, box))):
        raise UserError(f"{where} has bbox {short(box)}; it must be [left, top, width, height] in px")
    area, crowd = annotation.get("area"), annotation.get("iscrowd") or 0
    if area is None:
        area = box[2] * box[3]
    elif not is_number(area) or area < 0:
        raise UserError(f"{where} has area {short(area)}; it must be the object's area in px²")
    if crowd not in (0, 1):
        raise UserError(f"{where} has iscrowd {short(crowd)}; it must be 0 or 1")
    return _entry(index + 1, image_id, category_id, box, area) | {"iscrowd": int(crowd)}


def _entry(number, image_id, category_id, box, area):
    """What COCOeval reads of an annotation or detection; `box` is [left, top, width, height] in px."""
    entry = {"id": number, "image_id": image_id, "category_id": category_id}
    return entry | {"bbox": box, "area": area, "iscrowd": 0}


def _indexed(dataset):
    coco = COCO()
    coco.dataset = dataset
    with redirect_stdout(io.StringIO()):
        coco.createIndex()
    return coco


def to_coco_results(image_id, boxes, scores, category_ids):
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


def evaluate_detections(ground_truth, detections, image_ids=None):
    """pycocotools' verdict on `detections` (COCO's results) -> CocoReport.

    Detections of images that are not judged, or not in the ground truth, have no say. `detections` stays as it is.

    Args:
        ground_truth: from `load_ground_truth`.
        image_ids: the images judged; all of the ground truth by default.
    """
    judged = set(ground_truth.imgs) if image_ids is None else set(image_ids) & set(ground_truth.imgs)
    results = _results(ground_truth, [detection for detection in detections if detection["image_id"] in judged])
    evaluation = COCOeval(ground_truth, results, "bbox")
    evaluation.params.imgIds = sorted(judged)
    with redirect_stdout(io.StringIO()):
        evaluation.evaluate()
        evaluation.accumulate()
    with redirect_stdout(io.StringIO()) as printed:
        evaluation.summarize()
    metrics = dict(zip(METRICS, evaluation.stats.tolist(), strict=True))
    return CocoReport(printed.getvalue().rstrip("\n"), metrics, _per_class(ground_truth, evaluation, judged))


def _results(ground_truth, detections):
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
        _entry(number, detection["image_id"], detection["category_id"], box, box[2] * box[3]) | {"score": score}
        for number, (detection, box, score) in enumerate(
            zip(detections, boxes.tolist(), scores.tolist(), strict=True), 1
        )
    ]
    dataset = {key: ground_truth.dataset[key] for key in ("images", "categories")}
    return _indexed(dataset | {"annotations": annotations})


def _per_class(ground_truth, evaluation, judged):
    """Class name -> its own part of the arrays that the summary is the mean of."""
    precision = evaluation.eval["precision"][..., AREA_ALL, MAX_100]  # [T, R, K]
    recall = evaluation.eval["recall"][..., AREA_ALL, MAX_100]  # [T, K]
    instances = Counter(
        annotation["category_id"]
        for annotation in ground_truth.dataset["annotations"]
        if annotation["image_id"] in judged and not annotation["iscrowd"]
    )
    name_counts = Counter(category["name"] for category in ground_truth.cats.values())
    per_class = {}
    for index, category_id in enumerate(evaluation.params.catIds):
        name = ground_truth.cats[category_id]["name"]
        per_class[name if name_counts[name] == 1 else f"{name} (id {category_id})"] = {
            "AP": _mean(precision[:, :, index]),
            "AP50": _mean(precision[IOU_50, :, index]),
            "AR100": _mean(recall[:, index]),
            "instances": instances[category_id],
        }
    return per_class


def _mean(values):
    """Mean without the -1 of "nothing annotated"; -1 when nothing is left."""
    values = values[values > -1]
    return float(values.mean()) if values.size else -1.0


def per_class_table(report):
    """Plain text, one line a class in the order of category ids; "-" where nothing is annotated."""
    rows = [("class", "instances", "AP", "AP50", "AR100")]
    for name, values in report.per_class.items():
        name = "".join(letter if letter.isprintable() else "?" for letter in name)  # may come from a stranger's file
        name = name if len(name) <= 40 else name[:37] + "..."
        numbers = (values[key] for key in ("AP", "AP50", "AR100"))
        shown = ["-" if number < 0 else f"{number:.3f}" for number in numbers]
        rows.append((name, str(values["instances"]), *shown))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join([name.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True))])
        for name, *cells in rows
    )
