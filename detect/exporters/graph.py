"""A detector as the graph that engines run: uint8 images in, raw maps out, every norm folded."""

import copy
import logging
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from detect import config
from detect.config.schema import ClassifierSettings
from detect.errors import UserError
from detect.exporters.formats import Request
from detect.inference.exported import KEY, Exported
from detect.inference.torch_runtime import TorchRuntime, decoder_of
from detect.models.detector import as_input
from detect.weights.files import Weights

OPSET = 20


class Graph(nn.Module):
    """uint8 RGB [B, S, S, 3] -> raw maps float32 [B, H_i, W_i, A*(5+K)].

    Channels come last as in images and in the engines' memory: there, another order would cost a copy at both ends.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, squares: Tensor) -> tuple[Tensor, ...]:
        images = as_input(squares.permute(0, 3, 1, 2))  # [B, 3, S, S]
        return tuple(level.permute(0, 2, 3, 1) for level in self.network(images))


def reference(weights: Weights, request: Request) -> TorchRuntime:
    """The detector run by PyTorch, which an exported file must agree with.  Raises UserError."""
    if isinstance(weights.settings, ClassifierSettings):
        raise UserError(f"{weights.path}: is a classifier; only detectors are exported for engines, use safetensors")
    return TorchRuntime(weights.network, weights.names, request.size or weights.settings.input.size)


def description(weights: Weights, runtime: TorchRuntime, request: Request, precision: str) -> Exported:
    """What the file will say of itself."""
    head = decoder_of(runtime.network.head)
    fields = ("anchors", "strides", "num_classes", "scale_x_y", "new_coords", "exclusive_classes", "only_sure")
    predict = weights.settings.predict
    values = config.to_dict(weights.settings)
    values["data"] = values["train"]["init"] = values["train"]["teacher"] = None
    return Exported(
        categories=weights.categories,
        size=runtime.size,
        batch=request.batch,
        precision=precision,
        head={name: getattr(head, name) for name in fields},
        predict={
            "min_score": predict.min_score,
            "max_detections": predict.max_detections,
            "nms": predict.nms_options(),
        },
        config=values,
        thresholds=weights.thresholds.to_dict() if weights.thresholds else None,
    )


def write_onnx(path: Path, runtime: TorchRuntime, exported: Exported) -> None:
    """Write the network as ONNX, with what `exported` says in its metadata.

    Raises:
        UserError: it has an operation that ONNX lacks.
    """
    network = copy.deepcopy(runtime.network).to("cpu", memory_format=torch.contiguous_format)
    batch = exported.batch or 2  # torch.export takes a size of 1 for fixed
    example = torch.zeros(batch, exported.size, exported.size, 3, dtype=torch.uint8)
    dynamic: Any = None if exported.batch else ({0: torch.export.Dim("batch", min=1, max=1024)},)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            program = torch.onnx.export(
                Graph(network).eval(),
                (example,),
                dynamo=True,
                opset_version=OPSET,
                dynamic_shapes=dynamic,
                input_names=["images"],
                output_names=[f"raw_{stride}" for stride in exported.head["strides"]],
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as error:
            reason = str(error.__cause__ or error).strip().splitlines()[0][:200]
            raise UserError(f"the network cannot be written as ONNX ({reason})") from error
    assert program is not None
    program.model.metadata_props[KEY] = exported.to_json()
    program.save(str(path), external_data=False)
