"""A trained model as a file to hand on: `export`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detect.api.load import AnyPath, load_weights
from detect.api.say import Say, quiet
from detect.api.train import as_overrides
from detect.config.schema import DarknetModelSettings
from detect.errors import UserError
from detect.exporters.formats import Format, Request, format_of
from detect.files import made_folder
from detect.weights.mixing import mixed


def export(
    weights: AnyPath,
    out: AnyPath,
    *,
    format: str | None = None,
    half: bool = False,
    size: int | None = None,
    batch: int | None = 1,
    data: AnyPath | None = None,
    check: int = 0,
    mix: Mapping[AnyPath, float] | None = None,
    cfg: AnyPath | None = None,
    names: AnyPath | None = None,
    log: Say = quiet,
    warn: Say = quiet,
    **overrides: Any,
) -> dict[str, Any]:
    """Write a trained detector or classifier as a file to hand on: weights, class names and configuration in one.

    Args:
        weights, cfg, names: as in `load`.
        out: the file to write.
        format: `safetensors`; `onnx`; `openvino`: .xml and .bin; `openvino-int8`: calibrated on `data`; `darknet`: a
            .weights file with .cfg and .names beside it. What the suffix of `out` says by default.
        half: store floats in 16 bits (safetensors, openvino).
        size: side of the input, px; what it was trained for by default. It and the next three are of engines' files.
        batch: images that the file takes at once; None for any number.
        data: images on which the file must agree with PyTorch: a folder of images, or the split val (train where there
            is none) of a data folder or data YAML; scikit-image's sample photos by default. int8 needs 100 or more, and
            is calibrated on the split train.
        check: number of images of `data`'s val split to tell AP on, before and after.
        mix: files of weights of the same model that make up a share each of every number, {"yolov4_tiny_coco": 0.5}; a
            fine-tuning mixed with its start forgets less.
        log, warn: as in `evaluate`.
        overrides: settings to change, as in `train`; the model itself cannot be changed.

    Returns:
        {"file": path, "bytes": its size, "others": the files beside it, if any}

    Raises:
        UserError: the weights cannot be used, the file does not agree with PyTorch, or it cannot be written.
    """
    request = Request(half=half, size=size, batch=batch, data=data, check=check, log=log)
    overridden = as_overrides(overrides)
    return export_weights(weights, out, overridden, format, request, mix=mix, cfg=cfg, names=names, warn=warn)


def export_weights(
    weights: AnyPath,
    out: AnyPath,
    overrides: list[str],
    format: str | None,
    request: Request,
    *,
    override_name: str = "override",
    mix: Mapping[AnyPath, float] | None = None,
    cfg: AnyPath | None = None,
    names: AnyPath | None = None,
    warn: Say = quiet,
) -> dict[str, Any]:
    """`export` with overrides as `config.load` takes them."""
    chosen = format_of(format, Path(out))
    _check_options(chosen, request)
    if any(override.startswith("model") for override in overrides):
        raise UserError("the model cannot be changed in an export", argument="set")
    loaded = load_weights(weights, cfg, names, settings_type=None, overrides=overrides, override_name=override_name)
    for note in loaded.notes:
        warn(note)
    if mix:
        loaded = mixed(loaded, mix)
    if overrides and chosen.name == "darknet" and isinstance(loaded.settings.model, DarknetModelSettings):
        raise UserError("a .cfg is written as it was read; change the file itself", argument="set")
    made_folder(Path(out).parent)
    files = chosen.write(Path(out), loaded, request)
    size = sum(file.stat().st_size for file in files)
    request.log(
        f"{out}: {size / 1e6:.1f} MB, {len(loaded.categories)} classes, {request.size or loaded.settings.input.size} px"
    )
    others = [str(path) for path in files[1:]]
    for path in others:
        request.log(path)
    return {"file": str(out), "bytes": size} | ({"others": others} if others else {})


def _check_options(chosen: Format, request: Request) -> None:
    """Raise UserError for an option that the format does not take."""
    for option in ("half", "size", "batch", "data", "check"):
        if getattr(request, option) != getattr(Request, option) and option not in chosen.options:
            raise UserError(f"the format {chosen.name} does not take it; leave it out", argument=option)
    for option, low, high in (("size", 32, 8192), ("batch", 1, 1024), ("check", 0, 10**6)):
        value = getattr(request, option)
        if value is not None and not (type(value) is int and low <= value <= high):
            raise UserError(f"is {value}; give a whole number from {low} to {high}", argument=option)
    if request.check and not request.data:
        raise UserError("AP is computed on labelled images", argument="data")
