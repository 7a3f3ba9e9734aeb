"""Weights to start a training from: every tensor that fits, and a sentence that says what was taken."""

import os
import re
from os import PathLike
from pathlib import Path

from torch import Tensor, nn

from detect.config.schema import ClassifierSettings
from detect.darknet.filling import load_weights
from detect.darknet.names import modern
from detect.darknet.network import DarknetNetwork
from detect.errors import UserError
from detect.models.classifier import Classifier
from detect.models.detector import Detector
from detect.models.heads.yolo import YOLOv3
from detect.weights.files import Category, Weights, read
from detect.weights.mask import mask_warning
from detect.weights.zoo import files_of, known_names


def load_matching(network: nn.Module, categories: list[Category], path: str | PathLike[str]) -> str:
    """Start a detector or classifier from other weights: take every tensor that fits by name and shape.

    Weights of the other task give their backbone. Of the same task, the last layers start anew when the classes differ
    by more than Darknet's older names; but a YOLOv3 head of the same anchors keeps what it knows of boxes and of there
    being an object, and the classes that both know by name. `path` may be a name of `detect.weights.zoo`.
    Returns a sentence that says what was taken.  Raises UserError.
    """
    path = by_name(path)
    files = files_of(path)
    if files and files.cfg and not isinstance(network, DarknetNetwork):
        path = files.weights  # of a .cfg's twin in our own parts, or its backbone
    if re.search(r"\.(weights|conv\.\d+)$", str(path)):
        return load_weights(network, path) + _warning(network, path)
    source = read(path, settings_type=None)
    theirs, ours = source.network.state_dict(), network.state_dict()
    taken = {name: value for name, value in theirs.items() if name in ours and ours[name].shape == value.shape}
    what, rest = "tensors", ""
    detects = not isinstance(network, Classifier)
    if detects is isinstance(source.settings, ClassifierSettings):
        taken, ours = _tensors_of(taken, "backbone"), _tensors_of(ours, "backbone")
        what = "backbone tensors"
        rest = "; neck and head dropped, classifier starts anew"
        if detects:
            rest = "; classifier dropped, neck and head start anew"
    elif [c["name"] for c in categories] == list(source.names):
        pass
    elif [modern(c["name"]) for c in categories] == [modern(name) for name in source.names]:
        rest = "; classes matched by Darknet's older names"
    else:
        for part in _last_layers(network):
            for name in _tensors_of(taken, part):
                del taken[name]
        last = "head" if detects else "classifier"
        rest = f"; {last} starts anew, {len(source.names)} -> {len(categories)} classes"
        if kept := _kept_of_head(source, network, [c["name"] for c in categories]):
            head, known = kept
            taken |= head
            rest = f"; {len(source.names)} -> {len(categories)} classes, of which it knows {known} by name"
    if not taken:
        raise UserError(f"{path}: none of its {len(theirs)} tensors fits this model")
    network.load_state_dict(taken, strict=False)
    return f"{len(taken)} of {len(ours)} {what} from {source.path}{rest}" + _warning(network, source.path)


def _kept_of_head(source: Weights, network: nn.Module, names: list[str]) -> tuple[dict[str, Tensor], int] | None:
    """Tensors of the network's YOLOv3 head with the rows that weights of other classes share with it, and how many of
    the classes `names` are among them; None if the two heads are not alike."""
    if not isinstance(source.network, Detector) or not isinstance(network, Detector):
        return None
    theirs, ours = source.network.head, network.head
    if not isinstance(theirs, YOLOv3) or not isinstance(ours, YOLOv3):
        return None
    if (theirs.anchors, theirs.scale_x_y) != (ours.anchors, ours.scale_x_y):
        return None
    places = {modern(name): place for place, name in enumerate(source.names)}
    shared = [(own, places[modern(name)]) for own, name in enumerate(names) if modern(name) in places]
    kept = {}
    for scale, (old, new) in enumerate(zip(theirs.predictions, ours.predictions, strict=True)):
        if old.in_channels != new.in_channels:
            return None
        for part in ("weight", "bias"):
            before, tensor = getattr(old, part).detach(), getattr(new, part).detach().clone()
            rows, their_rows = (of.unflatten(0, (len(ours.anchors[scale]), -1)) for of in (tensor, before))
            rows[:, :5] = their_rows[:, :5]
            for own, their in shared:
                rows[:, 5 + own] = their_rows[:, 5 + their]
            kept[f"head.predictions.{scale}.{part}"] = tensor
    return kept, len(shared)


def by_name(path: str | PathLike[str]) -> str | PathLike[str]:
    """The name of `detect.weights.zoo` that a setting means (settings make it a path in their folder), else `path`."""
    name = Path(path).name
    return name if name in known_names() and not os.path.exists(path) else path


def _warning(network: nn.Module, path: str | PathLike[str]) -> str:
    """What is known against `network` with the weights in a file, to be added to a sentence; else nothing."""
    warning = mask_warning(network.cfg, path) if isinstance(network, DarknetNetwork) else ""
    return f"; {warning}" if warning else ""


def _last_layers(network: nn.Module) -> list[str]:
    """Names of the parts whose size hangs on the number of classes."""
    if isinstance(network, DarknetNetwork):
        return [f"layers.{source}" for output in network.outputs for source in network.sources[output]]
    return ["classify" if isinstance(network, Classifier) else "head"]


def _tensors_of(tensors: dict[str, Tensor], part: str) -> dict[str, Tensor]:
    """Those of a module's named tensors that belong to its child `part`."""
    return {name: value for name, value in tensors.items() if name.startswith(part + ".")}
