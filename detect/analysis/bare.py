"""Networks alone, as engines run them: an input of random numbers in, outputs out, nothing before and behind.

Files of other tools are run as ours are; nothing here imports PyTorch but `TorchNetwork`.
"""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from detect.errors import UserError
from detect.files import printable
from detect.inference.exported_runtime import cores
from detect.inference.fastest import measured
from detect.inference.onnx_runtime import open_session
from detect.inference.openvino_runtime import compiled, known, precisions, read_model, the_core

if TYPE_CHECKING:
    from detect.inference.torch_runtime import TorchRuntime

AnyPath = str | PathLike[str]


class Network(Protocol):
    """One that is ready to run, on an input it holds."""

    engine: str
    precision: str
    size: int  # height of the input, px
    threads: int

    def run(self) -> Any:
        """The outputs for one image."""


class TorchNetwork:
    """A detector in eager PyTorch as `detect.load` has it: norms folded, channels last; uint8 square in, raw maps out.

    Args:
        runtime: on the device it is to run on.
        threads: how many compute in this process, for which they are set as a whole; all its cores by default.
    """

    precision = "f32"

    def __init__(self, runtime: "TorchRuntime", threads: int | None = None) -> None:
        from detect.inference.torch_runtime import use_threads

        self.engine = "torch" if runtime.device.type == "cpu" else f"torch on {runtime.device}"
        self.size, self.threads = runtime.size, threads or cores()
        self._runtime, self._input = runtime, random_input((1, self.size, self.size, 3), np.dtype(np.uint8))
        use_threads(self.threads)

    def run(self) -> Any:
        """The raw maps."""
        return self._runtime.raw(self._input)


class OpenVINONetwork:
    """An .xml or .onnx of any tool in OpenVINO, on the CPU.

    Args:
        path: the file.
        precision: of floating-point numbers: f32, bf16, f16, or auto for the fastest here, which is measured anew.
        threads: how many compute; all cores that this process may use by default.
        size: height and width of an input that leaves them open, px.
        options: more for OpenVINO.

    Raises:
        UserError: OpenVINO cannot read or run the file, or it takes several images at once.
    """

    engine = "openvino"

    def __init__(
        self,
        path: AnyPath,
        precision: str = "auto",
        threads: int | None = None,
        size: int | None = None,
        **options: Any,
    ) -> None:
        self.path, self.threads, self._options = Path(path), threads or cores(), options
        self._core = the_core()
        self._model = read_model(self._core, path)
        shapes = [_fixed(_sides(of), size, path) for of in self._model.inputs]
        if self._model.is_dynamic():
            self._model.reshape(dict(enumerate(map(list, shapes))))
        self._inputs = [
            random_input(shape, of.element_type.to_dtype())
            for shape, of in zip(shapes, self._model.inputs, strict=True)
        ]
        self.size = _height(shapes[0])
        self.is_int8 = any(layer.get_type_name() == "FakeQuantize" for layer in self._model.get_ops())
        choice = precisions(self._core)
        floats = self._fastest(choice) if precision == "auto" else known(precision, choice, self.path)
        self._floats, self._request = floats, self._compiled(floats)

    @property
    def precision(self) -> str:
        """Of the floating-point numbers, "int8+" before it where the convolutions take whole numbers."""
        return f"int8+{self._floats}" if self.is_int8 else self._floats

    def run(self) -> Any:
        """The outputs."""
        return self._request.infer(self._inputs, share_inputs=True, share_outputs=True)

    def layers(self, rounds: int = 20) -> list["Layer"]:
        """The layers that were executed, with their mean times in `rounds` runs."""
        request = self._compiled(self._floats, PERF_COUNT=True)
        times: dict[tuple[str, str], float] = {}
        for number in range(rounds + 1):
            request.infer(self._inputs)
            for layer in request.get_profiling_info() if number else ():
                name = (layer.node_name, f"{layer.node_type} {layer.exec_type}")
                times[name] = times.get(name, 0) + layer.real_time.total_seconds() * 1000 / rounds
        return [Layer(name, kind, ms) for (name, kind), ms in times.items() if ms]

    def _fastest(self, choice: Sequence[str]) -> str:
        requests = {name: self._compiled(name) for name in choice}
        times = measured({name: (lambda of=of: of.infer(self._inputs)) for name, of in requests.items()})
        return min(times, key=lambda name: times[name])

    def _compiled(self, precision: str, **options: Any) -> Any:
        options |= self._options
        return compiled(self._core, self._model, self.path, precision, self.threads, **options).create_infer_request()


class Layer(NamedTuple):
    """One that OpenVINO executed."""

    name: str
    kind: str  # its type, and what executes it: "Convolution brgconv_avx512_I8"
    ms: float


class ONNXNetwork:
    """An .onnx of any tool in ONNX Runtime, on the CPU; arguments and errors as of `OpenVINONetwork`."""

    engine = "onnx"

    def __init__(
        self, path: AnyPath, precision: str = "auto", threads: int | None = None, size: int | None = None
    ) -> None:
        if precision not in ("auto", "f32"):
            raise UserError(f"{precision}: ONNX Runtime computes in the numbers of the file", argument="precision")
        self.threads = threads or cores()
        self._session = open_session(path, self.threads)
        inputs = self._session.get_inputs()
        shapes = [_fixed([n if isinstance(n, int) else None for n in of.shape], size, path) for of in inputs]
        self._inputs = {of.name: random_input(shape, _dtype(of.type)) for shape, of in zip(shapes, inputs, strict=True)}
        self.size = _height(shapes[0])
        self.is_int8 = b"QuantizeLinear" in Path(path).read_bytes()  # the name of an operation
        self.precision = "int8+f32" if self.is_int8 else "f32"

    def run(self) -> Any:
        """The outputs."""
        return self._session.run(None, self._inputs)


def random_input(shape: Sequence[int], dtype: np.dtype) -> np.ndarray:
    """Noise as of an image of that type: 0..255 in whole bytes, 0..1 in floats; ones for other whole numbers."""
    rng = np.random.default_rng(0)
    if dtype == np.uint8:
        return rng.integers(0, 256, shape, dtype=np.uint8)
    return rng.random(shape).astype(dtype) if dtype.kind == "f" else np.ones(shape, dtype)


def _fixed(sides: Sequence[int | None], size: int | None, path: AnyPath) -> tuple[int, ...]:
    """The shape of an input for one image.  Raises UserError: it takes several, or its size is open and not given."""
    batch, *others = sides if sides else (1,)
    if batch not in (None, 1):
        raise UserError(f"{printable(path)}: takes {batch} images at once; one is measured, export it for one")
    if size is None and None in others:
        raise UserError(f"{printable(path)}: leaves the size of its input open; say which to measure", argument="size")
    return (1, *(side or size or 1 for side in others)) if sides else ()


def _sides(of: Any) -> list[int | None]:
    """Of an input of OpenVINO; None where one is open."""
    return [None if side.is_dynamic else side.get_length() for side in of.partial_shape]


def _height(shape: Sequence[int]) -> int:
    """Of images [1, H, W, 3] or [1, 3, H, W]."""
    return shape[1 if shape[-1] in (1, 3, 4) else 2] if len(shape) == 4 else shape[-1] if shape else 1


def _dtype(name: str) -> np.dtype:
    """Of ONNX Runtime's name of a type: tensor(float), tensor(uint8), ..."""
    name = name.removeprefix("tensor(").removesuffix(")")
    return np.dtype({"float": "float32", "double": "float64"}.get(name, name))
