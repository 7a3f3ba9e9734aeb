"""Exported detectors run by ONNX Runtime: .onnx files, on nearly any machine."""

from collections.abc import Iterable, Iterator
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from detect.errors import UserError
from detect.files import missing, printable
from detect.inference.exported import KEY, Exported, check_maps
from detect.inference.exported_runtime import ExportedRuntime


class ONNXRuntime(ExportedRuntime):
    """ONNX Runtime on the CPU, in f32.

    Args:
        path: an .onnx.
        threads: how many compute; all cores that this process may use by default.

    Raises:
        UserError: it cannot read the file.
        ImportError: onnxruntime is not installed.
    """

    precision = "f32"

    def __init__(self, path: str | PathLike[str], threads: int | None = None) -> None:
        self.session = open_session(path, threads)
        said = self.session.get_modelmeta().custom_metadata_map.get(KEY)
        super().__init__(path, Exported.from_json(said, path))
        check_maps(self.exported, [output.shape for output in self.session.get_outputs()], path)
        self._input = self.session.get_inputs()[0].name

    def __repr__(self) -> str:
        return "ONNX Runtime on the CPU, f32"

    def infer(self, batches: Iterable[np.ndarray]) -> Iterator[list[np.ndarray]]:
        """As of `ExportedRuntime`."""
        for batch in batches:
            yield self.session.run(None, {self._input: batch})


def open_session(path: str | PathLike[str], threads: int | None = None) -> Any:
    """ONNX Runtime's session of a file, on the CPU.

    Raises:
        UserError: it is not there, or cannot be read or run.
        ImportError: onnxruntime is not installed.
    """
    import onnxruntime

    if not Path(path).is_file():
        raise missing(path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        _ = session.get_modelmeta().custom_metadata_map  # here, as it may be no UTF-8
        return session
    except Exception as error:  # its errors have no class of their own
        raise UserError(
            f"{printable(path)}: ONNX Runtime cannot run it ({_reason(error)}); was it cut off? Export it again"
        ) from error


def _reason(error: Exception) -> str:
    return printable(str(error).split("\n")[0].split(" : ")[-1])[:160]
