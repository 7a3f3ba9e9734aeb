"""How fast this machine runs and trains a detector: medians of rounds in which the measured things take turns."""

import copy
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from detect.config.build import build_model
from detect.config.schema import DataSettings, Settings
from detect.engine.detection import DetectionTask
from detect.engine.train import Trainer
from detect.inference.torch_runtime import TORCH, TorchRuntime, pick_device
from detect.models.heads.yolo import ANCHORS
from detect.ops.decode import Decoder
from detect.ops.image import read_image, write_image
from detect.ops.letterbox import Letterbox
from detect.ops.nms import nms
from detect.weights.files import read

IMAGE = (480, 640)  # height, width in px of the images measured with
CLASSES = 80  # as in COCO
WARM_UP = 3
SIZE, STRIDES = 416, (8, 16, 32)  # of the maps that decoding and NMS alone are measured with
OBJECTS = 25  # in them
SCORES = (0.25, 0.001)  # for using a detector, for evaluating it


def benchmark_inference(
    settings: Settings,
    size: int,
    weights: str | None = None,
    rounds: int = 60,
    path: str | None = None,
    cfg: str | None = None,
) -> dict[str, float]:
    """Median milliseconds of the stages of detecting in one image (batch 1, PyTorch).

    The image is the file `path`, or a generated one of 640x480 px, in which hardly a box passes the threshold.
    "forward" is from the uint8 square to the maps in NumPy: the way to the device and back and the division by 255 too.

    Args:
        weights, cfg: a file of weights, and the .cfg that a .weights file needs.

    Returns:
        {"letterbox", "forward", "decode", "nms": ms, "detections", "overhead": (letterbox + decode + nms) / forward,
        "fps"}
    """
    network = read(weights, cfg=cfg).network if weights else build_model(settings, CLASSES)
    runtime = TorchRuntime(network, range(network.num_classes), size, pick_device())
    predict = settings.predict
    image = read_image(path) if path else generated_image(np.random.default_rng(0))
    letterbox = Letterbox(image.shape[1], image.shape[0], size)
    times = {"letterbox": [], "forward": [], "decode": [], "nms": []}
    for _ in range(rounds + WARM_UP):
        square = _timed(times["letterbox"], letterbox.apply, image)
        raw = _timed(times["forward"], runtime.raw, square[None])
        (candidates,) = _timed(times["decode"], runtime.decoder, raw, predict.min_score)
        found = _timed(times["nms"], nms, candidates, **predict.nms_options())
    result = {name: median(values[WARM_UP:]) for name, values in times.items()}
    around = result["letterbox"] + result["decode"] + result["nms"]
    total = around + result["forward"]
    return result | {"detections": len(found.boxes), "overhead": around / result["forward"], "fps": 1000 / total}


def benchmark_postprocess(rounds: int = 60) -> dict[str, dict[str, float]]:
    """Median milliseconds of decoding and NMS of one image of 416 px with 80 classes, whatever the network.

    Returns:
        {"0.25": {"candidates": number, "ms": decode + NMS}, "0.001": the same}, by minimum score.
    """
    raw = made_up_maps(np.random.default_rng(0))
    anchors = tuple(ANCHORS["coco9"][start : start + 3] for start in (0, 3, 6))
    decoder = Decoder(anchors, STRIDES, CLASSES, (1.0,) * 3, (False,) * 3, functions=TORCH)
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


def benchmark_training(settings: Settings, size: int, batch: int, steps: int = 12) -> dict[str, float]:
    """Median images per second of training with augmentation and loader, and the loader's share of the time.

    Trains the configured model for a few steps on generated images of 640x480 px with eight objects each.
    """
    settings = copy.deepcopy(settings)
    settings.input.size, settings.input.train_sizes = size, None
    train = settings.train
    train.batch, train.accumulate, train.init = batch, 1, None
    train.steps, train.epochs, train.evaluate_every = steps + WARM_UP, None, 1e9
    with tempfile.TemporaryDirectory() as folder:
        settings.data = DataSettings(root=folder)
        make_data_set(Path(folder), count=64)
        recorder = Recorder()
        Trainer(DetectionTask(settings), Path(folder), pick_device()).run(log=recorder)
    return {
        "images_per_second": median(recorder.rates[WARM_UP:]),
        "loader_share": median(recorder.shares[WARM_UP:]),
    }


class Recorder:
    """Stands in for the training's log and keeps its numbers."""

    def __init__(self) -> None:
        self.rates, self.shares = [], []

    def step(self, *about: Any) -> None:
        *_, images_per_second, data_share = about
        self.rates.append(images_per_second)
        self.shares.append(data_share)

    def say(self, text: str) -> None:
        pass

    def results(self, history: list[dict[str, Any]]) -> None:
        pass

    def close(self) -> None:
        pass


def generated_image(rng: np.random.Generator) -> np.ndarray:
    """A smooth coloured image with patches on it, uint8 RGB [480, 640, 3]."""
    height, width = IMAGE
    rows, columns = np.mgrid[:height, :width]
    image = np.stack([rows * 255 / height, columns * 255 / width, np.full((height, width), 90.0)], axis=-1)
    return (image + rng.normal(0, 12, image.shape)).clip(0, 255).astype(np.uint8)


def make_data_set(folder: Path, count: int) -> None:
    """Write a small data set in COCO's format: `images/` and `annotations/train.json`."""
    rng = np.random.default_rng(0)
    (folder / "images").mkdir()
    (folder / "annotations").mkdir()
    images, annotations = [], []
    for number in range(1, count + 1):
        image = generated_image(rng)
        for _ in range(8):
            left, top = int(rng.integers(0, 500)), int(rng.integers(0, 360))
            width, height = int(rng.integers(20, 140)), int(rng.integers(20, 120))
            image[top : top + height, left : left + width] = rng.integers(0, 255, 3)
            box = [left, top, width, height]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": int(rng.integers(1, CLASSES + 1)),
                    "bbox": box,
                }
            )
        write_image(folder / "images" / f"{number}.jpg", image)
        images.append({"id": number, "file_name": f"{number}.jpg", "width": IMAGE[1], "height": IMAGE[0]})
    categories = [{"id": number, "name": f"patch {number}"} for number in range(1, CLASSES + 1)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "annotations" / "train.json").write_text(json.dumps(content))


def table(result: dict[str, Any]) -> str:
    """The result of all benchmarks as plain text."""
    run, train = result["inference"], result["training"]
    stages = "  ".join(f"{name} {run[name]:.1f} ms" for name in ("letterbox", "forward", "decode", "nms"))
    after = ", ".join(
        f"{of['ms']:.2f} ms at score {score} ({of['candidates']} candidates)"
        for score, of in result["postprocess"].items()
    )
    return (
        f"{result['machine']}, PyTorch {torch.__version__}, {torch.get_num_threads()} threads; medians\n"
        f"inference: {stages}; {run['fps']:.1f} frames/s, {run['detections']} detections\n"
        f"letterbox + decode + nms take {run['overhead']:.0%} of the forward pass\n"
        f"decode + nms of a made-up scene at {SIZE} px, {CLASSES} classes: {after}\n"
        f"training: {train['images_per_second']:.1f} images/s, {train['loader_share']:.1%} of it waiting for the loader"
    )
