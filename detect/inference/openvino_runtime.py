"""Exported detectors run by OpenVINO: .xml with its .bin, and .onnx. The fast engine of ordinary processors."""

import os
import re
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from os import PathLike
from pathlib import Path
from queue import SimpleQueue
from threading import Lock
from typing import Any

import numpy as np

from detect.errors import UserError
from detect.files import cache_folder, missing, printable
from detect.inference.exported import KEY, Exported, check_maps
from detect.inference.exported_runtime import ExportedRuntime, cores
from detect.inference.fastest import fastest

CAPABILITIES = {"bf16": "BF16", "f16": "FP16"}  # what a processor must be able to do for it
_one_thread = Lock()  # makes the Core


class OpenVINORuntime(ExportedRuntime):
    """OpenVINO on the CPU.

    Args:
        path: an .xml with its .bin beside it, or an .onnx.
        precision: what floating-point numbers are computed in: f32, bf16, f16, or auto for the fastest on this machine,
            which is measured once. The whole numbers of an int8 file stay what they are; auto computes its rest in f32.
        threads: how many compute; all cores that this process may use by default.
        images: that will be given at a time: they are computed side by side, each on its share of the threads.
        cached: keep the compiled network, which opens faster the next time, and what was measured.

    Raises:
        UserError: OpenVINO cannot read the file, or this machine does not know the precision.
        ImportError: OpenVINO is not installed.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        precision: str = "auto",
        threads: int | None = None,
        images: int = 1,
        cached: bool = True,
    ) -> None:
        self.core = the_core()
        model = read_model(self.core, path)
        super().__init__(path, Exported.from_json(_said(model), path))
        check_maps(self.exported, [_shape(output) for output in model.outputs], path)
        self.streams = min(-(-images // (self.exported.batch or 1)), threads or cores())
        self._options: dict[str, Any] = {"threads": threads, "streams": self.streams}
        if cached and (folder := _own_folder()):
            self._options["CACHE_DIR"] = folder
        self.precision = self._chosen(model, precision)
        self._use(model, self.precision)

    def __repr__(self) -> str:
        inside = "int8 and " if self.exported.precision == "int8" else ""
        return f"OpenVINO on the CPU, {inside}{self.precision}"

    def precisions(self) -> list[str]:
        """What this machine can compute floating-point numbers in."""
        return precisions(self.core)

    def infer(self, batches: Iterable[np.ndarray]) -> Iterator[list[np.ndarray]]:
        """As of `ExportedRuntime`; the next batch is computed while the maps of this one are looked at.

        Several threads may call it at once: whoever has no request waits for one of another's.
        """
        running = deque[Any]()
        try:
            for batch in batches:
                while running and self._free.empty():
                    yield from self._finished(running)
                request = self._free.get()
                running.append(request)
                request.start_async([batch])
            while running:
                yield from self._finished(running)
        finally:
            for request in running:
                with suppress(RuntimeError):  # it could not be started
                    request.wait()
                self._free.put(request)

    def _finished(self, running: deque[Any]) -> Iterator[list[np.ndarray]]:
        running[0].wait()
        yield [output.data for output in running[0].output_tensors]
        self._free.put(running.popleft())

    def _chosen(self, model: Any, precision: str) -> str:
        choice = self.precisions()
        if precision == "auto" and self.exported.precision == "int8":
            return "f32"  # the little that is left: in bf16 it is no faster, and costs AP beside what int8 costs
        if precision == "auto":
            example = np.random.default_rng(0).integers(0, 255, self._input_shape(), dtype=np.uint8)

            def runner(name: str) -> Any:
                self._use(model, name)
                request = self._free.get()  # the next way has requests of its own
                return lambda: request.infer([example])

            return fastest(f"openvino {self.core.get_versions('CPU')['CPU'].build_number}", self.path, choice, runner)
        return known(precision, choice, self.path)

    def _input_shape(self) -> tuple[int, ...]:
        return (self.exported.batch or 1, self.size, self.size, 3)

    def _use(self, model: Any, precision: str) -> None:
        """Compile the network for a precision."""
        network = compiled(self.core, model, self.path, precision, **self._options)
        self.calls = self.streams + 1  # at once: one more is made ready or looked through meanwhile
        self._free: SimpleQueue[Any] = SimpleQueue()  # requests that compute nothing
        for _ in range(self.calls):
            self._free.put(network.create_infer_request())


def import_openvino() -> Any:
    """The module `openvino`, without its telemetry: it would tell its maker of every import.  Raises ImportError."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # it takes a stub then
    import openvino

    return openvino


def the_core() -> Any:
    """OpenVINO's Core, one for the whole process: it stays until the end.

    Each Core lays the stack for signal handlers anew and hands the one before back when it goes. When two go in the
    order in which they came, that one is no more, and the next Ctrl-C crashes the process.

    Raises:
        ImportError: OpenVINO is not installed.
    """
    with _one_thread:
        return _new_core()


@cache
def _new_core() -> Any:
    openvino = import_openvino()
    # OpenVINO's Python part makes its table of number types when the first array is given to it. Two threads that both
    # do so wait for each other for ever: one for the interpreter's lock, the other, which holds it, for the table.
    _ = openvino.Tensor(np.zeros(1, dtype=np.uint8)).data
    return openvino.Core()


def read_model(core: Any, path: str | PathLike[str]) -> Any:
    """OpenVINO's model of an .xml or .onnx file.  Raises UserError: it is not there, cut off, or none."""
    path = Path(path)
    if not path.is_file():
        raise missing(path)
    if path.suffix == ".xml":
        _check_weights(path)
    try:
        return core.read_model(path)
    except (RuntimeError, ValueError) as error:  # the latter where its complaint is no UTF-8
        raise UserError(
            f"{printable(path)}: OpenVINO cannot read it ({_reason(error)}); was it cut off? Export it again"
        ) from error


def precisions(core: Any) -> list[str]:
    """What this machine can compute floating-point numbers in."""
    capabilities = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return ["f32", *(name for name, capability in CAPABILITIES.items() if capability in capabilities)]


def known(precision: str, choice: list[str], path: Path) -> str:
    """`precision`, if this machine has the choice of it.  Raises UserError."""
    if precision not in choice:
        raise UserError(
            f"{printable(path)} cannot be computed in {precision} on this machine; it can in {', '.join(choice)}",
            argument="precision",
        )
    return precision


def compiled(
    core: Any, model: Any, path: Path, precision: str, threads: int | None = None, streams: int = 1, **options: Any
) -> Any:
    """A model made ready for the CPU, tuned for short times; `options` are OpenVINO's.  Raises UserError: it cannot."""
    options |= {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": streams, "INFERENCE_PRECISION_HINT": precision}
    options |= {"INFERENCE_NUM_THREADS": threads} if threads else {}
    try:
        return core.compile_model(model, "CPU", options)
    except (RuntimeError, ValueError) as error:
        if options.pop("CACHE_DIR", None):  # another process that writes the same file there takes it away
            return compiled(core, model, path, precision, threads, streams, **options)
        raise UserError(f"{printable(path)}: OpenVINO cannot run it ({_reason(error)})") from error


def _own_folder() -> str | None:
    """Where OpenVINO keeps compiled networks; None where nothing can be written, which it takes for an error."""
    folder = cache_folder() / "openvino"
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        return str(folder) if os.access(folder, os.W_OK) else None
    return None


def _said(model: Any) -> str | None:
    """What the metadata of an .xml or an .onnx says under our key."""
    for place in ([KEY], ["framework", KEY]):
        with suppress(ValueError):  # no UTF-8
            if model.has_rt_info(place):
                return model.get_rt_info(place).astype(str)
    return None


def _check_weights(path: Path) -> None:
    """Raise UserError unless the .bin beside an .xml holds all that it speaks of: OpenVINO maps it into memory."""
    beside = path.with_suffix(".bin")
    if not beside.is_file():
        raise UserError(f"{printable(path)}: its numbers, {printable(beside.name)}, are not beside it; copy both files")
    places = re.findall(rb'offset="(\d{1,15})" +size="(\d{1,15})"', path.read_bytes())
    needed = max((int(offset) + int(size) for offset, size in places), default=0)
    if beside.stat().st_size < needed:
        raise UserError(
            f"{printable(beside)}: has {beside.stat().st_size} bytes of {needed}; it was cut off or belongs to another "
            ".xml, export both again"
        )


def _shape(output: Any) -> tuple[int | None, ...]:
    """Of an output; None where it is not fixed."""
    return tuple(None if side.is_dynamic else side.get_length() for side in output.partial_shape)


def _reason(error: Exception) -> str:
    """What OpenVINO complains of, without its own places: operations that it does not know, else its last line."""
    lines = [line.strip(" -") for line in str(error).splitlines() if line.strip()]
    unknown = [line for line in lines if line.startswith("No conversion rule")]
    return printable((unknown or lines[-1:] or [type(error).__name__])[0])[:160]
