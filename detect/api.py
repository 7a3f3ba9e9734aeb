"""What programs call, and what the command line calls: load and predict, label, build, train, evaluate, export."""

import json
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from torch import nn

from detect import config
from detect.config.build import build_model, build_network
from detect.config.schema import ClassifierSettings, DarknetModelSettings, Settings
from detect.data.coco import CocoDataset
from detect.data.image_folder import ImageFolder
from detect.engine.classification import ClassificationTask
from detect.engine.detection import DetectionTask
from detect.engine.lock import only_here
from detect.engine.task import Task
from detect.engine.train import Trainer
from detect.errors import UserError, nearest
from detect.evaluation.evaluate import EVALUATION_THRESHOLDS
from detect.evaluation.report import report_classifier, report_split, report_test_dev
from detect.exporters.darknet import write_darknet
from detect.files import made_folder, new_folder, write_text
from detect.inference.labels import label_files
from detect.inference.predictor import Predictor
from detect.inference.torch_runtime import TorchRuntime, pick_device
from detect.weights import zoo
from detect.weights.files import Weights, read, write_safetensors

RELEASED = zoo.RELEASED[0].path  # what is loaded where no weights are named
FORMATS = {"safetensors": ".safetensors", "darknet": ".weights"}  # of export, with the suffix of its file
AnyPath = str | PathLike[str]
Say = Callable[[str], Any]


def quiet(line: str) -> None:
    """Say nothing: what `log` is unless a caller gives another function, `print` for example."""


# ---- predict -------------------------------------------------------------------------------------------------------


def load(
    weights: AnyPath = RELEASED,
    *,
    cfg: AnyPath | None = None,
    names: AnyPath | None = None,
    size: int | None = None,
    min_score: float | None = None,
    max_detections: int | None = None,
    device: str | None = None,
    batch: int = 1,
    **nms: Any,
) -> Predictor:
    """A `Predictor` with the detector in `weights`::

        model = detect.load()
        result = model("photo.jpg")
        for result in model.stream("video.mp4"):
            for box, score, name in result: ...

    Args:
        weights: a run folder, a `.pt` checkpoint, a `.safetensors` or a Darknet `.weights` file, or where there is none
            of this name, one that `detect zoo` lists: then what is not here is fetched; the released weights by
            default.
        cfg, names: the .cfg that a .weights file needs, and a file with a class name a line.
        size: side of the network's input, px; what it was trained for by default.
        min_score: detections at or below it are left out; what the weights' configuration says by default (0.25).
        max_detections: of an image; what the weights' configuration says by default (100).
        device: cpu, cuda, cuda:1, mps, ...; CUDA by default where there is one.
        batch: images that go through the detector at once.
        nms: `overlap`, `threshold`, `beta`, `per_class` of `detect.ops.nms.nms`, instead of the configured.

    Raises:
        UserError: the weights cannot be used or fetched, or an argument is out of range.
    """
    loaded = load_weights(weights, cfg, names)
    options: dict[str, Any] = {
        "size": size,
        "min_score": min_score,
        "max_detections": max_detections,
        "device": device,
        "batch": batch,
    }
    return predictor_of(loaded, **options, **nms)


def load_weights(
    weights: AnyPath = RELEASED, cfg: AnyPath | None = None, names: AnyPath | None = None, **options: Any
) -> Weights:
    """The `Weights` in a file; arguments as in `load` and `detect.weights.files.read`.  Raises UserError."""
    return read(zoo.released_path() if weights is RELEASED else weights, cfg=cfg, names=names, **options)


def predictor_of(
    weights: Weights,
    *,
    size: int | None = None,
    min_score: float | None = None,
    max_detections: int | None = None,
    device: str | None = None,
    batch: int = 1,
    **nms: Any,
) -> Predictor:
    """The `Predictor` of `Weights` that are read already; arguments as in `load`.  Raises UserError."""
    settings = weights.settings
    size = settings.input.size if size is None else size
    return Predictor(
        TorchRuntime(weights.network, weights.names, size, pick_device(device)),
        min_score=settings.predict.min_score if min_score is None else min_score,
        nms=settings.predict.nms_options() | nms,
        max_detections=settings.predict.max_detections if max_detections is None else max_detections,
        batch=batch,
    )


def label(
    weights: AnyPath,
    source: AnyPath,
    out: AnyPath,
    *,
    min_score: float = 0.05,
    overwrite: bool = False,
    cfg: AnyPath | None = None,
    names: AnyPath | None = None,
    size: int | None = None,
    device: str | None = None,
    batch: int = 1,
    log: Say = quiet,
    warn: Say = quiet,
    **nms: Any,
) -> dict[str, Any]:
    """Label photos with a detector: one COCO JSON file, whose boxes have a `score`, to be corrected or learnt from.

    Args:
        weights, cfg, names, size, device, batch, nms: as in `load`.
        source: a folder (its images, subfolders not), an image, or a glob pattern; file names are relative to the
            folder, to the image's folder, or to the part of the pattern before the first wildcard.
        out: the .json to write. One that is there is replaced if it has the content that was left, or with `overwrite`.
        min_score: detections at or below it are left out; low, so that whoever learns from them can choose.
        log: called with a line for each image.
        warn: called with each note on the weights and each sentence on a file that could not be labelled.

    Returns:
        {"file": path of the labels, "folder": that file names are relative to, "images", "boxes": their numbers,
        "counts": boxes by class name, "errors": a sentence for each file that could not be labelled}

    Raises:
        UserError: weights or source cannot be used, or `out` holds something else or cannot be written.
    """
    loaded = load_weights(weights, cfg, names)
    for note in loaded.notes:
        warn(note)
    predictor = predictor_of(loaded, min_score=min_score, size=size, device=device, batch=batch, **nms)
    return {**label_files(predictor, loaded.categories, source, out, overwrite, log, warn)}


def build(source: AnyPath | dict[str, Any], num_classes: int = 80) -> nn.Module:
    """An untrained detector from a configuration file, or from a mapping with `backbone`, `neck` and `head`.

    A .cfg gives a `DarknetNetwork`, whose classes it says itself; everything else a `Detector`.

    Raises:
        UserError: the configuration is wrong.
    """
    if not isinstance(source, dict):
        return build_model(config.load(source, needs_data=False), num_classes)
    for part in ("backbone", "neck", "head"):
        if not isinstance(source.get(part), dict) or "name" not in source[part]:
            raise UserError(f"the model has no {part}; describe it like {{'name': ...}}")
    return build_network(config.from_dict({"model": source}, source="the model"), num_classes)


# ---- train ---------------------------------------------------------------------------------------------------------


def train(
    configuration: AnyPath | None = None,
    *,
    resume: AnyPath | None = None,
    out: AnyPath | None = None,
    device: str | None = None,
    log: Say = quiet,
    **overrides: Any,
) -> dict[str, Any]:
    """Train the detector or classifier of a configuration file; a progress bar goes to standard error::

        detect.train("configs/bccd.yaml", data="mine", train={"steps": 300, "lr": 0.005})

    Args:
        configuration: a YAML or .cfg file.
        resume: instead, a run folder to go on with exactly where it stopped.
        out: folder that gets the new run's folder; `runs` by default.
        device: torch device; CUDA by default where there is one.
        log: called with each line of the summary.
        overrides: sections or values that replace the file's, as above or as `**{"train.lr": 0.005}`.

    Returns:
        {"run": the run's folder, "steps": number done, "metrics": the last row of results.csv, if any}

    Raises:
        UserError: the configuration or the data is wrong, or memory or disk is full.
        Interrupted: Ctrl-C; the checkpoint is written.
    """
    if resume and out:
        raise UserError("out is for new runs; a resumed one goes on in its own folder", argument="out")
    settings, stopped = training_settings(configuration, resume, as_overrides(overrides), settings_type=None)
    return train_settings(settings, configuration, stopped, out, device, log)


def as_overrides(values: dict[str, Any]) -> list[str]:
    """{"train": {"lr": 0.1}} or {"train.lr": 0.1} -> overrides as `config.load` takes them."""
    return [f"{name}={json.dumps(value, default=fspath, ensure_ascii=False)}" for name, value in values.items()]


def training_settings(
    configuration: AnyPath | None, resume: AnyPath | None, overrides: list[str], needs_data: bool = True, **options: Any
) -> tuple[Any, Weights | None]:
    """(settings, `Weights` of the run to go on with or None); `options` as of `config.load`.  Raises UserError."""
    if configuration and not resume:
        return config.load(configuration, overrides, needs_data, **options), None
    if configuration or not resume:
        raise UserError("give either a configuration file or a run to resume")
    run = Path(resume)
    run = run.parent if os.path.isfile(run) else run
    if os.path.isfile(run / "config.yaml") and not os.path.exists(run / "last.pt"):
        raise UserError(
            f"{run}: stopped before its first checkpoint, so there is nothing to resume; start it again with "
            f"{run / 'config.yaml'}"
        )
    stopped = read(run / "last.pt", overrides=overrides, **options)
    _check_unedited(run / "config.yaml", stopped)
    return stopped.settings, stopped


def _check_unedited(path: Path, stopped: Weights) -> None:
    """Raise UserError if the configuration in a run's folder is neither the checkpoint's nor the one to go on with."""
    if stopped.training is None or not os.path.isfile(path):
        return
    written = _flat(config.to_dict(config.load(path, needs_data=False, settings_type=None)))
    own = _flat(config.to_dict(config.from_dict(stopped.training["config"], source=path, settings_type=None)))
    changed = [name for name in own.keys() | written.keys() if own.get(name) != written.get(name)]
    if changed and written != _flat(config.to_dict(stopped.settings)):
        name = min(changed)
        raise UserError(
            f"{path}: {name} is {written.get(name)} there and {own.get(name)} in the run; a resumed run takes its "
            "settings from last.pt: give changes as overrides, and remove the file"
        )


def _flat(values: dict[str, Any], above: str = "") -> dict[str, Any]:
    """A mapping of mappings as one of dotted names."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{above}{name}.") if isinstance(value, dict) else {f"{above}{name}": value}
    return flat


def train_settings(
    settings: Settings | ClassifierSettings,
    configuration: AnyPath | None = None,
    stopped: Weights | None = None,
    out: AnyPath | None = None,
    device: str | None = None,
    log: Say = quiet,
) -> dict[str, Any]:
    """`train` with settings that are read already: a run named after `configuration`, or the one that `stopped`."""
    on = pick_device(device)
    task: Task = ClassificationTask(settings) if isinstance(settings, ClassifierSettings) else DetectionTask(settings)
    name = Path(configuration or "run").stem
    with nullcontext(stopped.path.parent) if stopped else new_folder(out or "runs", name) as folder, only_here(folder):
        trainer = Trainer(task, folder, on, stopped.training if stopped else None)
        if trainer.step >= trainer.schedule.total_steps and not trainer.is_due:
            length = "epochs" if settings.train.epochs else "steps"
            raise UserError(f"{folder} is finished after {trainer.step} steps; to go on, set a greater train.{length}")
        write_text(folder / "config.yaml", config.dump(settings))
        for line in trainer.summary():
            log(line)
            trainer.note(line)
        metrics = trainer.run()
    return {"run": str(folder), "steps": trainer.step, "metrics": metrics}


# ---- evaluate and export -------------------------------------------------------------------------------------------


def evaluate(
    weights: AnyPath,
    data: AnyPath | None = None,
    *,
    split: str = "val",
    images: AnyPath | None = None,
    annotations: AnyPath | None = None,
    name: str = "detect",
    out: AnyPath | None = None,
    cfg: AnyPath | None = None,
    names: AnyPath | None = None,
    size: int | None = None,
    device: str | None = None,
    batch: int = 16,
    resamples: int = 0,
    log: Say = quiet,
    warn: Say = quiet,
    **nms: Any,
) -> dict[str, Any]:
    """COCO AP of a detector on a split of a data set, by pycocotools; writes `detections.json`.

    Args:
        weights, cfg, names, size, device, batch, nms: as in `load`.
        data: a data folder or data YAML; what the weights were trained on by default.
        split: val, train, ...; of `test-dev`, which nobody but the COCO server can evaluate, the two files are written.
        images, annotations: instead of `data`, a folder of images and a COCO JSON file.
        name: of the method in test-dev files.
        out: folder for the files; the run's folder by default, else a new one in `runs`.
        resamples: of the images, for "intervals" in which 95% of their APs lie (a bootstrap).
        log: called with each line of the report.
        warn: called with each note on the weights.

    Returns:
        The twelve metrics by name, "per_class", and the numbers of "images" and "detections"; "file": the detections.

    Raises:
        UserError: weights or data cannot be used, or the file cannot be written.
    """
    if bool(images) != bool(annotations) or (images and data):
        raise UserError("give a folder of images with an annotations file, or data, or none of them")
    loaded = load_weights(weights, cfg, names)
    for note in loaded.notes:
        warn(note)
    for option in nms.keys() & EVALUATION_THRESHOLDS.keys():
        raise UserError(f"{option} is the same for every evaluation, {EVALUATION_THRESHOLDS[option]}; leave it out")
    predictor = predictor_of(loaded, size=size, device=device, batch=batch, **nms, **EVALUATION_THRESHOLDS)
    described: Any = None if images else _data_of(loaded, data)
    with _evaluation_folder(weights, out) as folder:
        if split == "test-dev" and described:
            return report_test_dev(predictor, described, loaded.categories, folder, name, batch, log)
        if annotations and images:
            dataset = CocoDataset(annotations, images, bad_boxes="drop")
        else:
            dataset = CocoDataset.of_split(described, split)
        return report_split(predictor, dataset, loaded.categories, folder, batch, log, resamples)


def evaluate_classifier(
    weights: AnyPath,
    data: AnyPath | None = None,
    *,
    split: str = "val",
    ten_crop: bool = False,
    device: str | None = None,
    log: Say = quiet,
) -> dict[str, Any]:
    """Top-1 and top-5 of a classifier on a split of class folders.

    Args:
        weights: a run folder, a `.pt` or `.safetensors` file.
        data: folder with SPLIT/CLASS/*.jpg; what it was trained on by default.
        ten_crop: average over ten crops instead of taking the centre crop.
        device, log: as in `evaluate`.

    Returns:
        {"top1", "top5", "images": their number, "majority": share of the largest class, "per_class"}
    """
    loaded = read(weights, settings_type=ClassifierSettings)
    images = ImageFolder.of_split(_data_of(loaded, data, ClassifierSettings), split, loaded.names)
    network = loaded.network.to(pick_device(device))
    return report_classifier(network, images, loaded.settings.input.size, ten_crop, log)


def _data_of(weights: Weights, data: AnyPath | None, settings_type: type = Settings) -> Any:
    """The data settings to evaluate on: of `data`, or those that the weights were trained on."""
    described = config.read_data(data, settings_type) if data else weights.settings.data
    if described is None:
        raise UserError(f"{weights.path}: does not say which data to evaluate it on", argument="data")
    return described


def _evaluation_folder(weights: AnyPath, out: AnyPath | None) -> AbstractContextManager[Path]:
    """The folder for an evaluation's files: `out`, the run's own, or a new one in `runs`."""
    if out:
        return nullcontext(made_folder(out))
    return nullcontext(Path(weights)) if os.path.isdir(weights) else new_folder("runs", "evaluate")


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
