"""The machine at hand, in the words that a measurement needs beside it."""

import os
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from detect.inference.exported_runtime import cores

# what a processor can do that decides how fast networks are on it: x86 first, then ARM
FLAGS = (
    "avx2", "avx512f", "avx_vnni", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_int8", "amx_bf16",
    "asimddp", "fphp", "i8mm", "bf16", "sve",
)  # fmt: skip
LIBRARIES = {"torch": "PyTorch", "openvino": "OpenVINO", "onnxruntime": "ONNX Runtime"}


def machine() -> dict[str, Any]:
    """{"processor": name, "cores": that this process may use, "flags": those of `FLAGS` that it has, "versions": of
    Python and the engines, "load": processes that wanted to compute in the last minute, None where unknown}"""
    about = _cpuinfo()
    has = about.get("flags", about.get("Features", "")).split()
    return {
        "processor": about.get("model name") or platform.processor() or platform.machine(),
        "cores": cores(),
        "flags": [flag for flag in FLAGS if flag in has],
        "versions": {"Python": platform.python_version()} | _versions(),
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
    }


def described(about: dict[str, Any]) -> str:
    """`machine` in a line."""
    versions = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
    load = "" if about["load"] is None else f"; load {about['load']}"
    return (
        f"{about['processor']}, {about['cores']} cores, {' '.join(about['flags']) or 'flags unknown'}; {versions}{load}"
    )


def _cpuinfo() -> dict[str, str]:
    """Of the first core, as Linux tells it."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return {}
    return dict(re.findall(r"^([\w ]+?)\s*: (.*)$", text.split("\n\n")[0], flags=re.MULTILINE))


def _versions() -> dict[str, str]:
    found = {}
    for library, name in LIBRARIES.items():
        try:
            found[name] = version(library)
        except PackageNotFoundError:
            continue
    return found
