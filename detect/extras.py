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
    "webdataset": "shards",
    "filelock": "shards",
    "openvino": "openvino",
    "onnxruntime": "onnx",
    "onnx": "export",
    "onnxscript": "export",
    "nncf": "export",
    "matplotlib": "train",
    "trackers": "track",
    "av": "h264",
    "tensorboard": "log",
    "starlette": "serve",
    "uvicorn": "serve",
    "websockets": "serve",
}


def not_installed(error: ImportError) -> UserError | None:
    """The `UserError` for an import that failed because the library of an extra is not there; else None."""
    library = (error.name or "").split(".")[0]
    if library not in EXTRAS or not isinstance(error, ModuleNotFoundError):
        return None
    extra = EXTRAS[library]
    return UserError(f"this needs {library}, which is not installed: pip install 'csp-detect[{extra}]'")
