"""Plain values -> the typed classes of `schema`; what does not fit is one sentence with its file and line."""

import dataclasses
import os
import types
import typing
from pathlib import Path

from detect.config.schema import ClassifierSettings, DarknetModelSettings, Part
from detect.errors import UserError, nearest
from detect.files import printable


class Origin(typing.NamedTuple):
    """Where a value was written: a line of a file, or an override."""

    text: str  # "configs/x.yaml:12", "--set train.lr"
    folder: str  # what a relative path written there is relative to


def number_of(value):
    """`value` as a float, where it is one or a word that YAML 1.1 should have read as one; else None."""
    try:
        return None if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _origin(origins, name):
    """The origin of `name`, or of the nearest section around it."""
    while name not in origins and name:
        name = name.rpartition(".")[0]
    return origins.get(name) or Origin("config", os.getcwd())


def check_section(cls, values, name, origins):
    """The dataclass `cls` made of a mapping.

    Args:
        name: dotted name of the section, "" for the whole file.
        origins: `Origin` by dotted name, for the error messages.

    Raises:
        UserError: a key is unknown or missing, or a value is of the wrong type or out of its range.
    """
    where = _origin(origins, name).text
    if not isinstance(values, dict):
        raise UserError(f"{where}: {name or 'the file'} must be a section of 'key: value' lines, not '{values}'")
    hints, fields, checked = typing.get_type_hints(cls), {f.name: f for f in dataclasses.fields(cls)}, {}
    for key, value in values.items():
        dotted = f"{name}.{key}" if name else key
        if key not in fields:
            raise UserError(f"{_origin(origins, dotted).text}: unknown key '{dotted}'{nearest(key, fields)}")
        checked[key] = _check_value(hints[key], value, dotted, origins, fields[key].metadata)
    for key, entry in fields.items():
        required = entry.default is dataclasses.MISSING and entry.default_factory is dataclasses.MISSING
        if required and key not in checked:
            raise UserError(f"{where}: '{f'{name}.{key}' if name else key}' is missing")
    return cls(**checked)


def _check_value(hint, value, name, origins, limits=types.MappingProxyType({})):
    where = _origin(origins, name).text

    def wrong(expected):
        return UserError(f"{where}: {name} must be {expected}, not '{printable(value)[:60]}'")

    if isinstance(hint, types.UnionType):  # only `X | None` occurs
        if value is None:
            return None
        hint = next(h for h in typing.get_args(hint) if h is not type(None))
    if dataclasses.is_dataclass(hint):
        return check_section(hint, value, name, origins)
    if hint is Part:
        if not isinstance(value, dict) or not isinstance(value.get("name"), str):
            raise wrong("a part with its name, like {name: EFM}")
        return Part(value)
    if typing.get_origin(hint) is list:
        if not isinstance(value, list):
            raise wrong("a list")
        return [_check_value(typing.get_args(hint)[0], v, name, origins, limits) for v in value]
    if typing.get_origin(hint) is dict:
        if not isinstance(value, dict):
            raise wrong("a section")
        return {str(k): _check_value(typing.get_args(hint)[1], v, f"{name}.{k}", origins) for k, v in value.items()}

    value = as_type(hint, value, wrong)
    if limits.get("choices") and value not in limits["choices"]:
        raise UserError(f"{where}: {name} is '{value}'{nearest(value, limits['choices'])}")
    if limits.get("low") is not None and value < limits["low"]:
        raise wrong(f"at least {limits['low']}")
    if limits.get("high") is not None and value > limits["high"]:
        raise wrong(f"at most {limits['high']}")
    if limits.get("above") is not None and value <= limits["above"]:
        raise wrong(f"greater than {limits['above']}")
    if limits.get("path"):
        return str(Path(_origin(origins, name).folder, value).resolve())
    return value


def as_type(hint, value, wrong):
    """`value` as bool, int, float or str; raises `wrong("a number")` when it is something else."""
    if hint is bool:
        if not isinstance(value, bool):
            raise wrong("true or false")
    elif hint is int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise wrong("a whole number")
    elif hint is float:
        number = number_of(value)
        if number is None or number != number or abs(number) == float("inf"):
            raise wrong("a number")
        return number
    elif hint is str and not (isinstance(value, str) and value.isprintable()):
        raise wrong("a word")
    return value


def check_together(settings, origins):
    """Conditions that involve more than one value, and the model's parts."""

    def fail(name, sentence):
        raise UserError(f"{_origin(origins, name).text}: {sentence}")

    train, sizes = settings.train, settings.input.train_sizes
    if train.epochs is not None and train.steps is not None:
        fail("train.steps", "train.epochs and train.steps are both given; keep one")
    if train.batch % train.accumulate:
        fail("train.accumulate", f"train.batch {train.batch} cannot be split into {train.accumulate} equal parts")
    if sizes is not None and (len(sizes) != 2 or not 32 <= sizes[0] <= sizes[1] <= 4096):
        fail("input.train_sizes", f"input.train_sizes must be [smallest, largest] in px, not {sizes}")
    length = train.epochs or train.steps
    if length and train.burn_in >= length:
        unit = "epochs" if train.epochs else "steps"
        fail("train.burn_in", f"train.burn_in {train.burn_in:g} must be shorter than the training of {length:g} {unit}")
    if list(train.milestones) != sorted(train.milestones):
        fail("train.milestones", "train.milestones must ascend")
    if isinstance(settings, ClassifierSettings):
        least_and_most = settings.augment.short_side
        if len(least_and_most) != 2 or least_and_most[0] > least_and_most[1]:
            fail("augment.short_side", f"augment.short_side must be [least, most] in px, not {least_and_most}")
    _check_model(settings, origins, fail)


def _check_option(default, value, name, origins):
    """A part's option, of the kind of its default; a number or word may also be a list of them."""
    value_type = type(default)
    if value_type is tuple:
        return _check_value(list[type(default[0])], value, name, origins)
    if isinstance(value, list) and value_type in (float, str):
        return value if value_type is str else _check_value(list[float], value, name, origins)
    return _check_value(value_type, value, name, origins) if value_type in (bool, int, float, str) else value


def _check_model(settings, origins, fail):
    import torch

    import detect.models.detector  # noqa: F401  fills the registries
    from detect.models.registry import BACKBONES, HEADS, NECKS

    registries = {"backbone": BACKBONES, "neck": NECKS, "head": HEADS}
    parts = {} if isinstance(settings.model, DarknetModelSettings) else vars(settings.model)
    for section, part in parts.items():
        registry, name = registries[section], f"model.{section}"
        try:
            known = registry.options(part["name"])
        except UserError as error:
            fail(f"{name}.name", error)
        for option, value in list(part.items()):
            if option == "name":
                continue
            if option not in known:
                fail(f"{name}.{option}", f"{part['name']} has no option '{option}'{nearest(option, known)}")
            default = registry.default(part["name"], option)
            part[option] = _check_option(default, value, f"{name}.{option}", origins)
    try:
        with torch.device("meta"):
            stride = settings.model.build(num_classes=1).stride
    except UserError as error:
        text = str(error)
        section = f"model.{text.split()[0]}"  # a part's error begins with its kind
        named = [o for o in origins if o.startswith(section + ".") and o.rpartition(".")[2] in text]
        fail(named[0] if named else section, text)
    for name in ("size", "train_sizes"):
        for size in [getattr(settings.input, name)] if name == "size" else settings.input.train_sizes or ():
            if size % stride:
                fail(f"input.{name}", f"input.{name} {size} px is no multiple of the model's stride {stride}")
    smallest = min(settings.input.train_sizes or [settings.input.size])
    if smallest == stride and settings.train.batch == settings.train.accumulate:
        fail("train.batch", f"one image of {smallest} px at a time is too little for batch normalisation; take more")
