"""Real-time object detectors put together from named parts: arXiv 1911.11929's CSPNet and EFM, and their neighbours.

Importing this package imports nothing heavy; PyTorch comes with the first use of a name below.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from detect.api import build, evaluate, export, label, load, train
    from detect.errors import UserError
    from detect.inference.predictor import Predictor
    from detect.inference.result import Result
    from detect.interrupt import Interrupted
    from detect.models.detector import Detector

__version__ = "0.1.0"

_HOMES = {
    "load": "detect.api",
    "build": "detect.api",
    "train": "detect.api",
    "evaluate": "detect.api",
    "export": "detect.api",
    "label": "detect.api",
    "Detector": "detect.models.detector",
    "Predictor": "detect.inference.predictor",
    "Result": "detect.inference.result",
    "Interrupted": "detect.interrupt",
    "UserError": "detect.errors",
}
__all__ = [
    "Detector", "Interrupted", "Predictor", "Result", "UserError", "__version__", "build", "evaluate", "export",
    "label", "load", "train",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'detect' has no attribute '{name}'")


def __dir__() -> list[str]:
    return __all__
