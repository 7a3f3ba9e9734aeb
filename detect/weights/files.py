"""Files of weights: training checkpoints (.pt), released weights (.safetensors), and the model that lies in either.

Files appear whole or not at all. `.pt` files hold tensors and plain values only and are read with `weights_only=True`.
"""

import dataclasses
import json
import re
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from detect import config, darknet
from detect.config.darknet import values_of
from detect.config.schema import ClassifierSettings, Settings
from detect.errors import UserError
from detect.files import cannot_read, cannot_write, missing, replacing
from detect.models.classifier import Classifier
from detect.ops.letterbox import GREY


def write_checkpoint(path, state):
    """Write a mapping of tensors and plain values as `.pt`, whole or not at all.  Raises UserError."""
    try:
        with replacing(path) as temporary:
            torch.save(state, temporary)
    except RuntimeError as error:  # what torch makes of a full disk
        raise cannot_write(path, error) from error


def read_checkpoint(path):
    """The mapping in a `.pt` file, on the CPU.  Raises UserError."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise missing(path) from error
    except PermissionError as error:
        raise cannot_read(path, error) from error
    except Exception as error:  # a stranger's file fails in many ways: unpickling, zip, end of file, ...
        raise UserError(
            f"{path}: not a checkpoint of this framework, or a damaged one; give a run folder or another file"
        ) from error
    if not isinstance(state, dict) or not {"model", "config", "categories"} <= state.keys():
        raise UserError(f"{path}: holds no detector of this framework and no classifier (no model, config, categories)")
    return state


@dataclass
class LoadedModel:
    """A model as it lies in a file. `categories`: `{"id", "name"}` of label 0..K-1, with the data's original ids.

    `notes` are sentences for the user on what the file says beyond the model.
    """

    network: torch.nn.Module  # a `Detector`, `DarknetNetwork` or `Classifier`, as `settings` say
    settings: Settings | ClassifierSettings
    categories: list
    path: Path
    notes: tuple = ()

    @property
    def names(self):
        return tuple(category["name"] for category in self.categories)


def load_model(path, settings_type=Settings, cfg=None, names=None):
    """The model in a run folder (its best.pt, else last.pt), a `.pt`, `.safetensors` or Darknet's `.weights` file.

    Args:
        cfg, names: the .cfg that a .weights file needs, and a file with a class name a line ("class 0", ... without).
        settings_type: `Settings` for a detector, `ClassifierSettings` for a classifier, None for either.

    Raises:
        UserError: there is none, or the file is damaged or of another kind.
    """
    path = weights_file(path)
    if path.suffix == ".weights":
        return _load_darknet(path, settings_type, cfg, names)
    if cfg or names:
        raise UserError(f"{path}: holds its model and class names itself; a .cfg and names belong to a .weights file")
    if path.suffix == ".safetensors":
        values, categories, tensors = _read_safetensors(path)
    else:
        state = read_checkpoint(path)
        values, categories = state["config"], state["categories"]
        average = state.get("ema") or {"model": state["model"]}  # last.pt holds both, best.pt one
        tensors = average.get("model") if isinstance(average, dict) else None
    categories = _checked_categories(path, categories)
    settings = config.from_dict(values, source=path, settings_type=settings_type)
    try:
        with torch.device("meta"):  # takes no memory, whatever a stranger's config asks for
            network = settings.model.build(len(categories))
        floats = {name: value.float() if value.is_floating_point() else value for name, value in tensors.items()}
        network.load_state_dict(floats, assign=True)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: its weights do not fit the model its config describes") from error
    if network.num_classes != len(categories):
        raise UserError(f"{path}: names {len(categories)} classes, but its model has {network.num_classes}")
    return LoadedModel(network.eval(), settings, categories, path)


def _load_darknet(path, settings_type, cfg, names):
    if cfg is None:
        raise UserError(f"{path}: Darknet's .weights need the .cfg that says what they are; give --cfg FILE")
    values, origins = values_of(cfg, training=False)
    settings = config.from_dict(values, origins, cfg, settings_type=settings_type)
    network = darknet.load(cfg, path)
    height, width = network.input_size
    notes = network.cfg.notes
    if height != width:
        notes += (f"{cfg}: is {width}x{height} px; here images are letterboxed into {max(width, height)} px squares",)
    settings.model.header = list(dataclasses.astuple(network.header))
    count = network.num_classes
    listed = darknet.read_names(names, count) if names else [f"class {label}" for label in range(count)]
    categories = [{"id": i, "name": name} for i, name in enumerate(listed, 1)]
    return LoadedModel(network, settings, categories, path, notes)


def weights_file(path):
    """The file of weights that `path`, a file or a run folder, stands for.  Raises UserError."""
    path = Path(path)
    if path.is_dir():
        found = [path / name for name in ("best.pt", "last.pt") if (path / name).is_file()]
        if not found:
            raise UserError(f"{path}: holds neither best.pt nor last.pt; give a run folder or a file of weights")
        return found[0]
    if not path.is_file():
        raise missing(path)
    return path


def write_safetensors(path, model, half=False):
    """Write a `LoadedModel` as released weights: tensors, and config, categories and geometry in the metadata.

    The data's place on this machine is left out. `half` stores floats in 16 bits.  Raises UserError.
    """
    values = config.to_dict(model.settings)
    values["data"] = None
    values["train"]["init"] = None
    size = model.settings.input.size
    metadata = {"config": values, "categories": model.categories}
    if isinstance(model.settings, ClassifierSettings):
        metadata["centre_crop"] = {"size": size, "scale": "short side"}
    else:
        metadata["letterbox"] = {"size": size, "pad": "centre", "fill": GREY, "scale": "fit"}
    tensors = {
        name: (value.half() if half and value.is_floating_point() else value).contiguous()
        for name, value in model.network.state_dict().items()
    }
    too_large = [name for name, value in tensors.items() if not value.isfinite().all()]
    if too_large:
        raise UserError(f"{path}: {too_large[0]} holds numbers beyond 16 bits or not finite; write it without --half")
    try:
        with replacing(path) as temporary:
            save_file(tensors, temporary, {name: json.dumps(value) for name, value in metadata.items()})
    except SafetensorError as error:
        raise cannot_write(path, error) from error


def _read_safetensors(path):
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a mapping
        return json.loads(metadata["config"]), json.loads(metadata["categories"]), tensors
    except (KeyError, json.JSONDecodeError) as error:
        raise UserError(f"{path}: has no config and class names in its metadata; not released by this tool") from error
    except Exception as error:
        raise UserError(
            f"{path}: not a safetensors file, or a damaged one; give a run folder or another file"
        ) from error


def _checked_categories(path, categories):
    try:
        checked = [{"id": int(c["id"]), "name": str(c["name"])} for c in categories]
    except (TypeError, KeyError, ValueError, OverflowError) as error:
        raise UserError(f"{path}: its list of classes is damaged") from error
    if not 0 < len(checked) < 100_000:
        raise UserError(f"{path}: lists {len(checked)} classes")
    return checked


def load_matching(model, categories, path):
    """Start a detector or classifier from other weights: take every tensor that fits by name and shape.

    Weights of the other kind give their backbone. Of the same kind, the last layers start anew when the classes differ.
    Returns a sentence that says what was taken.  Raises UserError.
    """
    if re.search(r"\.(weights|conv\.\d+)$", str(path)):
        return darknet.load_weights(model, path)
    source = load_model(path, settings_type=None)
    theirs, ours = source.network.state_dict(), model.state_dict()
    taken = {name: value for name, value in theirs.items() if name in ours and ours[name].shape == value.shape}
    what, rest = "tensors", ""
    ours_detects, theirs_detects = (not isinstance(m, Classifier) for m in (model, source.network))
    if ours_detects != theirs_detects:
        taken, ours = _tensors_of(taken, "backbone"), _tensors_of(ours, "backbone")
        what = "backbone tensors"
        rest = "; neck and head dropped, classifier starts anew"
        if ours_detects:
            rest = "; classifier dropped, neck and head start anew"
    elif [c["name"] for c in categories] != list(source.names):
        for part in _last_layers(model):
            for name in _tensors_of(taken, part):
                del taken[name]
        last = "head" if ours_detects else "classifier"
        rest = f"; {last} starts anew, {len(source.names)} -> {len(categories)} classes"
    if not taken:
        raise UserError(f"{path}: none of its {len(theirs)} tensors fits this model")
    model.load_state_dict(taken, strict=False)
    return f"{len(taken)} of {len(ours)} {what} from {source.path}{rest}"


def _last_layers(model):
    """Names of the parts whose size hangs on the number of classes."""
    if isinstance(model, darknet.DarknetNetwork):
        return [f"layers.{source}" for output in model.outputs for source in model.sources[output]]
    return ["classify" if isinstance(model, Classifier) else "head"]


def _tensors_of(tensors, part):
    """Those of a module's named tensors that belong to its child `part`."""
    return {name: value for name, value in tensors.items() if name.startswith(part + ".")}
