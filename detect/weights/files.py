"""Files of weights as `Weights`: training checkpoints (.pt), released weights (.safetensors), Darknet's .weights.

Files appear whole or not at all. What a `.pt` holds, `checkpoint` reads.
"""

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from detect import config
from detect.config.build import build_model, check_sizes
from detect.config.darknet import values_of
from detect.config.schema import ClassifierSettings, Settings
from detect.darknet import weights as darknet_weights
from detect.darknet.cfg import read as read_cfg
from detect.darknet.names import read_names
from detect.darknet.network import DarknetNetwork
from detect.errors import UserError
from detect.files import cannot_write, is_unicode, missing, printable, replacing
from detect.inference.engines import is_exported
from detect.inference.thresholds import Thresholds
from detect.ops.letterbox import GREY
from detect.weights.checkpoint import read_checkpoint, write_checkpoint
from detect.weights.fit import misfit
from detect.weights.mask import with_trained_mask
from detect.weights.zoo import classic_of, files_of, known_names

MAX_HEADER = 8 << 20  # bytes of a safetensors file's header; 100,000 classes need 5 MB, a usual detector 50 kB
MAX_TENSORS = 20_000  # a network of 1,000 layers has 6,000

AnyPath = str | os.PathLike[str]
Category = dict[str, Any]  # {"id": whole number, "name": str}


@dataclass
class Weights:
    """What a file of weights holds: all that predicting, evaluating, exporting, resuming and starting from it need.

    `categories` are `{"id", "name"}` of label 0..K-1, with the data's original ids. `notes` are sentences for the user
    on what the file says beyond the model. `training` is what a run's last.pt holds beside: the state to go on from.
    """

    path: Path
    settings: Any  # Settings or ClassifierSettings
    categories: list[Category]
    tensors: dict[str, Tensor]  # of the network, by name; the averaged ones where there is an average
    notes: tuple[str, ...] = ()
    thresholds: Thresholds | None = None  # that suited each class best
    training: Mapping[str, Any] | None = None
    _network: nn.Module | None = field(default=None, repr=False)

    @classmethod
    def of(
        cls, network: nn.Module, settings: Any, categories: list[Category], path: AnyPath, notes: tuple[str, ...] = ()
    ) -> "Weights":
        """Those of a network at hand; `path` names it in messages."""
        return cls(Path(path), settings, categories, network.state_dict(), notes, _network=network)

    @property
    def names(self) -> tuple[str, ...]:
        """The K class names."""
        return tuple(category["name"] for category in self.categories)

    @property
    def network(self) -> Any:
        """The `Detector`, `DarknetNetwork` or `Classifier` with these tensors in eval mode; built when first asked for.

        Raises:
            UserError: the settings describe no model that can be built, or one that the tensors do not fit.
        """
        if self._network is None:
            self._network = self._built()
        return self._network

    def _built(self) -> nn.Module:
        with torch.device("meta"):  # takes no memory, whatever a stranger's config asks for
            network = build_model(self.settings, len(self.categories))
        if problem := misfit(self.tensors, network):
            raise UserError(f"{self.path}: its weights do not fit the model its config describes: {problem}")
        tensors = {name: t.float() if t.is_floating_point() else t for name, t in self.tensors.items()}
        network.load_state_dict(tensors, assign=True)
        if network.num_classes != len(self.categories):
            count = len(self.categories)
            raise UserError(f"{self.path}: names {count} classes, but its model has {network.num_classes}")
        return network.eval()


# ---- reading -------------------------------------------------------------------------------------------------------


def read(
    path: AnyPath,
    settings_type: type | None = Settings,
    cfg: AnyPath | None = None,
    names: AnyPath | None = None,
    overrides: Sequence[str] = (),
    override_name: str = "override",
) -> Weights:
    """The weights in a run folder (its best.pt, else last.pt), a `.pt`, `.safetensors` or Darknet's `.weights` file.

    Args:
        path: the folder or file, or where there is none of this name, a name of `detect.weights.zoo`, whose files are
            fetched if they are not here.
        settings_type: `Settings` for a detector, `ClassifierSettings` for a classifier, None for either.
        cfg, names: the .cfg that a .weights file needs, and a file with a class name a line ("class 0", ... without).
        overrides: changes of its settings, "predict.min_score=0.15"; `override_name` is what errors call them.

    Raises:
        UserError: there is none, it cannot be fetched, or the file is damaged or of another type.
    """
    if settings_type is ClassifierSettings and classic_of(path):  # before it is fetched
        raise UserError(f"{path}: is a detector, no classifier; use tools/train.py and tools/evaluate.py")
    if files := files_of(path):
        path, cfg, names = files.weights, cfg or files.cfg, names or files.names
    path = weights_file(path)
    if is_exported(path) or path.suffix == ".bin":
        raise UserError(f"{path}: belongs to an exported file; this takes the weights that it was made from")
    if path.suffix == ".weights":
        return _read_darknet(path, settings_type, cfg, names, overrides, override_name)
    if cfg or names:
        raise UserError(f"{path}: holds its model and class names itself; a .cfg and names belong to a .weights file")
    training = None
    if path.suffix == ".safetensors":
        values, categories, tensors, thresholds = _read_safetensors(path)
    else:
        training = read_checkpoint(path)
        values, categories, tensors = training["config"], training["categories"], _tensors_of(path, training)
        thresholds = training.get("thresholds")
    categories = _checked_categories(path, categories)
    try:
        thresholds = Thresholds.of(thresholds, len(categories))
    except ValueError as error:
        raise UserError(f"{path}: its thresholds {error}; train or evaluate it again") from error
    settings = config.from_dict(values, None, path, overrides, settings_type, override_name)
    return Weights(path, settings, categories, tensors, thresholds=thresholds, training=training)


def weights_file(path: AnyPath) -> Path:
    """The file of weights that `path`, a file or a run folder, stands for.  Raises UserError."""
    path = Path(path)
    if os.path.isdir(path):
        found = [path / name for name in ("best.pt", "last.pt") if (path / name).is_file()]
        if not found:
            raise UserError(f"{path}: holds neither best.pt nor last.pt; give a run folder or a file of weights")
        return found[0]
    if not os.path.isfile(path):
        raise missing(path, known_names())
    return path


def _read_darknet(
    path: Path,
    settings_type: type | None,
    cfg: AnyPath | None,
    names: AnyPath | None,
    overrides: Sequence[str],
    override_name: str,
) -> Weights:
    if cfg is None:
        raise UserError(f"{path}: Darknet's .weights need the .cfg that says what they are", argument="cfg")
    parsed = with_trained_mask(read_cfg(cfg), path)
    values, origins = values_of(str(cfg), parsed, training=False)
    settings = config.from_dict(values, origins, cfg, overrides, settings_type, override_name)
    with torch.device("meta"):  # no memory is taken before the file's size is known to fit
        network = DarknetNetwork(parsed)
    check_sizes(settings, network.stride)
    darknet_weights.read(path, network)
    settings.model.header = list(dataclasses.astuple(network.header or darknet_weights.Header()))
    count = network.num_classes
    listed = read_names(names, count) if names else [f"class {label}" for label in range(count)]
    categories = [{"id": i, "name": name} for i, name in enumerate(listed, 1)]
    height, width = network.input_size
    notes = parsed.notes
    if height != width:
        notes += (f"{cfg}: is {width}x{height} px; here images are letterboxed into {max(width, height)} px squares",)
    return Weights.of(network.eval(), settings, categories, path, notes)


def _tensors_of(path: Path, state: dict[str, Any]) -> dict[str, Tensor]:
    """The network's tensors in a checkpoint: last.pt holds them and their average, best.pt one of the two."""
    average = state.get("ema")
    average = {"model": state["model"]} if average is None else average
    tensors = average.get("model") if isinstance(average, dict) else None
    if not isinstance(tensors, dict) or not all(
        isinstance(k, str) and isinstance(v, Tensor) for k, v in tensors.items()
    ):
        raise UserError(f"{path}: its weights do not fit the model its config describes")
    return tensors


def _read_safetensors(path: Path) -> tuple[Any, Any, dict[str, Tensor], Any]:
    """(config, categories, tensors, thresholds or None) of a `.safetensors` file."""
    try:
        _check_header(path)
        with safe_open(path, framework="pt") as file:
            metadata, names = file.metadata() or {}, file.keys()
            if len(names) > MAX_TENSORS:
                raise UserError(f"{printable(path)}: lists {len(names)} tensors, as no model here has")
            tensors = {name: file.get_tensor(name) for name in names}
        thresholds = json.loads(metadata.get("thresholds", "null"))
        return json.loads(metadata["config"]), json.loads(metadata["categories"]), tensors, thresholds
    except UserError:
        raise
    except (KeyError, json.JSONDecodeError) as error:
        raise UserError(f"{path}: has no config and class names in its metadata; not released by this tool") from error
    except Exception as error:
        raise UserError(
            f"{path}: not a safetensors file, or a damaged one; give a run folder or another file"
        ) from error


def _check_header(path: Path) -> None:
    """Raise UserError if the header of a safetensors file, whose length comes first, is longer than any model's."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
    if MAX_HEADER < length <= path.stat().st_size:
        raise UserError(f"{printable(path)}: its header has {length / 1e6:.0f} MB, as that of no model here has")


def _checked_categories(path: Path, categories: Any) -> list[Category]:
    if not isinstance(categories, list | tuple) or not all(map(_is_category, categories)):
        raise UserError(f"{path}: its list of classes is damaged")
    checked = [{"id": category["id"], "name": category["name"]} for category in categories]
    if not 0 < len(checked) < 100_000:
        raise UserError(f"{path}: lists {len(checked)} classes")
    return checked


def _is_category(value: Any) -> bool:
    if not isinstance(value, dict) or type(value.get("id")) is not int:
        return False
    return isinstance(value.get("name"), str) and is_unicode(value["name"])


# ---- writing -------------------------------------------------------------------------------------------------------


def keeping_file(path: AnyPath) -> Path:
    """The file that `write_thresholds` writes to.  Raises UserError where there is none."""
    if not os.path.lexists(path) and str(path) in known_names():
        raise UserError(
            f"{path}: released weights stay as they are; export them to a file of your own, and evaluate that"
        )
    path = weights_file(path)
    if path.suffix not in (".pt", ".safetensors"):
        raise UserError(
            f"{path}: cannot keep thresholds; a .pt and a .safetensors can, and what is exported takes them"
        )
    return path


def write_thresholds(path: AnyPath, thresholds: Thresholds) -> Path:
    """Write thresholds into a `.pt` or `.safetensors` file that is there, or a run folder's; returns the file's path.

    All else in it stays as it is.  Raises UserError.
    """
    path = keeping_file(path)
    if path.suffix == ".pt":
        write_checkpoint(path, read_checkpoint(path) | {"thresholds": thresholds.to_dict()})
        return path
    _, _, tensors, _ = _read_safetensors(path)
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    _save(path, tensors, metadata | {"thresholds": json.dumps(thresholds.to_dict())})
    return path


def write_safetensors(path: AnyPath, weights: Weights, half: bool = False) -> None:
    """Write `weights` as a file to release: tensors, and config, categories and geometry in the metadata.

    The data's place on this machine is left out. `half` stores floats in 16 bits.  Raises UserError.
    """
    values = config.to_dict(weights.settings)
    values["data"] = None
    values["train"]["init"] = values["train"]["teacher"] = None
    size = weights.settings.input.size
    metadata = {"config": values, "categories": weights.categories}
    if weights.thresholds:
        metadata["thresholds"] = weights.thresholds.to_dict()
    if isinstance(weights.settings, ClassifierSettings):
        resize = weights.settings.input.resize or size
        metadata["centre_crop"] = {"size": size, "resize": resize, "scale": "short side"}
    else:
        metadata["letterbox"] = {"size": size, "pad": "centre", "fill": GREY, "scale": "fit"}
    tensors = {
        name: (value.half() if half and value.is_floating_point() else value).contiguous()
        for name, value in weights.network.state_dict().items()
    }
    too_large = [name for name, value in tensors.items() if not value.isfinite().all()]
    if too_large:
        raise UserError(f"{path}: {too_large[0]} holds numbers beyond 16 bits or not finite; write it in 32 bits")
    _save(path, tensors, {name: json.dumps(value) for name, value in metadata.items()})


def _save(path: AnyPath, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    try:
        with replacing(path) as temporary:
            save_file(tensors, temporary, metadata)
    except SafetensorError as error:
        raise cannot_write(path, error) from error
