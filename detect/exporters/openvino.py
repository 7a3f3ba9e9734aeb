"""A detector as OpenVINO's .xml and .bin, the fastest file on ordinary processors."""

from pathlib import Path
from typing import Any

from detect.exporters.formats import Request, export_format
from detect.exporters.graph import description, reference, write_onnx
from detect.exporters.parity import agreeing
from detect.inference.exported import KEY, Exported
from detect.inference.openvino_runtime import import_openvino, read_model, the_core
from detect.inference.torch_runtime import TorchRuntime
from detect.weights.files import Weights


@export_format("openvino", ".xml", options=("half", "size", "batch", "data", "check"))
def write(path: Path, weights: Weights, request: Request) -> list[Path]:
    """Write `weights` as `path` and the .bin beside it, once they were found to agree with PyTorch.

    Raises:
        UserError: they do not agree, or cannot be written.
    """
    runtime = reference(weights, request)
    exported = description(weights, runtime, request, "f16" if request.half else "f32")
    with agreeing(path, weights, runtime, request) as made:
        save(made, as_openvino(made, runtime, exported), exported, request.half)
    return [path, path.with_suffix(".bin")]


def as_openvino(path: Path, runtime: TorchRuntime, exported: Exported) -> Any:
    """The network as OpenVINO's model; an .onnx lies beside `path` for a moment."""
    between = path.with_suffix(".onnx")
    write_onnx(between, runtime, exported)
    model = read_model(the_core(), between)
    between.unlink()
    return model


def save(path: Path, model: Any, exported: Exported, half: bool = False) -> None:
    """Write an OpenVINO model with what `exported` says in its metadata."""
    model.set_rt_info(exported.to_json(), [KEY])
    import_openvino().save_model(model, path, compress_to_fp16=half)
