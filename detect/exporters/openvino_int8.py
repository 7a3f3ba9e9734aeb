"""A detector as OpenVINO's .xml and .bin in whole numbers of 8 bits, by NNCF's post-training quantisation."""

import logging
import os
from pathlib import Path
from typing import Any

from detect.errors import UserError
from detect.exporters.formats import Request, export_format
from detect.exporters.graph import description, reference
from detect.exporters.openvino import as_openvino, save
from detect.exporters.parity import agreeing
from detect.exporters.photos import squares
from detect.weights.files import Weights

LEAST, MOST = 100, 300  # images to calibrate with


@export_format("openvino-int8", ".xml", options=("size", "batch", "data", "check"))
def write(path: Path, weights: Weights, request: Request) -> list[Path]:
    """Write `weights` as `path` and the .bin beside it, calibrated on the images of `request.data` (its train split).

    Raises:
        UserError: there are fewer than `LEAST` images, the file is too far from PyTorch, or cannot be written.
    """
    if not request.data:
        raise UserError(f"int8 is calibrated on {LEAST} images or more of the kind it will see", argument="data")
    runtime = reference(weights, request)
    examples = squares(request.data, MOST, runtime.size)
    if len(examples) < LEAST:
        raise UserError(f"{request.data}: holds {len(examples)} images; int8 is calibrated on {LEAST} or more", "data")
    exported = description(weights, runtime, request, "int8")
    with agreeing(path, weights, runtime, request) as made:
        model = quantised(as_openvino(made, runtime, exported), examples)
        save(made, model, exported)
    return [path, path.with_suffix(".bin")]


def quantised(model: Any, examples: list[Any]) -> Any:
    """An OpenVINO model whose convolutions take whole numbers of 8 bits, calibrated on uint8 RGB [size, size, 3]."""
    os.environ["NNCF_CI"] = "1"  # NNCF tells its maker of every use otherwise
    import nncf

    nncf.set_log_level(logging.ERROR)
    data = nncf.Dataset([example[None] for example in examples])
    return nncf.quantize(model, data, preset=nncf.QuantizationPreset.MIXED, subset_size=len(examples))
