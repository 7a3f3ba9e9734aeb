"""The two ways in for programs: `load` a trained detector and predict with it, `build` an untrained one."""

from pathlib import Path

from detect import config
from detect.errors import UserError
from detect.inference.predictor import Predictor
from detect.inference.torch_runtime import TorchRuntime, pick_device
from detect.models.detector import build_detector
from detect.weights.files import load_model

RELEASED = Path(__file__).resolve().parents[1] / "weights" / "csppelee_efm_coco3k.safetensors"


def load(weights=RELEASED, *, cfg=None, names=None, size=None, min_score=None, device=None, batch=1, **nms):
    """A `Predictor` with the detector in `weights`::

        model = detect.load("weights/csppelee_efm_coco3k.safetensors")
        result = model("photo.jpg")
        for result in model.stream("video.mp4"):
            result.boxes, result.scores, result.labels, result.names

    Args:
        weights: a run folder, a `.pt` checkpoint, a `.safetensors` or a Darknet `.weights` file; the released weights
            by default.
        cfg, names: the .cfg that a .weights file needs, and a file with a class name a line.
        size: side of the network's input, px; what it was trained for by default.
        min_score: detections at or below it are left out; what the weights' configuration says by default (0.25).
        device: torch device; CUDA by default where there is one.
        batch: images that go through the detector at once.
        nms: `overlap`, `threshold`, `beta`, `per_class` of `detect.ops.nms.nms`, instead of the configured.

    Raises:
        UserError: the weights cannot be used, or an argument is out of range.
    """
    model = load_file(weights, cfg, names)
    return predictor_of(model, size=size, min_score=min_score, device=device, batch=batch, **nms)


def load_file(weights=RELEASED, cfg=None, names=None):
    """The `LoadedModel` of a detector; arguments as in `load`.  Raises UserError."""
    if weights is RELEASED and not RELEASED.is_file():
        raise UserError("the released weights are part of a checkout, not of this installation; name a file of weights")
    return load_model(weights, cfg=cfg, names=names)


def predictor_of(model, *, size=None, min_score=None, max_detections=None, device=None, batch=1, **nms):
    """The `Predictor` of a `LoadedModel`; arguments as in `load`."""
    predict = model.settings.predict
    size = model.settings.input.size if size is None else size
    return Predictor(
        TorchRuntime(model.network, model.names, size, pick_device(device)),
        min_score=predict.min_score if min_score is None else min_score,
        nms=predict.nms_options() | nms,
        max_detections=predict.max_detections if max_detections is None else max_detections,
        batch=batch,
    )


def build(source, num_classes=80):
    """An untrained detector from a configuration file, or from a mapping with `backbone`, `neck` and `head`.

    A .cfg gives a `DarknetNetwork`, whose classes it says itself; everything else a `Detector`.

    Raises:
        UserError: the configuration is wrong.
    """
    if not isinstance(source, dict):
        return config.load(source, needs_data=False).model.build(num_classes)
    model = source
    for part in ("backbone", "neck", "head"):
        if not isinstance(model.get(part), dict) or "name" not in model[part]:
            raise UserError(f"the model has no {part}; describe it like {{'name': ...}}")
    return build_detector(model, num_classes)
