"""What `detect benchmark` compares: models as users name them, and the networks that are measured for them."""

import dataclasses
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from detect.analysis.bare import Network, ONNXNetwork, OpenVINONetwork, TorchNetwork, random_input
from detect.errors import UserError, nearest
from detect.files import missing, printable
from detect.inference.engines import ENGINES, PRECISIONS, engine_for, is_exported, open_exported
from detect.weights import zoo

if TYPE_CHECKING:
    from detect.weights.files import Weights

CONFIGS = (".yaml", ".yml", ".cfg")
CHOICES = {"engine": ENGINES, "precision": (*PRECISIONS, "int8")}
CLASSES = 80  # of a configuration's network, as in COCO
EXAMPLES = 8  # images that a network of random weights is quantised with


@dataclass(frozen=True)
class Contender:
    """A model and how it is to be run; plain values, so that another process can open it too."""

    name: str  # for people
    path: str  # a configuration, weights, or an exported file of any tool
    engine: str = "auto"
    precision: str = "auto"
    threads: int | None = None
    size: int | None = None  # px, of a network that has no size of its own to keep
    device: str | None = None  # of PyTorch
    cfg: str | None = None  # that a .weights file needs
    overrides: tuple[str, ...] = ()  # of a configuration

    @property
    def is_config(self) -> bool:
        """Whether it is run with random weights."""
        return Path(self.path).suffix in CONFIGS

    @property
    def floats(self) -> str:
        """The precision of floating-point numbers that is asked for; whole numbers are in the file or not."""
        return "auto" if self.precision == "int8" else self.precision


def contender(text: str, **options: Any) -> Contender:
    """Of MODEL[:ENGINE][:PRECISION]; what these do not say, `options` do.

    Raises:
        UserError: an option is unknown, or no such file or name is there.
    """
    path, said = text, dict[str, str]()
    while not Path(path).exists() and (match := re.fullmatch(r"(.+):(\w+)", path)):
        option = next((name for name, words in CHOICES.items() if match[2] in words), None)
        if option in said:
            raise UserError(f"{printable(text)}: says {option} twice; list the model twice to compare them")
        if option is None:
            raise UserError(
                f"{printable(text)}: there is no such file, and '{match[2]}' is neither an engine nor a precision"
                f"{nearest(match[2], [word for words in CHOICES.values() for word in words])}"
            )
        path, said[option] = match[1], match[2]
    by_name = path in zoo.known_names()
    if not Path(path).exists() and not by_name:
        raise missing(path, zoo.known_names())
    name = path if by_name else Path(path).name if Path(path).is_dir() else Path(path).stem
    return Contender(name, path, **options | said)


def open_network(of: Contender, cache: Path | None = None) -> Network:
    """Ready to run. `cache`: a folder for what OpenVINO compiles.  Raises UserError."""
    if not is_exported(of.path):
        return TorchNetwork(_torch_runtime(of, weights_of(of)), of.threads)
    if engine_for(of.path, of.engine) == "openvino":
        options = {"CACHE_DIR": str(cache)} if cache else {}
        network: Any = OpenVINONetwork(of.path, of.floats, of.threads, of.size, **options)
    else:
        network = ONNXNetwork(of.path, of.floats, of.threads, of.size)
    _refuse(of.precision == "int8" and not network.is_int8, of, "holds no int8; export it as openvino-int8")
    return network


def open_runtime(of: Contender) -> tuple[Any, dict[str, Any]]:
    """The runtime of a detector of ours, and its {"min_score", "nms": options}.  Raises UserError."""
    if is_exported(of.path):
        runtime = open_exported(of.path, of.engine, of.floats, of.threads)
        return runtime, runtime.exported.predict
    from detect.inference.torch_runtime import use_threads

    weights = weights_of(of)
    if of.threads:
        use_threads(of.threads)
    predict = weights.settings.predict
    return _torch_runtime(of, weights), {"min_score": predict.min_score, "nms": predict.nms_options()}


def exported(of: Contender, folder: Path) -> Contender:
    """It as a file for its engine, in `folder`, where it is a configuration or weights; not compared with PyTorch.

    Raises:
        UserError: the model cannot be built or exported.
    """
    if is_exported(of.path) or of.engine in ("auto", "torch"):
        return of
    from detect.exporters.formats import Request
    from detect.exporters.graph import description, write_onnx
    from detect.exporters.openvino import as_openvino, save

    int8 = of.precision == "int8"
    _refuse(int8 and of.engine == "onnx", of, "int8 is computed by OpenVINO here; add :openvino")
    weights = weights_of(of)
    runtime = _runtime(weights, of.size)
    said = description(weights, runtime, Request(), "int8" if int8 else "f32")
    path = folder / f"{len(list(folder.iterdir()))}.{'onnx' if of.engine == 'onnx' else 'xml'}"
    if of.engine == "onnx":
        write_onnx(path, runtime, said)
    else:
        model = as_openvino(path, runtime, said)
        save(path, _quantised(model, runtime.size) if int8 else model, said)
    return dataclasses.replace(of, path=str(path))


def _quantised(model: Any, size: int) -> Any:
    """In int8, calibrated on noise: its speed is what the trained one's is, its results are not."""
    from detect.exporters.openvino_int8 import quantised

    return quantised(model, list(random_input((EXAMPLES, size, size, 3), np.dtype(np.uint8))))


def weights_of(of: Contender) -> "Weights":
    """The detector of a configuration, with random weights, or of a file of weights.  Raises UserError."""
    from detect.weights.files import Weights, read

    if not of.is_config:
        return read(of.path, cfg=of.cfg if of.path.endswith(".weights") else None)
    import torch

    from detect import config
    from detect.config.build import build_model

    settings = config.load(of.path, of.overrides, needs_data=False, override_name="override", training=False)
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        network: Any = build_model(settings, CLASSES)
    categories = [{"id": label + 1, "name": f"class {label}"} for label in range(network.num_classes)]
    return Weights.of(network, settings, categories, of.path)


def _runtime(weights: "Weights", size: int | None) -> Any:
    """In PyTorch, on the CPU.  Raises UserError: it is a classifier, or does not fit the size."""
    from detect.exporters.formats import Request
    from detect.exporters.graph import reference

    return reference(weights, Request(size=size))


def _torch_runtime(of: Contender, weights: "Weights") -> Any:
    """In PyTorch, on the device that is asked for.  Raises UserError."""
    from detect.inference.torch_runtime import pick_device

    _refuse(of.precision not in ("auto", "f32"), of, "PyTorch computes in f32; add :openvino")
    return _runtime(weights, of.size).to(pick_device(of.device))


def _refuse(wrong: bool, of: Contender, sentence: str) -> None:
    if wrong:
        raise UserError(f"{printable(of.name)}:{of.precision}: {sentence}")
