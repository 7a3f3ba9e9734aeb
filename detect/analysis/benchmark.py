"""How fast this machine runs and trains a detector: medians of rounds in which the measured things take turns."""

import copy
import json
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import torch

from detect.config.build import build
from detect.config.schema import DataSettings
from detect.errors import UserError
from detect.ops.image import read_image, write_image
from detect.ops.letterbox import Letterbox
from detect.ops.nms import detections_from
from detect.weights.files import read

IMAGE = (480, 640)  # height, width in px of the images measured with
CLASSES = 80  # as in COCO
WARM_UP = 3


def benchmark_inference(settings, size, weights=None, rounds=60, path=None):
    """Median milliseconds of the stages of detecting in one image (batch 1, PyTorch).

    The image is the file `path`, or a generated one of 640x480 px, in which hardly a box passes the threshold.

    Returns:
        {"letterbox", "forward", "decode", "nms": ms, "detections", "overhead": (letterbox + decode + nms) / forward,
        "fps"}
    """
    from detect.api import pick_device

    model = read(weights).network if weights else build(settings, CLASSES)
    if size % model.stride:
        raise UserError(f"--size {size}: must be a multiple of the model's stride {model.stride}")
    device = pick_device()
    model = copy.deepcopy(model).fuse().to(device, memory_format=torch.channels_last)
    options = settings.predict.nms_options() | {"min_score": settings.predict.min_score}
    image = read_image(path) if path else generated_image(np.random.default_rng(0))
    letterbox = Letterbox(image.shape[1], image.shape[0], size)

    times = {"letterbox": [], "forward": [], "decode": [], "nms": []}

    def timed(name, call):
        start = time.perf_counter()
        result = call()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times[name].append((time.perf_counter() - start) * 1000)
        return result

    def pixels():
        square = torch.from_numpy(letterbox.apply(image)).to(device)
        return square.permute(2, 0, 1)[None].float() / 255

    with torch.inference_mode():
        for _ in range(rounds + WARM_UP):
            inputs = timed("letterbox", pixels)
            raw = timed("forward", lambda inputs=inputs: model(inputs))
            boxes, scores = timed("decode", lambda raw=raw: model.decode(raw))
            found = timed("nms", lambda boxes=boxes, scores=scores: detections_from(boxes[0], scores[0], **options))
    result = {name: median(values[WARM_UP:]) for name, values in times.items()}
    around = result["letterbox"] + result["decode"] + result["nms"]
    total = around + result["forward"]
    return result | {"detections": len(found.boxes), "overhead": around / result["forward"], "fps": 1000 / total}


def benchmark_training(settings, size, batch, steps=12):
    """Median images per second of training with augmentation and loader, and the loader's share of the time.

    Trains the configured model for a few steps on generated images of 640x480 px with eight objects each.
    """
    from detect.api import pick_device
    from detect.engine.detection import DetectionTask
    from detect.engine.train import Trainer

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

    def __init__(self):
        self.rates, self.shares = [], []

    def step(self, step, epoch, terms, lr, images_per_second, data_share):
        self.rates.append(images_per_second)
        self.shares.append(data_share)

    def say(self, text):
        pass

    def results(self, history):
        pass

    def close(self):
        pass


def generated_image(rng):
    """A smooth coloured image with patches on it, uint8 RGB [480, 640, 3]."""
    height, width = IMAGE
    rows, columns = np.mgrid[:height, :width]
    image = np.stack([rows * 255 / height, columns * 255 / width, np.full((height, width), 90.0)], axis=-1)
    return (image + rng.normal(0, 12, image.shape)).clip(0, 255).astype(np.uint8)


def make_data_set(folder, count):
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


def table(result):
    """The result of both benchmarks as plain text."""
    run, train = result["inference"], result["training"]
    stages = "  ".join(f"{name} {run[name]:.1f} ms" for name in ("letterbox", "forward", "decode", "nms"))
    return (
        f"{result['machine']}, PyTorch {torch.__version__}, {torch.get_num_threads()} threads; medians\n"
        f"inference: {stages}; {run['fps']:.1f} frames/s, {run['detections']} detections\n"
        f"letterbox + decode + nms take {run['overhead']:.0%} of the forward pass\n"
        f"training: {train['images_per_second']:.1f} images/s, {train['loader_share']:.1%} of it waiting for the loader"
    )
