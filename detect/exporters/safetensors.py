"""A detector or classifier as .safetensors: weights, class names and configuration, to hand on and to start from."""

from pathlib import Path

from detect.exporters.formats import Request, export_format
from detect.weights.files import Weights, write_safetensors


@export_format("safetensors", ".safetensors", options=("half",))
def write(path: Path, weights: Weights, request: Request) -> list[Path]:
    """Write `weights` as `path`.  Raises UserError."""
    write_safetensors(path, weights, half=request.half)
    return [path]
