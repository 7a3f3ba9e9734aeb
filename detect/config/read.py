"""YAML -> checked, typed settings. Every mistake is answered by one sentence with file, line and nearest spelling.

A file may name one parent (`base: other.yaml`): mappings merge, lists replace, and a section whose `name` changes
drops the parent's options. A `recipe` is a file of how to train, merged over the parent in the same way. `data` may be
a mapping, a YAML file that holds it, a data folder, or a file that describes data in its own way (Ultralytics'
data.yaml, Darknet's .data, a COCO JSON, a CSV, an index of shards). A .cfg of Darknet is read too
(`detect.config.darknet`).
"""

import copy
import dataclasses
import os
import typing
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from detect.config.build import check_augmentations, check_parts
from detect.config.check import check_section, check_together, number_of
from detect.config.darknet import values_of
from detect.config.schema import ClassifierSettings, DarknetSettings, Origin, Settings
from detect.config.text import MAX_BYTES, Origins, check_plain, parse
from detect.darknet.cfg import read as read_cfg
from detect.data.formats import yolo  # not its names: it imports `text` of this room, so either may come first
from detect.data.formats.remote import is_address
from detect.errors import UserError
from detect.files import missing, nearest_file, printable

AnySettings = Settings | ClassifierSettings

RECIPE_SECTIONS = ("augment", "loss", "train", "predict")


def load(
    path: str | os.PathLike[str],
    overrides: Sequence[str] = (),
    needs_data: bool = True,
    settings_type: type | None = Settings,
    override_name: str = "override",
    training: bool = True,
) -> Any:
    """The settings of the file `path`, with `overrides` ("train.lr=0.01", ...) applied.

    Args:
        needs_data: without it, data that is not there is left out instead of an error.
        settings_type: `Settings` (a detector), `ClassifierSettings`, or None for whichever the file describes.
        override_name: what error messages call an override.
        training: without it, what a .cfg says of its training is left out, whatever it is.

    Raises:
        UserError: anything in the file, its parent or an override is wrong, or it describes the other type. What shows
            only when the model is built, `build` says.
    """
    notes: tuple[str, ...] = ()
    if Path(path).suffix == ".cfg":
        cfg = read_cfg(path)
        notes = cfg.notes
        values, origins = values_of(str(path), cfg, training)
    else:
        values, origins = _read_with_base(path)
    if not any(override.startswith("data=") for override in overrides):
        try:
            _expand_data(values, origins)
        except UserError:
            if needs_data:
                raise
            del values["data"]
    settings = from_dict(values, origins, path, overrides, settings_type, override_name)
    settings.notes = notes
    if training:
        check_augmentations(settings)
    return settings


def from_dict(
    values: Any,
    origins: Origins | None = None,
    source: str | os.PathLike[str] = "config",
    overrides: Sequence[str] = (),
    settings_type: type | None = Settings,
    override_name: str = "override",
) -> Any:
    """Checked settings of a plain mapping (the form kept in checkpoints). `source` names it in error messages."""
    origins = origins if origins is not None else {}
    origins.setdefault("", Origin(str(source), os.getcwd()))
    check_plain(values, source)
    values = copy.deepcopy(values)
    for override in sorted(overrides, key=lambda text: not text.startswith(("data=", "recipe="))):
        _apply_override(values, origins, override, override_name)
    settings = check_section(_checked_type(values, settings_type, source), values, "", origins)
    settings.origins = origins
    check_together(settings)
    check_parts(settings)
    return settings


def _checked_type(values: Any, settings_type: type | None, source: str | os.PathLike[str]) -> type:
    """The class of settings that `values` are of; UserError unless it is `settings_type`, if one is asked for."""
    model = values.get("model") if isinstance(values, dict) else None
    parts = set(model) if isinstance(model, dict) else set()
    if settings_type is not ClassifierSettings and parts == {"backbone"}:
        if settings_type is Settings:
            raise UserError(f"{source}: is a classifier, no detector; use tools/classify.py")
        return ClassifierSettings
    if settings_type is ClassifierSettings and {"neck", "head", "cfg"} & parts:
        raise UserError(f"{source}: is a detector, no classifier; use tools/train.py and tools/evaluate.py")
    if "cfg" in parts:
        return DarknetSettings
    return settings_type or Settings


def to_dict(settings: Any) -> Any:
    """Plain mapping of `settings`, for checkpoints and files."""
    if dataclasses.is_dataclass(settings):
        return {f.name: to_dict(getattr(settings, f.name)) for f in dataclasses.fields(settings) if f.init}
    if isinstance(settings, dict):
        return {key: to_dict(value) for key, value in settings.items()}
    return [to_dict(value) for value in settings] if isinstance(settings, (list, tuple)) else settings


def dump(settings: AnySettings, show_origins: bool = False) -> str:
    """The resolved configuration as YAML; with `show_origins`, each value's line says where it was written."""
    return "\n".join(_lines(to_dict(settings), "", settings.origins if show_origins else None)) + "\n"


def _lines(values: dict[str, Any], name: str, origins: Origins | None) -> Iterator[str]:
    indent = "  " * (name.count(".") + 1 if name else 0)
    for key, value in values.items():
        dotted = f"{name}.{key}" if name else key
        written = in_one_line(key)
        if isinstance(value, dict) and value:
            yield f"{indent}{written}:"
            yield from _lines(value, dotted, origins)
            continue
        where = "" if origins is None else f"  # {origins[dotted].text if dotted in origins else 'default'}"
        yield f"{indent}{written}: {in_one_line(value)}{where}"


def in_one_line(value: Any) -> str:
    """A value as YAML, however long."""
    return str(yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=float("inf")).splitlines()[0])


def read_data(source: str | os.PathLike[str], settings_type: type = Settings) -> Any:
    """The data section of `settings_type` from a data YAML file or a data folder.  Raises UserError."""
    values, origins = {"data": str(source)}, {"data": Origin("", os.getcwd())}
    _expand_data(values, origins)
    origins[""] = origins["data"] = Origin(str(source), os.getcwd())
    data_type = typing.get_args(typing.get_type_hints(settings_type)["data"])[0]
    return check_section(data_type, values["data"], "data", origins)


def _read_with_base(path: str | os.PathLike[str]) -> tuple[dict[str, Any], Origins]:
    values, origins = _read(path)
    if "base" not in values:
        return _with_recipe({}, {}, values, origins)
    parent = _named_file("base", values, origins)
    base_values, base_origins = _read(parent)
    if "base" in base_values:
        raise UserError(f"{base_origins['base'].text}: {parent.name} is a parent itself; only one parent is allowed")
    base_values, base_origins = _with_recipe({}, {}, base_values, base_origins)
    if isinstance(values.get("data"), dict):
        _expand_data(base_values, base_origins)
    return _with_recipe(base_values, base_origins, values, origins)


def _with_recipe(
    base: dict[str, Any], base_origins: Origins, values: dict[str, Any], origins: Origins
) -> tuple[dict[str, Any], Origins]:
    """`base`, over it the recipe that `values` name, over that `values`."""
    if "recipe" in values:
        recipe = _named_file("recipe", values, origins)
        recipe_values, recipe_origins = _read(recipe)
        for name in recipe_values.keys() - set(RECIPE_SECTIONS):
            raise UserError(f"{recipe_origins[name].text}: {name}: a recipe holds {', '.join(RECIPE_SECTIONS)} only")
        _lay_over(base, recipe_values, base_origins, recipe_origins)
    _lay_over(base, values, base_origins, origins)
    return base, base_origins


def _named_file(key: str, values: dict[str, Any], origins: Origins) -> Path:
    """The file that `values` name at `key`, which is taken out.  Raises UserError: there is none."""
    origin = origins.pop(key)
    path = Path(origin.folder, str(values.pop(key)))
    if not os.path.isfile(path):
        raise UserError(f"{origin.text}: {key}: no such file {path}{nearest_file(path)}")
    return path


def _read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], Origins]:
    """Values of one YAML file as a plain mapping, and the origin of each by its dotted name."""
    path = Path(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UserError(f"{path}: larger than {MAX_BYTES} bytes; this is no configuration file")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise missing(path) from error
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise UserError(f"{printable(path)}: cannot be read ({error})") from error
    origins: Origins = {}
    values = parse(text, lambda line: Origin(f"{path}:{line}", str(path.parent)), "", origins)
    if values is None:
        return {}, origins
    if not isinstance(values, dict):
        raise UserError(f"{path}:1: expected 'key: value' lines")
    return values, origins


def _lay_over(base: dict[str, Any], child: dict[str, Any], base_origins: Origins, child_origins: Origins) -> None:
    """Put the values of `child` in their places in `base`; a part of another name replaces all of the one before."""
    merged: set[str] = set()
    replaced: set[str] = set()
    _merge(base, child, "", merged, replaced)
    for name in [name for name in base_origins if _is_below(name, replaced)]:
        del base_origins[name]
    base_origins.update({name: child_origins[name] for name in merged | replaced})
    base_origins.update({name: origin for name, origin in child_origins.items() if _is_below(name, replaced)})


def _merge(base: dict[str, Any], child: dict[str, Any], name: str, merged: set[str], replaced: set[str]) -> None:
    """`_lay_over` of values; `merged` and `replaced` get their dotted names."""
    for key, value in child.items():
        dotted = f"{name}.{key}" if name else key
        old = base.get(key)
        if isinstance(value, dict) and isinstance(old, dict) and value.get("name") in (None, old.get("name")):
            merged.add(dotted)
            _merge(old, value, dotted, merged, replaced)
        else:
            replaced.add(dotted)
            base[key] = value


def _is_below(name: str, sections: set[str]) -> bool:
    """Whether a dotted name is that of something in one of the sections."""
    ends = (i for i, letter in enumerate(name) if letter == ".")
    return any(name[:end] in sections for end in ends)


def _expand_data(values: dict[str, Any], origins: Origins) -> None:
    """Replace `data: file.yaml` by the file's mapping, `data: folder` by `{root: folder}` and a list by its first set
    with the others `beside` it."""
    source = values.get("data")
    if isinstance(source, list):
        _expand_sets(values, origins)
    if not isinstance(source, str):
        return
    origin = origins["data"]
    path = Path(origin.folder, source)
    if is_address(source):
        values["data"], origins["data.root"] = {"root": source}, origin
    elif os.path.isdir(path):
        values["data"], origins["data.root"] = {"root": os.path.realpath(path)}, origin
    elif os.path.isfile(path) and (path.suffix not in yolo.YAML_SUFFIXES or yolo.is_description(path)):
        values["data"], origins["data.root"] = {"root": os.path.realpath(path)}, origin  # in a format of its own
    elif os.path.isfile(path):
        values["data"], data_origins = _read(path)
        origins.update({f"data.{name}": o for name, o in data_origins.items()})
    else:
        where, hint = f"{origin.text}: data: " if origin.text else "", nearest_file(path)
        sentence = f"{where}no such file or folder {os.path.abspath(path)}{hint}"
        raise UserError(sentence, argument=None if hint and where else "data")


def _expand_sets(values: dict[str, Any], origins: Origins) -> None:
    """Replace `data: [a, b, c]` by a's mapping with b's and c's `beside` it."""
    sets, list_origin = values["data"], origins["data"]
    for number, source in enumerate(sets):
        found, own = f"data.{number}", {"data": list_origin}
        for name in [name for name in origins if name == found or name.startswith(found + ".")]:
            own["data" + name.removeprefix(found)] = origins.pop(name)
        one = {"data": source}
        _expand_data(one, own)
        if not isinstance(one["data"], dict) or "beside" in one["data"]:
            raise UserError(
                f"{own['data'].text}: data: a set of a list is a folder, a data YAML or a mapping with root"
            )
        sets[number] = one["data"]
        place = f"data.beside.{number - 1}" if number else "data"
        origins.update({place + name.removeprefix("data"): origin for name, origin in own.items()})
    if not sets:
        raise UserError(f"{list_origin.text}: data: the list names no set")
    values["data"] = sets[0] | {"beside": sets[1:]}
    origins["data"] = origins["data.beside"] = list_origin


def _apply_override(values: Any, origins: Origins, override: str, override_name: str) -> None:
    """Merge "a.b=c" into `values` as a file with that one key would be."""
    name, separator, text = override.partition("=")
    if not separator or not all(name.split(".")):
        raise UserError(f"{override_name} {override}: write it as section.key=value")
    origin = Origin(f"{override_name} {name}", os.getcwd())
    child_origins: Origins = {}
    child = parse(text, lambda _: origin, name, child_origins)
    for key in reversed(name.split(".")):
        child = {key: child}
    parts = name.split(".")
    child_origins.update({".".join(parts[:i]): origin for i in range(1, len(parts) + 1)})
    if not isinstance(values, dict):
        return
    if len(parts) > 1 and isinstance(values.get(parts[0]), list):
        where = origins[parts[0]].text if parts[0] in origins else "the configuration"
        raise UserError(f"{origin.text}: {parts[0]} is a list in {where}; give all of it, as {parts[0]}=[...]")
    old_length = dict(values["train"]) if isinstance(values.get("train"), dict) else {}
    _with_recipe(values, origins, child, child_origins)
    if name == "data":
        _expand_data(values, origins)
    if parts[0] == "train" and isinstance(values["train"], dict):
        _change_length(values["train"], old_length, child["train"])


def _change_length(train: dict[str, Any], old: dict[str, Any], new: Any) -> None:
    """Where an override gives another length, in either unit: burn-in and milestones keep their share of it."""
    for unit, other in (("epochs", "steps"), ("steps", "epochs")):
        length = number_of(new.get(unit) if isinstance(new, dict) else None)
        old_length = number_of(old.get(unit)) or number_of(old.get(other))
        if length is None or old_length is None or other in new:
            continue
        train[other] = None
        factor = length / old_length if old_length else 1.0
        for name in {"burn_in", "milestones"} & train.keys() - new.keys():
            value = train[name]
            train[name] = [_scaled(m, factor) for m in value] if isinstance(value, list) else _scaled(value, factor)


def _scaled(value: Any, factor: float) -> Any:
    number = number_of(value)
    return value if number is None else number * factor
