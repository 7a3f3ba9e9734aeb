"""A detector as ONNX, for ONNX Runtime, OpenVINO and most other engines."""

from pathlib import Path

from detect.exporters.formats import Request, export_format
from detect.exporters.graph import description, reference, write_onnx
from detect.exporters.parity import agreeing
from detect.weights.files import Weights


@export_format("onnx", ".onnx", options=("size", "batch", "data", "check"))
def write(path: Path, weights: Weights, request: Request) -> list[Path]:
    """Write `weights` as `path` once it was found to agree with PyTorch.  Raises UserError."""
    runtime = reference(weights, request)
    with agreeing(path, weights, runtime, request) as made:
        write_onnx(made, runtime, description(weights, runtime, request, "f32"))
    return [path]
