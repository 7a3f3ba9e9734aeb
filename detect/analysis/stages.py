"""How long each stage of detecting in an image takes on this machine: letterbox, forward pass, decoding, NMS."""

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

from detect.analysis.contenders import Contender, open_runtime
from detect.analysis.machine import described
from detect.analysis.table import aligned
from detect.ops.decode import Decoder
from detect.ops.image import read_image
from detect.ops.letterbox import Letterbox
from detect.ops.nms import nms

IMAGE = (480, 640)  # height, width in px of the images measured with
CLASSES = 80  # as in COCO
WARM_UP = 3
STAGES = ("letterbox", "forward", "decode", "nms")
SIZE, STRIDES = 416, (8, 16, 32)  # of the maps that decoding and NMS alone are measured with
OBJECTS = 25  # in them
SCORES = (0.25, 0.001)  # for using a detector, for evaluating it


def benchmark_stages(of: Contender, rounds: int = 60, path: str | None = None) -> dict[str, Any]:
    """Median milliseconds of the stages of detecting in one image, batch 1.

    "forward" is from the uint8 square to the maps in NumPy: in PyTorch, the way to the device and back and the division
    by 255 too.

    Args:
        of: a detector of ours; it decodes and suppresses as its configuration says.
        path: the image; by default a generated one of 640x480 px, in which hardly a box passes the threshold.

    Returns:
        {"model", "size", "engine": what its runtime calls itself, "letterbox", "forward", "decode", "nms": ms,
        "detections", "overhead": (letterbox + decode + nms) / forward, "images_per_second"}

    Raises:
        UserError: the detector cannot be opened, or was exported by another tool, or the image cannot be read.
    """
    runtime, predict = open_runtime(of)
    image = read_image(path) if path else generated_image(np.random.default_rng(0))
    letterbox = Letterbox(image.shape[1], image.shape[0], runtime.size)
    times: dict[str, list[float]] = {name: [] for name in STAGES}
    for _ in range(rounds + WARM_UP):
        square = _timed(times["letterbox"], letterbox.apply, image)
        raw = _timed(times["forward"], runtime.raw, square[None])
        (candidates,) = _timed(times["decode"], runtime.decoder, raw, predict["min_score"])
        found = _timed(times["nms"], nms, candidates, **predict["nms"])
    result = {name: median(values[WARM_UP:]) for name, values in times.items()}
    total = sum(result.values())
    return {
        "model": of.name,
        "size": runtime.size,
        "engine": repr(runtime),
        **result,
        "detections": len(found.boxes),
        "overhead": total / result["forward"] - 1,
        "images_per_second": 1000 / total,
    }


def benchmark_postprocess(rounds: int = 60) -> dict[str, dict[str, float]]:
    """Median milliseconds of decoding and NMS of one image of 416 px with 80 classes, whatever the network.

    Returns:
        {"0.25": {"candidates": number, "ms": decode + NMS}, "0.001": the same}, by minimum score.
    """
    raw = made_up_maps(np.random.default_rng(0))
    anchors = tuple(tuple((side * stride, side * stride) for side in (2, 3, 5)) for stride in STRIDES)
    decoder = Decoder(anchors, STRIDES, CLASSES, (1.0,) * 3, (False,) * 3)
    result = {}
    for score in SCORES:  # not in turns: they would measure each other's caches
        decoding, suppressing = [], []
        for _ in range(rounds + WARM_UP):
            (candidates,) = _timed(decoding, decoder, raw, score)
            _timed(suppressing, nms, candidates)
        total = median(map(sum, zip(decoding[WARM_UP:], suppressing[WARM_UP:], strict=True)))
        result[f"{score:g}"] = {"candidates": len(candidates.scores), "ms": total}
    return result


def _timed(times: list[float], call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """What the call gives; its milliseconds are added to `times`."""
    start = time.perf_counter()
    result = call(*arguments, **options)
    times.append((time.perf_counter() - start) * 1000)
    return result


def made_up_maps(rng: np.random.Generator) -> list[np.ndarray]:
    """Raw maps as of a trained head, float32 [1, 3*(5+K), S, S], channels last in memory as TorchRuntime's.

    Each object is seen by three cells of a map, the rest is noise: about 10,000 (box, class) pairs score above 0.001.
    """
    sides = [SIZE // stride for stride in STRIDES]
    maps = [rng.normal(0, 2, (side, side, 3, 5 + CLASSES)).astype(np.float32) for side in sides]
    for cells in maps:
        cells[..., :4] /= 4
        cells[..., 4] -= 7.3
        cells[..., 5:] -= 6.23
    for _ in range(OBJECTS):
        cells = maps[rng.integers(3)]
        (row, column), anchor, label = rng.integers(len(cells) - 1, size=2), rng.integers(3), rng.integers(CLASSES)
        width, height = rng.normal(0, 0.5, 2)
        for right, down in ((0, 0), (1, 0), (0, 1)):  # the object's centre is near their common corner
            cell = cells[row + down, column + right, anchor]
            cell[:5] = 3 - 6 * right, 3 - 6 * down, width, height, rng.normal(1.5, 1)
            cell[5 + label] = rng.normal(3, 1)
    return [cells.reshape(1, *cells.shape[:2], -1).transpose(0, 3, 1, 2) for cells in maps]


def generated_image(rng: np.random.Generator) -> np.ndarray:
    """A smooth coloured image with patches on it, uint8 RGB [480, 640, 3]."""
    height, width = IMAGE
    rows, columns = np.mgrid[:height, :width]
    image = np.stack([rows * 255 / height, columns * 255 / width, np.full((height, width), 90.0)], axis=-1)
    return (image + rng.normal(0, 12, image.shape)).clip(0, 255).astype(np.uint8)


def table(result: dict[str, Any]) -> str:
    """What `benchmark_stages` gave for each model ("stages"), and `benchmark_postprocess` ("postprocess"), as text."""
    heads = ("model", "px", "engine", *(f"{name} ms" for name in STAGES), "around", "images/s", "detections")
    rows = [
        (
            of["model"],
            str(of["size"]),
            of["engine"],
            *(f"{of[name]:.2f}" for name in STAGES),
            f"{of['overhead']:.0%}",
            f"{of['images_per_second']:.1f}",
            str(of["detections"]),
        )
        for of in result["stages"]
    ]
    after = ", ".join(
        f"{of['ms']:.2f} ms at score {score} ({of['candidates']} candidates)"
        for score, of in result["postprocess"].items()
    )
    return "\n".join(
        [
            described(result["machine"]),
            *aligned([heads, *rows], left=(0, 2)),
            "medians, one image at a time; around: letterbox, decode and NMS as a share of forward",
            f"decode + NMS of a made-up scene at {SIZE} px, {CLASSES} classes: {after}",
        ]
    )
