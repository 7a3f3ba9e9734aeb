"""Why is AP 0? Looks for the usual mistakes between a model and its score, by undoing each and measuring again."""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from detect.data.ground_truth import GroundTruth
from detect.evaluation.detections import Detections, places
from detect.evaluation.fast import evaluate
from detect.ops.boxes import iou

SAMPLE_IMAGES, SAMPLE_OBJECTS, SAMPLE_DETECTIONS = 200, 50, 100  # at most: images, and objects and detections of each
NETWORK_SIZES = (*range(320, 865, 32), 896, 960, 1024, 1280)  # px
NEAR, CLEAR_GAIN = 0.3, 0.15  # mean best IoU that an undone mistake must reach, and gain
FOUND = 0.5  # IoU of a box that is called found

# How boxes may have been written instead of COCO's [left, top, width, height], as functions that set it right.
# They take the four columns [d] each; the way of speaking goes into the sentence.
LAYOUTS = {
    "": lambda a, b, c, d: (a, b, c, d),
    "corners [left, top, right, bottom]": lambda a, b, c, d: (a, b, c - a, d - b),
    "[centre x, centre y, width, height]": lambda a, b, c, d: (a - c / 2, b - d / 2, c, d),
    "x and y swapped [top, left, height, width]": lambda a, b, c, d: (b, a, d, c),
    "x and y swapped corners [top, left, bottom, right]": lambda a, b, c, d: (b, a, d - b, c - a),
}


class _Sample(NamedTuple):
    """Objects (crowds aside) and best-scored detections of some images; every pair of the two in one image.

    `first_pair` [g] is where the pairs of an object begin; its detections come best-scored first.
    """

    image_ids: np.ndarray
    objects: np.ndarray  # [g, 4] xywh px
    object_labels: np.ndarray  # [g], category ids, as are
    boxes: np.ndarray  # [d, 4] as written in the detections
    labels: np.ndarray  # [d]
    sizes: np.ndarray  # [d, 2] width, height in px of each detection's image
    pair_object: np.ndarray  # [p]
    pair_box: np.ndarray  # [p]
    first_pair: np.ndarray  # [g]


def diagnose(truth: GroundTruth, detections: Detections) -> list[str]:
    """Short sentences on what may be wrong with detections of AP near 0: what it looks like, and what to check."""
    if not len(detections):
        return [
            "There are no detections at all: check that trained weights were loaded, and lower the score threshold "
            "(AP wants about 0.001)."
        ]
    findings = _image_ids(truth, detections) + _category_ids(truth, detections)
    sample = _sample(truth, detections)
    if sample is None:
        return [*findings, "No image has both objects and detections: check that this is the split that was evaluated."]
    best = _best_ious(sample, sample.boxes)
    return [*findings, *_boxes_and_labels(truth, detections, sample, best), _histogram(best)]


def _image_ids(truth: GroundTruth, detections: Detections) -> list[str]:
    found = set(detections.image_ids.tolist())
    strangers = found - set(truth.image_ids.tolist())
    with_objects = set(truth.image_ids[truth.images].tolist())
    if strangers:
        example = next(iter(truth.image_ids.tolist()), "none")
        return [
            f"{len(strangers)} of {len(found)} image ids of the detections do not occur in the annotations (detections "
            f"have e.g. {min(strangers)}, annotations {example}): check that ids are taken from this file."
        ]
    covered = len(found & with_objects)
    if covered < len(with_objects) / 2:
        return [
            f"Only {covered} of {len(with_objects)} images with objects have detections: check that the whole split "
            "was run, with a score threshold near 0.001."
        ]
    return []


def _category_ids(truth: GroundTruth, detections: Detections) -> list[str]:
    found, known = set(detections.category_ids.tolist()), set(truth.category_ids.tolist())
    strangers = sorted(found - known)
    if not strangers:
        return []
    few = ", ".join(map(str, strangers[:5]))
    sentence = (
        f"{len(strangers)} of {len(found)} category ids of the detections do not occur in the annotations ({few})"
    )
    if found <= set(range(len(known))):
        sentence += f"; they look like the model's labels 0..{len(known) - 1}"
    examples = ", ".join(map(str, sorted(known)[:5]))
    return [f"{sentence}: write the ids of the annotation file ({examples}, ...)."]


def _boxes_and_labels(truth: GroundTruth, detections: Detections, sample: _Sample, best: np.ndarray) -> list[str]:
    """The sentence on boxes or, where those are fine, on labels or scores."""
    mean = best.mean()
    description, mean_undone = _best_frame(sample, mean)
    if description:
        return [
            f"Boxes look like {description}: undoing that lifts the mean best IoU from {mean:.2f} to "
            f"{mean_undone:.2f}; check how boxes are written, COCO wants [left, top, width, height] in px of the "
            "original image."
        ]
    if mean < NEAR:
        return [
            f"The boxes are found nowhere near objects: the model seems untrained (mean best IoU {mean:.2f}); check "
            "that its weights were loaded and that the training loss fell."
        ]
    if mean < FOUND:
        return [
            f"The boxes lie only roughly around objects (mean best IoU {mean:.2f}): train longer, and check that "
            "anchors and input size suit the objects."
        ]
    return [_labels_or_scores(truth, detections, sample)]


def _best_frame(sample: _Sample, mean: float) -> tuple[str, float]:
    """(description, mean best IoU) of the mistake whose undoing puts boxes on objects; ("", 0) if none does."""
    found, best = "", max(NEAR, mean + CLEAR_GAIN)
    for description, boxes in _undone(sample):
        candidate = _best_ious(sample, boxes).mean()
        if candidate > best + (0.02 if found else 0):  # in doubt the simpler one, which comes first
            found, best = description, candidate
    return found, best if found else 0.0


def _undone(sample: _Sample) -> Iterator[tuple[str, np.ndarray]]:
    """(description of a mistake, boxes [d, 4] xywh image px without it), the simplest mistakes first."""
    laid_out = [
        (f"written as {layout}" if layout else "", np.stack(set_right(*sample.boxes.T), axis=1))
        for layout, set_right in LAYOUTS.items()
    ]
    yield from laid_out
    sides = np.tile(sample.sizes, 2)
    for layout, boxes in laid_out:
        yield _joined("normalised to 0..1 instead of px", layout), boxes * sides
    longest = sample.sizes.max(axis=1, keepdims=True)
    for size in NETWORK_SIZES:
        ratio = size / longest
        offset = (size - sample.sizes * ratio) / 2
        for layout, boxes in laid_out[:2]:
            yield _joined(f"px of a plain resize to {size} x {size}", layout), boxes * sides / size
            shifted = np.concatenate([boxes[:, :2] - offset, boxes[:, 2:]], axis=1)
            yield _joined(f"px of a {size} px letterbox (image centred)", layout), shifted / ratio
            yield _joined(f"px of a {size} px letterbox (image at the top left)", layout), boxes / ratio


def _joined(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def _labels_or_scores(truth: GroundTruth, detections: Detections, sample: _Sample) -> str:
    """The sentence for boxes that lie well: wrong labels, if one class for all would do better, else the scores."""
    part, mine = truth.of_images(sample.image_ids), detections[np.isin(detections.image_ids, sample.image_ids)]
    average_precision = evaluate(part, mine).report.metrics["AP"]
    alike = replace(part, category_ids=np.array([1]), names=["object"], labels=np.zeros_like(part.labels))
    same = replace(mine, category_ids=np.ones_like(mine.category_ids))
    agnostic = evaluate(alike, same).report.metrics["AP"]
    if agnostic > 0.05 and agnostic > 3 * average_precision:
        return (
            f"Boxes fit but labels do not (AP {average_precision:.2f}, with all classes taken as one {agnostic:.2f})"
            f"{_label_mistake(truth, sample)}: check the class list and how labels become category ids."
        )
    if average_precision < 0.1:
        return (
            f"Boxes and labels lie near objects, yet AP is {average_precision:.3f} on {len(sample.image_ids)} images: "
            "wrong detections outrank right ones, or many repeat the same object; check scores and the NMS."
        )
    return f"Nothing stands out: AP is {average_precision:.2f} on {len(sample.image_ids)} images that have detections."


def _label_mistake(truth: GroundTruth, sample: _Sample) -> str:
    """How labels of found objects went wrong, as a part of a sentence; "" if no usual mistake explains them."""
    ious = _pair_ious(sample, sample.boxes)
    groups = np.split(np.arange(len(ious)), sample.first_pair[1:])
    first_best = np.array([group[ious[group].argmax()] for group in groups])
    first_best = first_best[ious[first_best] >= FOUND]
    wanted = sample.object_labels[sample.pair_object[first_best]]
    given = sample.labels[sample.pair_box[first_best]]
    ids = truth.category_ids
    contiguous = np.where((given >= 0) & (given < len(ids)), ids[given.clip(0, len(ids) - 1)], -1)
    mistakes = {
        f"they look like the model's labels 0..{len(ids) - 1} instead of the file's ids": contiguous,
        "they look one too small": given + 1,
        "they look one too large": given - 1,
    }
    for description, undone in mistakes.items():
        if (undone == wanted).mean() > max(0.5, 2 * (given == wanted).mean()):
            return f"; {description}"
    return ""


def _sample(truth: GroundTruth, detections: Detections) -> _Sample | None:
    """`_Sample` of evenly spread images that have both, or None when there are none."""
    image_of = places(detections.image_ids, truth.image_ids)
    images = np.intersect1d(truth.images[~truth.crowds], image_of)
    if not len(images):
        return None
    images = images[:: -(-len(images) // SAMPLE_IMAGES)]
    by_score = np.argsort(-detections.scores, kind="stable")
    objects, boxes, pairs = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], []
    for image in images.tolist():
        ours = np.flatnonzero((truth.images == image) & ~truth.crowds)[:SAMPLE_OBJECTS]
        mine = by_score[image_of[by_score] == image][:SAMPLE_DETECTIONS]
        object_index, box_index = np.mgrid[: len(ours), : len(mine)].reshape(2, -1)
        pairs.append(np.stack([object_index + sum(map(len, objects)), box_index + sum(map(len, boxes))]))
        objects.append(ours)
        boxes.append(mine)
    chosen, found = np.concatenate(objects), np.concatenate(boxes)
    pair_object, pair_box = np.concatenate(pairs, axis=1)
    return _Sample(
        image_ids=truth.image_ids[images],
        objects=truth.boxes[chosen],
        object_labels=truth.category_ids[truth.labels[chosen]],
        boxes=detections.boxes[found],
        labels=detections.category_ids[found],
        sizes=truth.sizes[image_of[found]].astype(np.float64),
        pair_object=pair_object,
        pair_box=pair_box,
        first_pair=np.flatnonzero(np.diff(pair_object, prepend=-1)),
    )


def _pair_ious(sample: _Sample, boxes: np.ndarray) -> np.ndarray:
    """IoU [p] of every pair; boxes [d, 4] xywh px instead of the sample's own."""
    ours, mine = (np.concatenate([b[:, :2], b[:, :2] + b[:, 2:]], axis=1) for b in (sample.objects, boxes))
    return iou(ours[sample.pair_object], mine[sample.pair_box])


def _best_ious(sample: _Sample, boxes: np.ndarray) -> np.ndarray:
    """Best IoU [g] that any box reaches with each object, whatever its label."""
    return np.maximum.reduceat(_pair_ious(sample, boxes), sample.first_pair)


def _histogram(best: np.ndarray) -> str:
    edges = (0, 0.1, 0.3, 0.5, 0.75, 1.000001)
    shares = np.histogram(best.clip(0, 1), edges)[0] / len(best)
    parts = ", ".join(
        f"{low:g} to {min(high, 1):g}: {share:.0%}"
        for low, high, share in zip(edges[:-1], edges[1:], shares, strict=True)
    )
    return f"Best IoU of each of {len(best)} objects with any box, whatever its label: {parts}."
