"""Detectors and classifiers built and trained: `build`, `train`."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from os import fspath
from pathlib import Path
from typing import Any

from torch import nn

from detect import config
from detect.api.load import AnyPath
from detect.api.resume import stopped_run
from detect.api.say import Say, quiet
from detect.config.build import build_model, build_network
from detect.config.schema import ClassifierSettings, Settings
from detect.engine.classification import ClassificationTask
from detect.engine.detection import DetectionTask
from detect.engine.distributed import ALONE, World, joined
from detect.engine.lock import only_here
from detect.engine.task import Task
from detect.engine.train import Trainer
from detect.errors import UserError
from detect.files import new_folder, write_text
from detect.inference.torch_runtime import pick_device, use_threads
from detect.weights.checkpoint import read_checkpoint
from detect.weights.files import Weights


def build(source: AnyPath | dict[str, Any], num_classes: int = 80) -> nn.Module:
    """An untrained detector from a configuration file, or from a mapping with `backbone`, `neck` and `head`.

    A .cfg gives a `DarknetNetwork`, whose classes it says itself; everything else a `Detector`.

    Raises:
        UserError: the configuration is wrong.
    """
    if not isinstance(source, dict):
        return build_model(config.load(source, needs_data=False, training=False), num_classes)
    for part in ("backbone", "neck", "head"):
        if not isinstance(source.get(part), dict) or "name" not in source[part]:
            raise UserError(f"the model has no {part}; describe it like {{'name': ...}}")
    return build_network(config.from_dict({"model": source}, source="the model"), num_classes)


def train(
    configuration: AnyPath | None = None,
    *,
    resume: AnyPath | None = None,
    out: AnyPath | None = None,
    device: str | None = None,
    threads: int | None = None,
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
        threads: how many compute; all cores that the process may use by default.
        log: called with each line of the summary.
        overrides: sections or values that replace the file's, as above or as `**{"train.lr": 0.005}`.

    Returns:
        {"run": the run's folder, "steps": number done, "metrics": the last row of results.csv, if any}

    Raises:
        UserError: the configuration or the data is wrong, or memory or disk is full.
        Interrupted: Ctrl-C, SIGTERM or SIGHUP; the checkpoint is written.
    """
    if resume and out:
        raise UserError("out is for new runs; a resumed one goes on in its own folder", argument="out")
    with joined() as world:
        settings, stopped = training_settings(configuration, resume, as_overrides(overrides), settings_type=None)
        log = log if world.is_first else quiet
        return train_settings(settings, configuration, stopped, out, device, threads, log, world)


def training_settings(
    configuration: AnyPath | None, resume: AnyPath | None, overrides: list[str], needs_data: bool = True, **options: Any
) -> tuple[Any, Weights | None]:
    """(settings, `Weights` of the run to go on with or None); `options` as of `config.load`.  Raises UserError."""
    if configuration and not resume:
        return config.load(configuration, overrides, needs_data, **options), None
    if configuration or not resume:
        raise UserError("give either a configuration file or a run to resume")
    stopped = stopped_run(resume, overrides, **options)
    return stopped.settings, stopped


def train_settings(
    settings: Settings | ClassifierSettings,
    configuration: AnyPath | None = None,
    stopped: Weights | None = None,
    out: AnyPath | None = None,
    device: str | None = None,
    threads: int | None = None,
    log: Say = quiet,
    world: World = ALONE,
) -> dict[str, Any]:
    """`train` with settings that are read already: a run named after `configuration`, or the one that `stopped`."""
    on = pick_device(world.device_name(device))
    use_threads(world.threads(threads))
    if world.local.size > 1 and isinstance(settings, Settings) and settings.data and settings.data.cache == "ram":
        raise UserError("data.cache: ram would be kept by each process for itself; take disk, which they share")
    task: Task = ClassificationTask(settings) if isinstance(settings, ClassifierSettings) else DetectionTask(settings)
    name = Path(configuration or "run").stem
    with run_folder(stopped, out, name, world) as folder:
        trainer = Trainer(task, folder, on, stopped.training if stopped else None, world)
        if stopped and world.is_first and read_checkpoint(stopped.path).get("step") != trainer.step:
            raise UserError(f"{folder}: another training went on with the run meanwhile; resume it again")
        if trainer.is_finished:
            length = "patience" if trainer.stopped_early else "epochs" if settings.train.epochs else "steps"
            raise UserError(f"{folder} is finished after {trainer.step} steps; to go on, set a greater train.{length}")
        if world.is_first:
            write_text(folder / "config.yaml", config.dump(settings))
        for line in (*settings.notes, *trainer.summary()):
            log(line)
            trainer.note(line)
        metrics = trainer.run()
    return {"run": str(folder), "steps": trainer.step, "metrics": metrics}


@contextmanager
def run_folder(stopped: Weights | None, out: AnyPath | None, name: str, world: World) -> Iterator[Path]:
    """The folder of the run `stopped`, or a new one in `out`, kept by the first process for this training.

    Raises:
        UserError: another training is there, or it cannot be written.
    """
    if not world.is_first:
        yield Path(world.shared(None))
        return
    with nullcontext(stopped.path.parent) if stopped else new_folder(out or "runs", name) as folder, only_here(folder):
        yield Path(world.shared(folder))


def as_overrides(values: dict[str, Any]) -> list[str]:
    """{"train": {"lr": 0.1}} or {"train.lr": 0.1} -> overrides as `config.load` takes them."""
    return [f"{name}={json.dumps(value, default=fspath, ensure_ascii=False)}" for name, value in values.items()]
