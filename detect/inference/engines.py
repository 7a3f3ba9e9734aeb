"""Which engine runs a file of an exported detector."""

from importlib.util import find_spec
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detect.errors import UserError, nearest
from detect.files import printable

if TYPE_CHECKING:
    from detect.inference.exported_runtime import ExportedRuntime

SUFFIXES = {"openvino": (".xml", ".onnx"), "onnx": (".onnx",)}  # engine -> files that it runs, the fastest engine first
LIBRARIES = {"openvino": "openvino", "onnx": "onnxruntime"}
ENGINES = ("auto", "torch", *SUFFIXES)
PRECISIONS = ("auto", "f32", "bf16", "f16")


def is_exported(path: str | PathLike[str]) -> bool:
    """Whether `path` names a file for these engines: .xml or .onnx."""
    return Path(path).suffix in {suffix for suffixes in SUFFIXES.values() for suffix in suffixes}


def open_exported(
    path: str | PathLike[str],
    engine: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    images: int = 1,
    cached: bool = True,
) -> "ExportedRuntime":
    """The runtime of an exported file.

    Args:
        path: .xml or .onnx.
        engine: of `ENGINES`; auto takes the fastest that is installed and runs such files.
        precision, threads, images, cached: see `detect.inference.openvino_runtime.OpenVINORuntime`; ONNX Runtime
            computes one batch after another and keeps nothing.

    Raises:
        UserError: the engine does not run such files or is not installed, or the file cannot be used.
    """
    chosen = engine_for(path, engine)
    options: dict[str, Any] = {"threads": threads}
    try:
        if chosen == "openvino":
            from detect.inference.openvino_runtime import OpenVINORuntime

            return OpenVINORuntime(path, precision, images=images, cached=cached, **options)
        if precision not in ("auto", "f32"):
            raise UserError(f"{precision}: ONNX Runtime computes these files in f32", argument="precision")
        from detect.inference.onnx_runtime import ONNXRuntime

        return ONNXRuntime(path, **options)
    except ModuleNotFoundError as error:
        raise UserError(
            f"{printable(path)}: {error.name} is not installed, which runs it: pip install 'csp-detect[{chosen}]'"
        ) from error


def engine_for(path: str | PathLike[str], engine: str = "auto") -> str:
    """The name of the engine that runs the exported file `path`; auto takes the fastest that is installed.

    Raises:
        UserError: there is no such engine, or it does not run such files.
    """
    path = Path(path)
    able = [name for name, suffixes in SUFFIXES.items() if path.suffix in suffixes]
    if engine == "auto":
        return next((name for name in able if find_spec(LIBRARIES[name])), able[0])
    if engine not in ENGINES:
        raise UserError(f"there is no engine '{engine}'{nearest(engine, ENGINES)}", argument="engine")
    if engine not in able:
        raise UserError(f"{engine}: does not run {path.suffix} files; {' or '.join(able)} does", argument="engine")
    return engine
