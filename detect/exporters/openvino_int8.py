"""A detector as OpenVINO's .xml and .bin in whole numbers of 8 bits, by NNCF's post-training quantisation."""

import logging
import os
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from detect.errors import UserError
from detect.exporters.formats import Request, export_format
from detect.exporters.graph import description, reference
from detect.exporters.openvino import as_openvino, save
from detect.exporters.parity import agreeing, average_precision
from detect.exporters.photos import is_data_set, labelled, squares
from detect.inference.engines import open_exported
from detect.inference.exported import Exported
from detect.weights.files import Weights

LEAST, MOST = 100, 300  # images to calibrate with, and to compare AP on
MAX_LOSS = 0.005  # AP that quantisation may cost before layers are kept in floating point


@export_format("openvino-int8", ".xml", options=("size", "batch", "data", "check"))
def write(path: Path, weights: Weights, request: Request) -> list[Path]:
    """Write `weights` as `path` and the .bin beside it, calibrated on the images of `request.data` (its train split).

    Where these are labelled, others of them tell what is lost; if it is too much, the head's convolutions stay in
    floating point, which is said.

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
        model = as_openvino(made, runtime, exported)
        heads = [_last_convolution(result) for result in model.get_results()]
        save(made, quantised(model, examples), exported)
        if is_data_set(request.data) and _loss(made, model, exported, weights, request) > MAX_LOSS:
            request.log(f"kept in floating point: the head's convolutions ({', '.join(heads)})")
            save(made, quantised(model, examples, heads), exported)
            _loss(made, model, exported, weights, request)
    return [path, path.with_suffix(".bin")]


def quantised(model: Any, examples: Sequence[Any], kept: Sequence[str] = ()) -> Any:
    """An OpenVINO model whose convolutions take whole numbers of 8 bits, those named `kept` apart.

    Args:
        examples: uint8 RGB [size, size, 3] each, to calibrate with.
    """
    os.environ["NNCF_CI"] = "1"  # NNCF tells its maker of every use otherwise
    import nncf

    nncf.set_log_level(logging.ERROR)
    data = nncf.Dataset([example[None] for example in examples])
    with redirect_stdout(sys.stderr):  # its bar
        return nncf.quantize(
            model,
            data,
            preset=nncf.QuantizationPreset.MIXED,  # leaky ReLU gives both signs
            subset_size=len(examples),
            ignored_scope=nncf.IgnoredScope(names=list(kept)),
        )


def _loss(made: Path, model: Any, exported: Exported, weights: Weights, request: Request) -> float:
    """AP that the file `made` lacks of the OpenVINO `model`, on labelled images that it was not calibrated with."""
    dataset = labelled(request.data, "train")
    count = len(dataset.images)
    seen = {i * count // MOST for i in range(MOST)} if count > MOST else set()
    dataset.images = [image for i, image in enumerate(dataset.images) if i not in seen][-2 * MOST :: 2]
    whole = made.with_name("whole.xml")
    save(whole, model, exported)
    scores = [average_precision(open_exported(path), weights, dataset) for path in (whole, made)]
    for file in (whole, whole.with_suffix(".bin")):
        file.unlink()
    request.log(f"AP on {len(dataset.images)} images of {dataset.source}: float {scores[0]:.4f}, int8 {scores[1]:.4f}")
    return scores[0] - scores[1]


def _last_convolution(result: Any) -> str:
    """Name of the convolution that an output comes from."""
    node = result.input_value(0).get_node()
    while node.get_type_name() != "Convolution":
        node = node.input_value(0).get_node()
    return str(node.get_friendly_name())
