"""Real-time object detectors put together from named parts: arXiv 1911.11929's CSPNet and EFM, and their neighbours.

Importing this package imports nothing heavy; PyTorch comes with the first use of a name below.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from detect.extras import not_installed
from detect.version import __version__

if TYPE_CHECKING:
    from detect.api.check import anchors, check
    from detect.api.convert import convert, split
    from detect.api.evaluate import evaluate
    from detect.api.export import export
    from detect.api.label import label
    from detect.api.load import load
    from detect.api.train import build, train
    from detect.errors import UserError
    from detect.inference.predictor import Predictor
    from detect.inference.result import Result
    from detect.interrupt import Interrupted
    from detect.models.detector import Detector


_HOMES = {
    "load": "detect.api.load",
    "build": "detect.api.train",
    "train": "detect.api.train",
    "check": "detect.api.check",
    "anchors": "detect.api.check",
    "convert": "detect.api.convert",
    "split": "detect.api.convert",
    "evaluate": "detect.api.evaluate",
    "export": "detect.api.export",
    "label": "detect.api.label",
    "Detector": "detect.models.detector",
    "Predictor": "detect.inference.predictor",
    "Result": "detect.inference.result",
    "Interrupted": "detect.interrupt",
    "UserError": "detect.errors",
}
__all__ = [
    "Detector", "Interrupted", "Predictor", "Result", "UserError", "__version__", "anchors", "build", "check",
    "convert", "evaluate", "export", "label", "load", "split", "train",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        try:
            return getattr(import_module(_HOMES[name]), name)
        except ModuleNotFoundError as error:
            if sentence := not_installed(error):
                raise sentence from error
            raise
    raise AttributeError(f"module 'detect' has no attribute '{name}'")


def __dir__() -> list[str]:
    return __all__
