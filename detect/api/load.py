"""A detector ready to run: `load`."""

from os import PathLike
from typing import Any

from detect.inference.predictor import Predictor
from detect.inference.torch_runtime import TorchRuntime, pick_device
from detect.weights import zoo
from detect.weights.files import Weights, read

RELEASED = zoo.RELEASED[0].path  # what is loaded where no weights are named
AnyPath = str | PathLike[str]


def load(
    weights: AnyPath = RELEASED,
    *,
    cfg: AnyPath | None = None,
    names: AnyPath | None = None,
    size: int | None = None,
    min_score: float | None = None,
    max_detections: int | None = None,
    device: str | None = None,
    batch: int = 1,
    **nms: Any,
) -> Predictor:
    """A `Predictor` with the detector in `weights`::

        model = detect.load()
        result = model("photo.jpg")
        for result in model.stream("video.mp4"):
            for box, score, name in result: ...

    Args:
        weights: a run folder, a `.pt` checkpoint, a `.safetensors` or a Darknet `.weights` file, or where there is none
            of this name, one that `detect zoo` lists: then what is not here is fetched; the released weights by
            default.
        cfg, names: the .cfg that a .weights file needs, and a file with a class name a line.
        size: side of the network's input, px; what it was trained for by default.
        min_score: detections at or below it are left out; what the weights' configuration says by default (0.25).
        max_detections: of an image; what the weights' configuration says by default (100).
        device: cpu, cuda, cuda:1, mps, ...; CUDA by default where there is one.
        batch: images that go through the detector at once.
        nms: `overlap`, `threshold`, `beta`, `per_class` of `detect.ops.nms.nms`, instead of the configured.

    Raises:
        UserError: the weights cannot be used or fetched, or an argument is out of range.
    """
    loaded = load_weights(weights, cfg, names)
    options: dict[str, Any] = {
        "size": size,
        "min_score": min_score,
        "max_detections": max_detections,
        "device": device,
        "batch": batch,
    }
    return predictor_of(loaded, **options, **nms)


def load_weights(
    weights: AnyPath = RELEASED, cfg: AnyPath | None = None, names: AnyPath | None = None, **options: Any
) -> Weights:
    """The `Weights` in a file; arguments as in `load` and `detect.weights.files.read`.  Raises UserError."""
    return read(zoo.released_path() if weights is RELEASED else weights, cfg=cfg, names=names, **options)


def predictor_of(
    weights: Weights,
    *,
    size: int | None = None,
    min_score: float | None = None,
    max_detections: int | None = None,
    device: str | None = None,
    batch: int = 1,
    **nms: Any,
) -> Predictor:
    """The `Predictor` of `Weights` that are read already; arguments as in `load`.  Raises UserError."""
    settings = weights.settings
    size = settings.input.size if size is None else size
    return Predictor(
        TorchRuntime(weights.network, weights.names, size, pick_device(device)),
        min_score=settings.predict.min_score if min_score is None else min_score,
        nms=settings.predict.nms_options() | nms,
        max_detections=settings.predict.max_detections if max_detections is None else max_detections,
        batch=batch,
    )
