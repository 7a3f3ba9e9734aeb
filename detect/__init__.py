"""Real-time object detectors put together from named parts: arXiv 1911.11929's CSPNet and EFM, and their neighbours.

Importing this package imports nothing heavy; PyTorch comes with the first use of a name below.
"""

from importlib import import_module

__version__ = "0.1.0"

_HOMES = {
    "load": "detect.api",
    "build": "detect.api",
    "Detector": "detect.models.detector",
    "Predictor": "detect.inference.predictor",
    "Result": "detect.inference.result",
    "UserError": "detect.errors",
}
__all__ = ["__version__", *_HOMES]


def __getattr__(name):
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'detect' has no attribute '{name}'")


def __dir__():
    return __all__
