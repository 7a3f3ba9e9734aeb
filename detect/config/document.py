"""docs/configuration.md, written from the schema: every setting with its default, range and what it does."""

import dataclasses
import inspect
import types
import typing
from collections.abc import Iterator
from typing import Any

from detect.config import schema
from detect.data.augment import pipeline
from detect.data.augment.base import Augmentation

HEADER = """# Settings

Every key that a configuration file may hold. A file names what differs from the defaults, and the parts of its model:

```yaml
base: csppelee_efm.yaml # another file whose values hold where this one says nothing
recipe: recipes/small.yaml # a file of how to train, whose values hold over those of the base
data: ../mine # a folder, a data YAML, or a section as below
loss: {box: ciou}
train: {epochs: 30, steps: null, batch: 8, schedule: cosine, burn_in: 3, milestones: []}
```

- **One parent at the most.** With `base`, mappings merge, lists replace, and a section whose `name` changes drops the
  parent's options. Paths, that of the parent too, are relative to the file that they stand in.
- **Recipes.** A `recipe` is a file of augment, loss, train and predict for any model, as those in
  [configs/recipes](../configs/recipes). It lies over the parent and under what the file itself says;
  `--set recipe=FILE` lies over the file too.
- **Overrides**: `--set section.key=value` on the command line; `detect.train(..., section={"key": value})` in Python.
- **What holds in the end**: `python tools/train.py FILE --print-config` shows it, each value with where it was written.
- **A part** is a mapping of its name and options, `{name: EFM, sam: true}`; [parts.md](parts.md) lists them. A model
  with a neck and a head is a detector, a backbone alone a classifier; a `.cfg` of Darknet may stand for a whole file.

The files in [configs/](../configs) are examples. This page is written by `detect settings > docs/configuration.md`; a
test compares the two.
"""
AUGMENTATIONS = """### Augmentations by name

`augment: [{name: Mosaic, p: 0.5}, {name: HSV}, {name: A.GaussNoise, p: 0.1}]`: each is done to what the one before made
of an image, with its probability. [augmentation.md](augmentation.md) says more.
"""
PAGES = (
    (schema.Settings, "A detector's settings", ("model", "input", "data", "augment", "loss", "train", "predict")),
    (schema.ClassifierSettings, "A classifier's settings", ("model", "input", "data", "augment")),
)


def page() -> str:
    """The whole page as Markdown."""
    lines = [HEADER]
    for settings, heading, sections in PAGES:
        lines.append(f"## {heading}\n")
        if settings is schema.ClassifierSettings:
            lines.append("Its section [train](#train) is that of a detector.\n")
        for name in sections:
            lines += [*_section(settings, name), ""]
            if name == "augment" and settings is schema.Settings:
                lines += [*_augmentations(), ""]
    return "\n".join(lines)


def as_rows() -> list[dict[str, Any]]:
    """Every setting as {"settings", "section", "key", "type", "default", "range", "help"}, plain values."""
    return [
        {"settings": settings.__name__, "section": name, **row}
        for settings, _, sections in PAGES
        for name in sections
        for row in _rows(_class_of(settings, name))
    ]


def _section(settings: type, name: str) -> Iterator[str]:
    cls = _class_of(settings, name)
    yield f"### {name}\n\n{inspect.cleandoc(cls.__doc__ or '')}\n"
    yield "| key | default | range | what it does |\n|---|---|---|---|"
    for row in _rows(cls):
        yield f"| `{row['key']}` | {_code(row['default'])} | {row['range']} | {row['help']} |"


def _augmentations() -> Iterator[str]:
    """What a list of augmentations may hold."""
    yield AUGMENTATIONS
    yield "| name | option | default | range | what it does |\n|---|---|---|---|---|"
    of_all = [entry.name for entry in dataclasses.fields(Augmentation)]
    for row in _rows(Augmentation):
        yield f"| all | `{row['key']}` | {_code(row['default'])} | {row['range']} | {row['help']} |"
    for name, cls in pipeline.AUGMENTATIONS.items():
        yield f"| `{name}` | | | | {' '.join(str(cls.__doc__).split())} |"
        for row in _rows(cls):
            if row["key"] not in of_all:
                yield f"| | `{row['key']}` | {_code(row['default'])} | {row['range']} | {row['help']} |"
    yield "| `A.NAME` | its own | | | The transform NAME of albumentations 2, whose `p` is 0.5 for most of them. |"


def _class_of(settings: type, name: str) -> type:
    """The dataclass of a section."""
    hint = typing.get_type_hints(settings)[name]
    return typing.get_args(hint)[0] if isinstance(hint, types.UnionType) else hint


def _rows(cls: Any, prefix: str = "") -> Iterator[dict[str, Any]]:
    """The settings of a section; those of the sections it holds by name follow as `splits.NAME.images`."""
    hints = typing.get_type_hints(cls)
    for entry in dataclasses.fields(cls):
        about = entry.metadata
        if dataclasses.is_dataclass(hints[entry.name]):
            yield from _rows(hints[entry.name], f"{prefix}{entry.name}.")
            continue
        yield {
            "key": prefix + entry.name,
            "type": _type(hints[entry.name]),
            "default": _default(entry),
            "range": _range(_type(hints[entry.name]), about),
            "help": about["help"],
        }
        if _type(hints[entry.name]) == "sections by name":
            yield from _rows(typing.get_args(hints[entry.name])[1], f"{prefix}{entry.name}.NAME.")


def _default(entry: "dataclasses.Field[Any]") -> Any:
    """The default as a plain value; "required" where there is none."""
    if entry.default_factory is not dataclasses.MISSING:
        return entry.default_factory()
    return "required" if entry.default is dataclasses.MISSING else entry.default


def _type(hint: Any) -> str:
    """What a value must be, in a word."""
    if isinstance(hint, types.UnionType):
        hint = typing.get_args(hint)[0]
    if typing.get_origin(hint) is list:
        return f"list of {_type(typing.get_args(hint)[0])}s"
    if dataclasses.is_dataclass(hint):
        return "section"
    if typing.get_origin(hint) is dict:
        return f"{_type(typing.get_args(hint)[1])}s by name"
    words = {bool: "true or false", int: "whole number", float: "number", str: "word", schema.Part: "part"}
    return words[hint]


def _range(word: str, about: Any) -> str:
    """The type and limits of a setting."""
    if about["choices"]:
        return ", ".join(f"`{choice}`" for choice in about["choices"])
    if about["path"]:
        return "path"
    limits = [f"from {about['low']:g}" if about["low"] is not None else ""]
    limits += [f"above {about['above']:g}" if about["above"] is not None else ""]
    limits += [f"to {about['high']:g}" if about["high"] is not None else ""]
    return " ".join([word, *filter(None, limits), *(f"or `{one}`" for one in about["words"])])


def _code(default: Any) -> str:
    """A default as YAML writes it."""
    if isinstance(default, schema.Part):
        return f"`{{{', '.join(f'{key}: {value}' for key, value in default.items())}}}`"
    if default == "required":
        return "required"
    if default is None:
        return "none"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"
