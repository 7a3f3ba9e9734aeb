"""Settings -> models: the one place where a configuration's parts are checked and made."""

from typing import Any

import torch
from torch import nn

from detect.config.check import check_section, check_value, error_at, origin_of, shown
from detect.config.schema import ClassifierSettings, DarknetModelSettings, ModelSettings, Part, Settings
from detect.config.text import Origins
from detect.darknet.cfg import parse
from detect.darknet.network import DarknetNetwork
from detect.data.augment import pipeline, transforms
from detect.errors import OptionError, PartError, nearest
from detect.losses.assign import ASSIGNMENTS
from detect.losses.cross_entropy import CROSS_ENTROPIES
from detect.models.classifier import Classifier
from detect.models.detector import build_detector, fits
from detect.models.registry import BACKBONES, HEADS, NECKS

REGISTRIES = {
    "model.backbone": BACKBONES,
    "model.neck": NECKS,
    "model.head": HEADS,
    "loss.assign": ASSIGNMENTS,
    "loss.obj_loss": CROSS_ENTROPIES,
    "loss.cls_loss": CROSS_ENTROPIES,
}


def build_model(settings: Settings | ClassifierSettings, num_classes: int) -> nn.Module:
    """The untrained network that settings describe: a `Detector`, `DarknetNetwork` or `Classifier`.

    A .cfg says itself how many classes there are, whatever `num_classes`.

    Raises:
        UserError: a part or one of its options does not fit, or the input's size does not fit the network.
    """
    network: Any = build_network(settings, num_classes)
    check_sizes(settings, network.stride)
    return network


def build_network(settings: Settings | ClassifierSettings, num_classes: int) -> nn.Module:
    """`build_model` for a model without an input's size, as a mapping of parts is."""
    model = settings.model
    try:
        if isinstance(model, DarknetModelSettings):
            return DarknetNetwork(parse("\n".join(model.cfg), _cfg_name(settings)))
        if isinstance(model, ModelSettings):
            return build_detector(vars(model), num_classes)
        return Classifier(BACKBONES.build(model.backbone), num_classes)
    except PartError as error:
        raise _located(error, f"model.{error.section}", settings.origins) from error


def check_model(settings: Settings | ClassifierSettings) -> None:
    """Raise the UserError that `build_model` would raise; takes no memory."""
    with torch.device("meta"):
        build_model(settings, num_classes=1)


def title(settings: Settings | ClassifierSettings) -> str:
    """The model in a few words, for a log."""
    if isinstance(settings.model, DarknetModelSettings):
        return "Darknet's .cfg"
    return " + ".join(part["name"] for part in vars(settings.model).values())


def check_parts(settings: Settings | ClassifierSettings) -> None:
    """Raise UserError unless every part and each of its options is known and of the right type.

    No network is built. Numbers that YAML took for words become numbers.
    """
    if not isinstance(settings.model, DarknetModelSettings):
        for section, part in vars(settings.model).items():
            _check_part(f"model.{section}", part, settings.origins)
    if isinstance(settings, Settings):
        for section in ("assign", "obj_loss", "cls_loss"):
            name, part = f"loss.{section}", getattr(settings.loss, section)
            _check_part(name, part, settings.origins)
            try:
                REGISTRIES[name].build(part)  # which takes nothing, and knows the ranges of its options
            except PartError as error:
                raise _located(error, name, settings.origins) from error
    check_augmentations(settings, with_library=False)


def check_augmentations(settings: Settings | ClassifierSettings, with_library: bool = True) -> None:
    """Raise UserError unless every augmentation of a list and each of its options is known and in its range.

    Args:
        with_library: those of albumentations too, which takes a second to import.
    """
    if not isinstance(settings, Settings) or not isinstance(settings.augment, list):
        return
    for number, part in enumerate(settings.augment):
        if not part["name"].startswith(transforms.PREFIX):
            _check_augmentation(f"augment.{number}", part, settings.origins)
        elif with_library:
            _check_transform(f"augment.{number}", part, settings.origins)
    if (count := pipeline.most_images(settings.augment)) > pipeline.MOST_IMAGES:
        sentence = f"augment: one training image would be made of {count}, at most {pipeline.MOST_IMAGES} are allowed"
        raise error_at(settings.origins, "augment", f"{sentence}; leave out one of those that take several images")


def _check_augmentation(name: str, part: Part, origins: Origins) -> None:
    """Check one of ours. Numbers that YAML took for words become numbers."""
    known = pipeline.AUGMENTATIONS
    if part["name"] not in known:
        hint = nearest(part["name"], [*known, *transforms.names()])
        raise error_at(origins, f"{name}.name", f"{shown(name)}: unknown augmentation '{part['name']}'{hint}")
    options = check_section(known[part["name"]], {key: part[key] for key in part if key != "name"}, name, origins)
    part.update({key: getattr(options, key) for key in part if key != "name"})


def _check_transform(name: str, part: Part, origins: Origins) -> None:
    """Check one of albumentations'."""
    try:
        pipeline.made(part)
    except OptionError as error:
        key = f"{name}.{error.option}" if error.option in part else name
        raise error_at(origins, key, f"{shown(key)}: {error.sentence}") from error


def _check_part(section: str, part: Part, origins: Origins) -> None:
    registry = REGISTRIES[section]
    try:
        registry.check(part)
    except PartError as error:
        raise _located(error, section, origins) from error
    for option in [option for option in part if option != "name"]:
        default = registry.default(part["name"], option)
        part[option] = _checked_option(default, part[option], f"{section}.{option}", origins)


def _checked_option(default: Any, value: Any, name: str, origins: Origins) -> Any:
    """A part's option, of the type of its default; a number or word may also be a list of them."""
    value_type = type(default)
    if value_type is tuple:
        return check_value(list[type(default[0])], value, name, origins)  # type: ignore[misc]
    if isinstance(value, (list, tuple)) and value_type in (float, str):
        return value if value_type is str else check_value(list[float], list(value), name, origins)
    return check_value(value_type, value, name, origins) if value_type in (bool, int, float, str) else value


def _located(error: PartError, name: str, origins: Origins) -> PartError:
    """The error of the part `name`, with the place where the part or its option was written."""
    option = f"{name}.{error.option}"
    return PartError(error.section, error.option, str(error_at(origins, option if option in origins else name, error)))


def _cfg_name(settings: Settings | ClassifierSettings) -> str:
    """What errors in the .cfg of settings call it."""
    return origin_of(settings.origins, "model.cfg").text if "model.cfg" in settings.origins else "the .cfg"


def check_sizes(settings: Settings | ClassifierSettings, stride: int) -> None:
    """Raise UserError unless the network takes inputs of the configured sizes."""
    sizes = {"size": [settings.input.size], "train_sizes": settings.input.train_sizes or []}
    for name, size in ((name, size) for name, of_name in sizes.items() for size in of_name):
        if not fits(size, stride):
            sentence = f"input.{name} {size} px is no multiple of the model's stride {stride}"
            raise error_at(settings.origins, f"input.{name}", sentence)
    smallest = min(sizes["train_sizes"] or sizes["size"])
    if smallest == stride and settings.train.batch == settings.train.accumulate:
        sentence = f"one image of {smallest} px at a time is too little for batch normalisation; take more"
        raise error_at(settings.origins, "train.batch", sentence)
