"""A detector ready to run: `load`. Exported files need no PyTorch, which is imported for the others only."""

from os import PathLike
from typing import TYPE_CHECKING, Any, NamedTuple

from detect.errors import UserError, nearest
from detect.files import printable
from detect.inference.engines import ENGINES, is_exported, open_exported
from detect.inference.predictor import Predictor
from detect.inference.thresholds import Thresholds
from detect.inference.tiling import AT_ONCE, OVERLAP, Tiling
from detect.weights import zoo

if TYPE_CHECKING:
    from detect.weights.files import Weights

# arguments of `load`, as in the section `predict` of a configuration -> of `detect.ops.nms.nms`
NMS_ARGUMENTS = {
    "nms": "overlap",
    "nms_threshold": "threshold",
    "nms_beta": "beta",
    "nms_vote": "vote",
    "per_class": "per_class",
}
RELEASED = zoo.RELEASED[0].path  # what is loaded where no weights are named
AnyPath = str | PathLike[str]


class Opened(NamedTuple):
    """A detector ready to run, and what its file says beside."""

    predictor: Predictor
    categories: list[dict[str, Any]]  # {"id", "name"} by label
    notes: tuple[str, ...]  # sentences for the user
    data: Any  # settings of the data it was trained on, where the file knows


def load(
    weights: AnyPath = RELEASED,
    *,
    cfg: AnyPath | None = None,
    names: AnyPath | None = None,
    size: int | None = None,
    min_score: float | str | None = None,
    max_detections: int | None = None,
    device: str | None = None,
    batch: int = 1,
    engine: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    tile: int | None = None,
    overlap: float = OVERLAP,
    **nms: Any,
) -> Predictor:
    """A `Predictor` with the detector in `weights`::

        model = detect.load()
        result = model("photo.jpg")
        for result in model.stream("video.mp4"):
            for box, score, name in result: ...

    Args:
        weights: an exported .xml or .onnx, a run folder, a `.pt` checkpoint, a `.safetensors` or a Darknet `.weights`
            file, or where there is none of this name, one that `detect zoo` lists: then what is not here is fetched;
            the released weights by default.
        cfg, names: the .cfg that a .weights file needs, and a file with a class name a line.
        size: side of the network's input, px; what it was trained for by default. An exported file has one size.
        min_score: detections at or below it are left out; what the weights' configuration says by default (0.25).
            "auto" takes for each class the score that gave the highest F1 on the weights' val split.
        max_detections: of an image; what the weights' configuration says by default (100).
        device: cpu, cuda, cuda:1, mps, ...; CUDA by default where there is one. Exported files run on the CPU.
        batch: images that go through the detector at once.
        engine: torch; openvino or onnx for exported files; auto takes the fastest that is installed for the file.
        precision: what an exported file is computed in: f32, bf16, f16; auto takes the fastest on this machine, which
            is measured once. f32 gives PyTorch's results to the last digits.
        threads: how many compute; all cores that this process may use by default.
        tile: images larger than so many px are also looked at in square tiles of this side, each as large for the
            network as a whole image is, to find small objects; None for never.
        overlap: of neighbouring tiles, at the least, as a share of their side.
        nms: `nms`, `nms_threshold`, `nms_beta`, `nms_vote`, `per_class` as in the section `predict` of a configuration,
            instead of what the weights' says.

    Raises:
        UserError: the weights cannot be used or fetched, or an argument is out of range.
    """
    options: dict[str, Any] = {"size": size, "min_score": min_score, "max_detections": max_detections}
    options |= {"device": device, "batch": batch, "engine": engine, "precision": precision, "threads": threads}
    options |= {"tile": tile, "overlap": overlap}
    return open_detector(weights, cfg, names, **options, **nms).predictor


def open_detector(
    weights: AnyPath = RELEASED, cfg: AnyPath | None = None, names: AnyPath | None = None, **options: Any
) -> Opened:
    """`load`, with what the file says beside; `options` as there.  Raises UserError.

    One option more is `streams`: images that exported files compute side by side, each on its share of the threads,
    though they come one by one: more images a second, each a little later.
    """
    if is_exported(weights):
        if cfg or names:
            raise UserError(f"{printable(weights)}: holds its model and class names itself; leave out .cfg and names")
        return _exported(weights, **options)
    loaded = load_weights(weights, cfg, names)
    return Opened(predictor_of(loaded, **options), loaded.categories, loaded.notes, loaded.settings.data)


def load_weights(
    weights: AnyPath = RELEASED, cfg: AnyPath | None = None, names: AnyPath | None = None, **options: Any
) -> "Weights":
    """The `Weights` in a file; arguments as in `load` and `detect.weights.files.read`.  Raises UserError."""
    from detect.weights.files import read

    return read(zoo.released_path() if weights is RELEASED else weights, cfg=cfg, names=names, **options)


def predictor_of(
    weights: "Weights",
    *,
    size: int | None = None,
    device: str | None = None,
    engine: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    streams: int = 1,
    **options: Any,
) -> Predictor:
    """The `Predictor` of `Weights` that are read already, in PyTorch; arguments as in `load`.  Raises UserError.

    `streams` means nothing to PyTorch, which computes one batch after another.
    """
    from detect.inference.torch_runtime import TorchRuntime, pick_device, use_threads

    if engine not in ("auto", "torch"):
        what = "runs exported files; make one with tools/export.py" if engine in ENGINES else "is no engine"
        raise UserError(f"{engine}: {what}", argument="engine")
    if precision not in ("auto", "f32"):
        raise UserError(f"{precision}: PyTorch computes in f32; export the weights for others", argument="precision")
    use_threads(threads)
    settings = weights.settings
    size = settings.input.size if size is None else size
    runtime = TorchRuntime(weights.network, weights.names, size, pick_device(device))
    predict = settings.predict
    configured = {"min_score": predict.min_score, "max_detections": predict.max_detections}
    return _predictor(runtime, configured | {"nms": predict.nms_options()}, weights.thresholds, options)


def _exported(
    path: AnyPath,
    *,
    size: int | None = None,
    device: str | None = None,
    engine: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    batch: int = 1,
    streams: int = 1,
    **options: Any,
) -> Opened:
    at_once = max(batch, AT_ONCE) if options.get("tile") else batch
    if device not in (None, "cpu"):
        raise UserError(f"{device}: exported files run on the CPU here", argument="device")
    runtime = open_exported(path, engine, precision, threads, images=max(at_once, streams))
    if size not in (None, runtime.size):
        raise UserError(f"{size}: {printable(path)} was exported for {runtime.size} px; export it anew", "size")
    exported = runtime.exported
    thresholds = Thresholds.of(exported.thresholds, len(exported.names))
    predictor = _predictor(runtime, exported.predict, thresholds, {"batch": max(batch, exported.batch or 1)} | options)
    return Opened(predictor, exported.categories, (), None)


def _predictor(
    runtime: Any, configured: dict[str, Any], thresholds: Thresholds | None, given: dict[str, Any]
) -> Predictor:
    """With what the weights' configuration says, but for what is given beside: arguments of `load`."""
    own = {name: given.pop(name, None) for name in ("min_score", "max_detections", "batch")}
    if own["min_score"] == "auto":
        if thresholds is None:
            raise UserError(
                "auto: these weights keep no thresholds; evaluate them on labelled images and let that keep the best, "
                "or give a number",
                argument="min_score",
            )
        own["min_score"] = thresholds.scores
    tile, overlap = given.pop("tile", None), given.pop("overlap", OVERLAP)
    for name in given:
        if name not in NMS_ARGUMENTS:
            raise UserError(f"there is no argument '{name}'{nearest(name, NMS_ARGUMENTS)}")
    chosen = configured | {name: value for name, value in own.items() if value is not None}
    chosen["nms"] = configured["nms"] | {NMS_ARGUMENTS[name]: value for name, value in given.items()}
    return Predictor(runtime, **chosen, tiling=None if tile is None else Tiling(tile, overlap))
