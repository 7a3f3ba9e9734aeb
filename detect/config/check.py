"""Plain values -> the typed classes of `schema`; what does not fit is one sentence with its file and line."""

import dataclasses
import os
import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from detect.config.schema import ClassifierSettings, Origin, Part, Settings
from detect.config.text import Origins
from detect.data.formats.remote import is_address
from detect.errors import UserError, nearest
from detect.files import printable, wrong_characters

Wrong = Callable[[str], UserError]  # what a value must be -> the error that says so
IN_LIST = re.compile(r"\.(\d+)(?=\.|$)")


def number_of(value: Any) -> float | None:
    """`value` as a float, where it is one or a word that YAML 1.1 should have read as one; else None."""
    try:
        return None if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        return None


def origin_of(origins: Origins, name: str) -> Origin:
    """The origin of `name`, or of the nearest section around it."""
    while name not in origins and name:
        name = name.rpartition(".")[0]
    return origins.get(name) or Origin("config", os.getcwd())


def shown(name: str) -> str:
    """A dotted name as sentences write it: `augment[2].p`."""
    return IN_LIST.sub(r"[\1]", name)


def error_at(origins: Origins, name: str, sentence: object) -> UserError:
    """The error that says where the value `name` was written and what is wrong with it."""
    return UserError(f"{origin_of(origins, name).text}: {printable(sentence)}")


@contextmanager
def located(origins: Origins, name: str) -> Iterator[None]:
    """A block that uses the value `name`: a UserError in it gets the place where the value was written."""
    try:
        yield
    except UserError as error:
        raise error_at(origins, name, error) from error


def check_section(cls: type, values: Any, name: str, origins: Origins) -> Any:
    """The dataclass `cls` made of a mapping.

    Args:
        name: dotted name of the section, "" for the whole file.
        origins: where each value was written, for the error messages.

    Raises:
        UserError: a key is unknown or missing, or a value is of the wrong type or out of its range.
    """
    if not isinstance(values, dict):
        sentence = f"{shown(name) or 'the file'} must be a section of 'key: value' lines, not '{values}'"
        raise error_at(origins, name, sentence)
    hints, checked = typing.get_type_hints(cls), {}
    fields = {f.name: f for f in dataclasses.fields(cls) if f.init}
    for key, value in values.items():
        dotted = f"{name}.{key}" if name else key
        if key not in fields:
            raise error_at(origins, dotted, f"unknown key '{shown(dotted)}'{nearest(key, fields)}")
        checked[key] = check_value(hints[key], value, dotted, origins, fields[key].metadata)
    for key, entry in fields.items():
        required = entry.default is dataclasses.MISSING and entry.default_factory is dataclasses.MISSING
        if required and key not in checked:
            raise error_at(origins, name, f"'{shown(f'{name}.{key}') if name else key}' is missing")
    return cls(**checked)


def check_value(hint: Any, value: Any, name: str, origins: Origins, limits: Mapping[str, Any] | None = None) -> Any:
    """`value` as the type that `hint` says, within `limits` (the metadata of a `setting`).  Raises UserError."""

    def wrong(expected: str) -> UserError:
        words = "".join(f" or {word}" for word in (limits or {}).get("words", ()))
        return error_at(origins, name, f"{shown(name)} must be {expected}{words}, not '{printable(value)[:60]}'")

    if isinstance(hint, types.UnionType):  # `X | None`, or a section that may be a list instead
        kinds = typing.get_args(hint)
        if value is None and type(None) in kinds:
            return None
        lists = [kind for kind in kinds[1:] if typing.get_origin(kind) is list]
        if lists and not isinstance(value, dict | list):
            raise wrong("a section of 'key: value' lines or a list")
        hint = lists[0] if lists and isinstance(value, list) else kinds[0]
    if dataclasses.is_dataclass(hint):
        return check_section(typing.cast(type, hint), value, name, origins)
    if hint is Part:
        if not isinstance(value, dict) or not isinstance(value.get("name"), str):
            raise wrong("a part with its name, like {name: EFM}")
        return Part(value)
    if typing.get_origin(hint) is list:
        if not isinstance(value, (list, tuple)):
            raise wrong("a list")
        element = typing.get_args(hint)[0]
        if dataclasses.is_dataclass(element) or element is Part:
            return [check_value(element, v, f"{name}.{i}", origins) for i, v in enumerate(value)]
        return [check_value(element, v, name, origins, limits) for v in value]
    if typing.get_origin(hint) is dict:
        if not isinstance(value, dict):
            raise wrong("a section")
        element = typing.get_args(hint)[1]
        return {str(k): check_value(element, v, f"{name}.{k}", origins, limits) for k, v in value.items()}
    if limits and value in limits.get("words", ()):
        return value
    value = as_type(hint, value, wrong)
    _check_limits(value, limits or {}, name, origins, wrong)
    if limits and limits.get("path") and not is_address(value):
        return os.path.realpath(Path(origin_of(origins, name).folder, value))  # no error at a link to itself
    return value


def _check_limits(value: Any, limits: Mapping[str, Any], name: str, origins: Origins, wrong: Wrong) -> None:
    if limits.get("choices") and value not in limits["choices"]:
        raise error_at(origins, name, f"{shown(name)} is '{value}'{nearest(value, limits['choices'])}")
    if limits.get("low") is not None and value < limits["low"]:
        raise wrong(f"at least {limits['low']}")
    if limits.get("high") is not None and value > limits["high"]:
        raise wrong(f"at most {limits['high']}")
    if limits.get("above") is not None and value <= limits["above"]:
        raise wrong(f"greater than {limits['above']}")


def as_type(hint: Any, value: Any, wrong: Wrong) -> Any:
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
    elif hint is str and (not isinstance(value, str) or wrong_characters(value)):
        raise wrong("a word")
    return value


def check_together(settings: Settings | ClassifierSettings) -> None:
    """Raise UserError where values that are right by themselves do not go together."""
    train, sizes = settings.train, settings.input.train_sizes

    def fail(name: str, sentence: str) -> None:
        raise error_at(settings.origins, name, sentence)

    if train.epochs is not None and train.steps is not None:
        fail("train.steps", "train.epochs and train.steps are both given; keep one")
    if train.batch == "auto":
        if train.accumulate != 1:
            fail("train.accumulate", "train.accumulate: train.batch auto is what fits at once; leave it at 1")
    elif train.batch % train.accumulate:
        fail("train.accumulate", f"train.batch {train.batch} cannot be split into {train.accumulate} equal parts")
    if sizes is not None and (len(sizes) != 2 or not 32 <= sizes[0] <= sizes[1] <= 4096):
        fail("input.train_sizes", f"input.train_sizes must be [smallest, largest] in px, not {sizes}")
    length = train.epochs or train.steps
    if length and train.burn_in >= length:
        unit = "epochs" if train.epochs else "steps"
        fail("train.burn_in", f"train.burn_in {train.burn_in:g} must be shorter than the training of {length:g} {unit}")
    if train.optimizer != "sgd" and train.nesterov:
        fail("train.nesterov", f"train.nesterov is for sgd, not for {train.optimizer}; leave it out")
    if len(train.betas) != 2:
        fail("train.betas", f"train.betas must be two numbers, like [0.9, 0.999], not {train.betas}")
    if list(train.milestones) != sorted(train.milestones):
        fail("train.milestones", "train.milestones must ascend")
    if isinstance(settings, Settings) and settings.data:
        sets = {"data": settings.data} | {f"data.beside.{i}": one for i, one in enumerate(settings.data.beside)}
        if len({one.share is None for one in sets.values()}) > 1:
            fail("data", "data: give every set a share of the training's images, or none of them")
        for name, one in sets.items():
            if one.pseudo.ignore > one.pseudo.learn:
                sentence = (
                    f"{shown(name)}.pseudo.ignore is {one.pseudo.ignore:g}, above learn, {one.pseudo.learn:g}; lower it"
                )
                fail(f"{name}.pseudo", sentence)
    if isinstance(settings, ClassifierSettings):
        if train.teacher:
            fail("train.teacher", "train.teacher is for detectors; a classifier learns from its folders alone")
        size, resize = settings.input.size, settings.input.resize
        if resize and resize < size:
            fail("input.resize", f"input.resize {resize} must be at least input.size, {size}, which is cut from it")
        least_and_most = settings.augment.short_side
        if len(least_and_most) != 2 or least_and_most[0] > least_and_most[1]:
            fail("augment.short_side", f"augment.short_side must be [least, most] in px, not {least_and_most}")
