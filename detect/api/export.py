"""A trained model as a file to hand on: `export`."""

from pathlib import Path
from typing import Any

from detect.api.load import AnyPath, load_weights
from detect.api.say import Say, quiet
from detect.api.train import as_overrides
from detect.config.schema import DarknetModelSettings
from detect.errors import UserError, nearest
from detect.exporters.darknet import write_darknet
from detect.weights.files import write_safetensors

FORMATS = {"safetensors": ".safetensors", "darknet": ".weights"}  # of export, with the suffix of its file


def export(
    weights: AnyPath,
    out: AnyPath,
    *,
    format: str = "safetensors",
    half: bool = False,
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
        format: `safetensors`, or `darknet`: a .weights file with .cfg and .names beside it.
        half: store floats in 16 bits.
        log, warn: as in `evaluate`.
        overrides: settings to change, as in `train`; the model itself cannot be changed.

    Returns:
        {"file": path, "bytes": its size, "others": the files beside it, if any}

    Raises:
        UserError: the weights cannot be used, or the file cannot be written.
    """
    options: dict[str, Any] = {"format": format, "half": half, "cfg": cfg, "names": names, "log": log, "warn": warn}
    return export_weights(weights, out, as_overrides(overrides), **options)


def export_weights(
    weights: AnyPath,
    out: AnyPath,
    overrides: list[str],
    *,
    override_name: str = "override",
    format: str,
    half: bool,
    cfg: AnyPath | None,
    names: AnyPath | None,
    log: Say,
    warn: Say,
) -> dict[str, Any]:
    """`export` with overrides as `config.load` takes them."""
    if format not in FORMATS:
        raise UserError(f"'{format}' is no format of an export{nearest(format, FORMATS)}", argument="format")
    if Path(out).suffix != FORMATS[format]:
        raise UserError(f"{out}: must end in {FORMATS[format]} for the format {format}", argument="out")
    if half and format == "darknet":
        raise UserError("a .weights file holds 32-bit numbers only", argument="half")
    if any(override.startswith("model") for override in overrides):
        raise UserError("the model cannot be changed in an export", argument="set")
    loaded = load_weights(weights, cfg, names, settings_type=None, overrides=overrides, override_name=override_name)
    for note in loaded.notes:
        warn(note)
    if overrides and format == "darknet" and isinstance(loaded.settings.model, DarknetModelSettings):
        raise UserError("a .cfg is written as it was read; change the file itself", argument="set")
    files = [Path(out)]
    if format == "darknet":
        files = write_darknet(out, loaded)
    else:
        write_safetensors(out, loaded, half=half)
    size = Path(out).stat().st_size
    log(f"{out}: {size / 1e6:.1f} MB, {len(loaded.categories)} classes, {loaded.settings.input.size} px")
    others = [str(path) for path in files[1:]]
    for path in others:
        log(path)
    return {"file": str(out), "bytes": size} | ({"others": others} if others else {})
