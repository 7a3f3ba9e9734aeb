"""albumentations' transforms by their names, as a configuration gives them: found, checked and made."""

import inspect
import os
import warnings
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import numpy as np

from detect.data.augment.base import MIN_AREA, MIN_VISIBILITY
from detect.errors import OptionError, UserError, nearest
from detect.extras import not_installed

PREFIX = "A."  # of their names in a configuration
BASES = ("BasicTransform", "DualTransform", "ImageOnlyTransform", "Transform3D", "Lambda")
TRIAL = (48, 64, 3)  # shape of an image that shows what kind of image a transform makes


def names() -> list[str]:
    """The names of all transforms, none where albumentations is not installed."""
    try:
        return [PREFIX + name for name in sorted(_classes())]
    except UserError:
        return []


def make(name: str, arguments: Mapping[str, Any]) -> Any:
    """The transform `name` of albumentations with its arguments.  Raises OptionError."""
    made = _class_of(name)
    known = [key for key in inspect.signature(made.__init__).parameters if key not in ("self", "strict")]
    for key in arguments:
        if key not in known:
            raise OptionError(key, f"{name} has no option '{key}'{nearest(key, known)}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # advice to take another transform
        try:
            transform = _called(made, arguments)
        except Exception as error:
            raise _argument_error(name, error) from error
        if isinstance(transform, import_albumentations().RandomGridShuffle):
            transform.set_processors({"bboxes": _limits()})
        _check_kind(name, transform)
    return transform


def _called(made: Any, arguments: Mapping[str, Any]) -> Any:
    """`made(**arguments)`, strictly: else it takes defaults instead of arguments that it cannot use."""
    try:
        return made(**arguments, strict=True)
    except TypeError:  # of the few that know no `strict`
        return made(**arguments)


def _class_of(name: str) -> Any:
    """The class that `name` stands for; OptionError if it is none that moves boxes along with an image."""
    known, word = _classes(), name.removeprefix(PREFIX)
    if word not in known:
        raise OptionError("name", f"albumentations has no transform '{word}'{nearest(name, names())}")
    made = known[word]
    if not issubclass(made, import_albumentations().ImageOnlyTransform) and "bboxes" not in _targets(made):
        raise OptionError("name", f"{name} cannot move boxes along with an image; take another")
    return made


def _classes() -> dict[str, Any]:
    """albumentations' classes of single transforms by name."""
    library = import_albumentations()
    return {
        name: made
        for name, made in vars(library).items()
        if inspect.isclass(made) and issubclass(made, library.BasicTransform) and name not in BASES
    }


def _targets(made: Any) -> set[str]:
    """What a class of transforms changes, in albumentations' words: "image", "bboxes", ..."""
    targets = made._targets if isinstance(made._targets, tuple) else (made._targets,)
    return {target.value.lower() for target in targets}


def _argument_error(name: str, error: Exception) -> OptionError:
    """What albumentations says of a wrong argument, as an error of that option."""
    problems = getattr(error.__cause__, "errors", None)
    if problems is None:
        return OptionError(None, f"{name}: {first_line(error)}")
    first = problems()[0]
    option = str(first["loc"][0]) if first["loc"] else None
    told = str(first["msg"]).removeprefix("Value error, ").split("\n")[0]
    return OptionError(option, f"{name}: {option + ': ' if option else ''}{told[:1].lower()}{told[1:]}")


def _check_kind(name: str, transform: Any) -> None:
    """Raise OptionError unless a transform works on images as ours, and makes such."""
    if others := [key for key in transform.targets_as_params if key not in ("image", "bboxes")]:
        raise OptionError("name", f"{name} needs {' and '.join(others)} beside an image and boxes; take another")
    try:
        changed = transform(force_apply=True, image=np.zeros(TRIAL, np.uint8), bboxes=np.array([[0, 0, 1, 1, 0]]))
    except Exception:
        return  # an image of this size is none for it
    image = changed["image"]
    if getattr(image, "dtype", None) != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise OptionError("name", f"{name} makes no 8-bit RGB images, which all others work on; leave it out")


def _limits() -> Any:
    """Where RandomGridShuffle looks up which parts of a box are still boxes."""
    from albumentations.core.bbox_utils import BboxParams, BboxProcessor

    return BboxProcessor(BboxParams("pascal_voc", min_area=MIN_AREA, min_visibility=MIN_VISIBILITY))


def first_line(error: BaseException) -> str:
    """What an error says, in a line."""
    return str(error).split("\n")[0] or type(error).__name__


def import_albumentations() -> ModuleType:
    """The module.  Raises UserError: it is not installed."""
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it would ask the network for updates at import
    try:
        import albumentations
    except ModuleNotFoundError as error:
        raise not_installed(error) or error from error
    return albumentations
