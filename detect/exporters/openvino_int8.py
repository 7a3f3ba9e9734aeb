"""A detector as OpenVINO's .xml and .bin in whole numbers of 8 bits, by NNCF's post-training quantisation."""

import logging
import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from detect.data.dataset import Dataset
from detect.errors import UserError
from detect.exporters.formats import Request, export_format
from detect.exporters.graph import description, reference
from detect.exporters.openvino import as_openvino, save
from detect.exporters.parity import agreeing, average_precision
from detect.exporters.photos import is_data_set, labelled, spread, squares, to_compare
from detect.inference.engines import open_exported
from detect.inference.exported import Exported
from detect.weights.files import Weights

LEAST, MOST = 100, 300  # images to calibrate with, and to compare AP on
MAX_LOSS = 0.005  # AP that quantisation may cost before layers are kept in floating point


@export_format("openvino-int8", ".xml", options=("size", "batch", "data", "check"))
def write(path: Path, weights: Weights, request: Request) -> list[Path]:
    """Write `weights` as `path` and the .bin beside it, calibrated on images of `request.data` (its train split).

    Where these are labelled, those left over tell what is lost; if it is too much, the head's convolutions stay in
    floating point, which is said.

    Raises:
        UserError: there are fewer than `LEAST` images, the file is too far from PyTorch, or cannot be written.
    """
    if not request.data:
        raise UserError(f"int8 is calibrated on {LEAST} images or more of the kind it will see", argument="data")
    runtime = reference(weights, request)
    dataset = labelled(request.data, "train") if is_data_set(request.data) else None
    paths = list(map(Path, dataset.images.paths)) if dataset else to_compare(request.data)
    if len(paths) < LEAST:
        raise UserError(f"{request.data}: holds {len(paths)} images; int8 is calibrated on {LEAST} or more", "data")
    chosen = spread(paths, min(MOST, max(LEAST, len(paths) // 2)))
    unseen = _unseen(dataset, chosen, request) if dataset else None
    exported = description(weights, runtime, request, "int8")
    with agreeing(path, weights, runtime, request) as made:
        model = as_openvino(made, runtime, exported)
        heads = [_last_convolution(result) for result in model.get_results()]
        examples = squares(chosen, runtime.size)
        save(made, quantised(model, examples), exported)
        if unseen and _loss(made, model, exported, weights, unseen, request) > MAX_LOSS:
            request.log(f"kept in floating point: the head's convolutions ({', '.join(heads)})")
            save(made, quantised(model, examples, heads), exported)
            _loss(made, model, exported, weights, unseen, request)
    return [path, path.with_suffix(".bin")]


def _unseen(dataset: Dataset, chosen: Sequence[Path], request: Request) -> Dataset | None:
    """`dataset` without the images to calibrate with; None, and a word, where too few are left to compare AP on."""
    taken = set(map(str, chosen))
    left = [index for index, path in enumerate(dataset.images.paths) if path not in taken]
    dataset.images = dataset.images.take(spread(left, MOST))
    if len(dataset.images) >= LEAST // 2:
        return dataset
    request.log(f"AP is not compared: {len(dataset.images)} images are left beside those to calibrate with")
    return None


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


def _loss(made: Path, model: Any, exported: Exported, weights: Weights, unseen: Dataset, request: Request) -> float:
    """AP that the file `made` lacks of the OpenVINO `model`, on labelled images that it was not calibrated with."""
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder, "whole.xml")
        save(whole, model, exported)
        runs = [open_exported(path, precision="f32", cached=False) for path in (whole, made)]
        float_ap, int8_ap = (average_precision(runtime, weights, unseen) for runtime in runs)
    request.log(f"AP on {len(unseen.images)} images of {unseen.source}: float {float_ap:.4f}, int8 {int8_ap:.4f}")
    return float_ap - int8_ap


def _last_convolution(result: Any) -> str:
    """Name of the convolution that an output comes from."""
    node = result.input_value(0).get_node()
    while node.get_type_name() != "Convolution":
        node = node.input_value(0).get_node()
    return str(node.get_friendly_name())
