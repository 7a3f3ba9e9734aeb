"""Libraries that only some errands need, and the extra of this package that installs each."""

from detect.errors import UserError

EXTRAS = {
    "torch": "train",
    "torchvision": "train",
    "pycocotools": "train",
    "albumentations": "train",
    "safetensors": "train",
    "pooch": "train",
    "requests": "train",
    "openvino": "openvino",
    "onnxruntime": "onnx",
    "onnx": "export",
    "onnxscript": "export",
    "nncf": "export",
    "matplotlib": "train",
    "tensorboard": "log",
    "starlette": "serve",
    "uvicorn": "serve",
}


def not_installed(error: ImportError) -> UserError | None:
    """The `UserError` for an import that failed because the library of an extra is not there; else None."""
    library = (error.name or "").split(".")[0]
    if library not in EXTRAS or not isinstance(error, ModuleNotFoundError):
        return None
    extra = EXTRAS[library]
    return UserError(f"this needs {library}, which is not installed: pip install 'csp-detect[{extra}]'")
