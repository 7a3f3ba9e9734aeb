"""How long COCO's AP takes, and how much memory: a made-up set of COCO's size, in a fresh process."""

import contextlib
import json
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from detect.analysis.machine import described
from detect.analysis.memory import in_fresh_process, own_memory
from detect.analysis.table import aligned
from detect.data.ground_truth import GroundTruth
from detect.evaluation.coco import evaluate_detections
from detect.evaluation.detections import Detections
from detect.evaluation.fast import evaluate

IMAGES, CLASSES, OBJECTS, FOUND = 5000, 80, 37_651, 500_000  # of COCO's val2017; 100 detections in each image
SIDE = 640  # px
EVALUATORS = {"NumPy": 3, "pycocotools": 1}  # who is measured: how many times


def benchmark_evaluation(evaluator: str) -> dict[str, Any]:
    """{"evaluator", "seconds": median, "mb": the most memory that it takes beside its input, "metrics": the twelve}

    `mb` (1e6 bytes) is None where the system does not tell.

    Args:
        evaluator: of `EVALUATORS`.
    """
    child = in_fresh_process(__name__, evaluator)
    if child.returncode:
        raise RuntimeError(child.stderr)
    return json.loads(child.stdout.splitlines()[-1])


def measure(evaluator: str, truth: GroundTruth, detections: Detections) -> dict[str, Any]:
    """What `benchmark_evaluation` gives, of this process."""
    before, seconds, metrics = own_memory("VmRSS"), [], {}
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # Linux forgets the highest mark
    for _ in range(EVALUATORS[evaluator]):
        begin = time.perf_counter()
        if evaluator == "NumPy":
            metrics = evaluate(truth, detections).report.metrics
        else:
            metrics = evaluate_detections(truth, detections).metrics
        seconds.append(time.perf_counter() - begin)
    highest = own_memory("VmHWM")
    taken = highest - before if highest is not None and before is not None else None
    return {"evaluator": evaluator, "seconds": median(seconds), "mb": taken, "metrics": metrics}


def made_up(
    images: int = IMAGES, classes: int = CLASSES, objects: int = OBJECTS, found: int = FOUND, seed: int = 0
) -> tuple[GroundTruth, Detections]:
    """Objects of all sizes, few classes of them common and one in a hundred a crowd, and detections of them.

    Every image has as many detections; 60% of them lie near one of its objects, most with its class.
    """
    random = np.random.default_rng(seed)
    common = 1 / np.arange(1, classes + 1)
    common /= common.sum()
    image_of, label_of = np.sort(random.integers(images, size=objects)), random.choice(classes, objects, p=common)
    sizes = np.exp(random.uniform(np.log(8), np.log(400), (objects, 2)))
    boxes = np.concatenate([random.random((objects, 2)) * (SIDE - sizes), sizes], axis=1).round(2)
    truth = GroundTruth(
        np.arange(images), np.full((images, 2), SIDE), np.arange(classes), [f"class {k}" for k in range(classes)],
        image_of, label_of, boxes, boxes[:, 2:].prod(axis=1), random.random(objects) < 0.01,
    )  # fmt: skip
    image = np.arange(found) * images // found
    first, end = (np.searchsorted(image_of, image, side=side) for side in ("left", "right"))
    near = (first + random.integers(1 << 30, size=found) % np.maximum(end - first, 1)).clip(max=objects - 1)
    is_near = (random.random(found) < 0.6) & (end > first)
    shifts = random.normal(0, 0.15, (found, 4)) * np.tile(boxes[near, 2:], 2)
    placed = np.where(is_near[:, None], boxes[near] + shifts, boxes[random.integers(objects, size=found)])
    placed[:, 2:] = np.maximum(placed[:, 2:], 1)
    labels = np.where(is_near & (random.random(found) < 0.8), label_of[near], random.choice(classes, found, p=common))
    return truth, Detections(image, labels, placed.round(2), (random.random(found) ** 3).round(5))


def table(result: dict[str, Any]) -> str:
    """What `benchmark_evaluation` gave for each evaluator, under "evaluation", as text."""
    rows = [
        (
            of["evaluator"],
            f"{of['seconds']:.2f}",
            "-" if of["mb"] is None else f"{of['mb']:.0f}",
            *(f"{of['metrics'][name]:.6f}" for name in ("AP", "AP50", "AR100")),
        )
        for of in result["evaluation"]
    ]
    lines = aligned([("evaluator", "seconds", "MB", "AP", "AP50", "AR100"), *rows], left=(0,))
    about = f"{IMAGES:,} images, {CLASSES} classes, {OBJECTS:,} objects, {FOUND:,} detections"
    all_metrics = [of["metrics"] for of in result["evaluation"]]
    if len(all_metrics) > 1:
        about += f"; the twelve numbers are {'' if all_metrics[0] == all_metrics[1] else 'NOT '}equal to the last digit"
    return "\n".join([described(result["machine"]), *lines, about])


if __name__ == "__main__":
    print(json.dumps(measure(json.load(sys.stdin), *made_up())))
