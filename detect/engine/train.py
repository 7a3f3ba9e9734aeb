"""The training of a model: one loop over optimizer steps that can stop at any of them and go on exactly."""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

import torch

from detect import config
from detect.config.check import error_at, located
from detect.data.loading.loader import loader_failure
from detect.data.loading.shared_memory import check_shared_memory
from detect.engine.album import Album
from detect.engine.distributed import ALONE, World
from detect.engine.dry_run import DryRun
from detect.engine.history import evaluations_since_best, is_best
from detect.engine.learner import Learner, NotFinite
from detect.engine.loader_watch import LoaderWatch
from detect.engine.log import Pace, Silence, TrainingLog, note
from detect.engine.memory import is_out_of_memory, keep_freed_memory
from detect.engine.schedule import Schedule
from detect.engine.state import NO_TERMS, StateError, TrainingState
from detect.engine.task import Evaluated, Task
from detect.errors import UserError
from detect.interrupt import Interrupted, heard, held
from detect.report.events import Events
from detect.report.progress import results_figure
from detect.weights.checkpoint import write_checkpoint

BATCHES_SHOWN = 3
OF_A_MACHINE = ("init", "teacher", "workers")  # settings of train that machines of one training may have of their own
CLIPPED_OFTEN = 0.5  # share of the steps from which on it is said


class _NoBatch(Exception):
    """A batch did not come, for a `reason`: an image cannot be read, the loader failed, or a signal came."""

    def __init__(self, reason: UserError | KeyboardInterrupt) -> None:
        self.reason = reason


class Trainer:
    """Trains the model of a `Task` and keeps everything in `folder`.

    The state after step n (weights, average, optimizer, history) is a function of the settings, n and the number of
    processes alone, so a run that is stopped and resumed equals one that was not, bit for bit on the CPU.

    Args:
        task: `DetectionTask` or `ClassificationTask`.
        folder: the run's folder; it exists.
        device: torch device.
        state: a checkpoint's mapping to go on from, or None.
        world: the processes that train together; the first alone shows and writes what there is.

    Raises:
        UserError: TensorBoard is asked for and not installed, weights do not fit, an image cannot be read, a loss is
            not finite, memory or disk is full.
    """

    def __init__(
        self,
        task: Task,
        folder: str | PathLike[str],
        device: str | torch.device = "cpu",
        state: Mapping[str, Any] | None = None,
        world: World = ALONE,
    ) -> None:
        self.task, self.settings, self.world = task, task.settings, world
        train, origins = self.settings.train, self.settings.origins
        self.folder, self.device = Path(folder), torch.device(device)
        self.learner = Learner(task, self.device, state is None, world)
        self.network = self.learner.network
        self.dry_run = DryRun(task, self.network, self.learner.losses, self.device, world)
        if train.batch == "auto":
            with located(origins, "train.batch"):
                train.batch = self.dry_run.fitting_batch()
            check_shared_memory(self.settings)
        if train.batch // train.accumulate < world.size:
            raise error_at(
                origins, "train.batch", f"train.batch: {world.size} processes need a part of it each, of at least one "
                f"image; set train.batch={world.size * train.accumulate} or more"
            )  # fmt: skip
        self.schedule = Schedule(train, len(task.train_set))
        self.learner.keep_average(self.schedule)
        if train.patience and not task.val_set:
            raise error_at(origins, "train.patience", "train.patience: the data has no split 'val' to evaluate on")
        self.step, self.history = 0, []
        self.sums = {}  # over the steps since the last row of the history: the terms, and NO_TERMS
        self.saved, self.saved_at = 0, time.monotonic()  # the step that last.pt was written after, and when
        self.is_due = False  # whether the evaluation after this step is still to be made
        self.pace = Pace()
        self.loader_watch = LoaderWatch(self.settings)
        if state is not None:
            self._restore(state)
        if world.size > 1:
            self._check_alike()
        self.events = Events(self.folder, self.step) if train.tensorboard and world.is_first else None

    def _check_alike(self) -> None:
        """Raises UserError: this process starts from another step, or with other data or settings, than the first."""
        settings = config.to_dict(self.settings)
        train = {name: value for name, value in settings["train"].items() if name not in OF_A_MACHINE}
        learned = [settings[section] for section in ("input", "augment", "loss") if section in settings]
        ours = {"last.pt": self.step, "data": self.task.fingerprints, "settings": [train, *learned]}
        first = self.world.shared(ours)
        if different := [name for name, value in ours.items() if value != first[name]]:
            raise UserError(
                f"process {self.world.shard.rank} has {' and '.join(f'other {name}' for name in different)} than the "
                "first; give all machines the same files and options"
            )

    def summary(self) -> Iterator[str]:
        """Lines that say what is going to be trained, on what and how."""
        train, schedule = self.settings.train, self.schedule
        parameters = sum(p.numel() for p in self.network.parameters())
        yield f"{config.title(self.settings)}: {parameters / 1e6:.3f} M parameters, {self.settings.input.size} px"
        if train.freeze:
            trained = sum(p.numel() for p in self.network.parameters() if p.requires_grad)
            yield f"trains {trained / 1e6:.3f} M of them; frozen: {', '.join(train.freeze)}"
        if self.learner.init_report:
            yield f"starts from {self.learner.init_report}"
        yield from self.task.describe()
        if not self.task.val_set:
            yield "not evaluated while training: the data has no split 'val' (`detect split` makes one)"
        yield (
            f"{schedule.total_steps} steps of {train.batch} images ({schedule.epochs_text()}), "
            f"lr {train.lr:g} {train.schedule}, {self.learner.precision_name} on {self.device}"
        )
        if self.world.size > 1:
            yield f"{self.world.size} processes, each with its part of every batch"
        yield f"from step {self.step}, into {self.folder}"

    def note(self, line: str) -> None:
        """Add a line to the run's log.txt."""
        if self.world.is_first:
            note(self.folder / "log.txt", line)

    # ---- the loop --------------------------------------------------------------------------------------------------

    def run(self, until: int | None = None, log: Any = None) -> dict[str, Any] | None:
        """Train up to optimizer step `until` (the end, if None). Returns the last row of the history, if any.

        Raises:
            Interrupted: Ctrl-C, SIGTERM or SIGHUP; the checkpoint is written.
        """
        until = min(until or self.schedule.total_steps, self.schedule.total_steps)
        keep_freed_memory()
        if self.step == 0:
            if self.learner.precision is not torch.float32:
                self.note(self.dry_run.compare_precision(self.learner.precision_name))
            self.dry_run.run(self.learner.scaler)
        if not self.world.is_first:
            log = Silence()
        log = log or TrainingLog(self.folder, self.schedule.total_steps, self.step, self.events)
        self.album: Any = Album(self.folder, log.say) if self.world.is_first else Silence()
        batches = self.task.batches(self.schedule.total_steps, self.network.stride, self.step, self.world.shard)
        try:
            with held() as stops, self.world.watched():
                self._go_on(until, batches, log, stops)
                stops.clear()  # nothing is left to stop
        except (RuntimeError, MemoryError, UserError) as error:  # UserError: a file that could not be written, say
            if is_out_of_memory(error):
                raise self.dry_run.out_of_memory(f"step {self.step + 1}") from error
            if failure := loader_failure(error):
                raise failure from error
            raise
        finally:
            batches.close()
            log.close()
        return self.history[-1] if self.history else None

    def _go_on(self, until: int, batches: Iterator[Any], log: Any, stops: Sequence[int]) -> None:
        """What is due before the next step, and the steps up to `until`; see `run`."""
        try:
            if self.step == 0:
                self.save()
                for name, draw in self.task.drawings().items():
                    self.album.add(name, draw)
            if self.is_due:
                self._end_of_period(log)
            self._steps(until, batches, log, stops)
        except RuntimeError as error:
            if self.world.is_lost(error):
                self._left_alone()
            raise

    def _steps(self, until: int, batches: Iterator[Any], log: Any, stops: Sequence[int]) -> None:
        """Steps up to `until`, each with the evaluation or the checkpoint that is due after it; see `run`."""
        while self.step < until and not self.stopped_early:
            self._one_step(batches, log)
            if self._evaluates_after(self.step):
                self.is_due = True
                self.save()  # an evaluation takes its time and may fail
                self._end_of_period(log)
            stop = self.world.stop(stops[0] if stops else 0)
            is_late = time.monotonic() - self.saved_at > self.settings.train.save_minutes * 60
            if (stop or is_late) and self.saved < self.step:
                self.save()
            if stop and self.step < until and not self.stopped_early:
                raise Interrupted(self.step, self.folder, stop)
        if self.saved < self.step:
            self.save()

    def _left_alone(self) -> None:
        """Write the last whole step now that another process is gone, unless one that is still there does.

        Raises:
            Interrupted: a signal stopped the other.
        """
        self.world.stop_watching()
        is_there = (self.folder / "last.pt").exists()  # not on the disk of another machine than the first process's
        if self.world.ending.takes_over() and is_there:
            self._write_state()
        if (end := self.world.ending.told()) and end.number:
            raise Interrupted(self.step, self.folder, end.number) from None

    def _one_step(self, batches: Iterator[Any], log: Any) -> None:
        train, started, self.waiting = self.settings.train, time.monotonic(), 0.0
        lr = self.schedule.lr(self.step)
        try:
            terms = self.learner.step(self.step + 1, lr, self._parts(batches))
        except _NoBatch as none:  # last.pt is written, so that no step is lost
            self.save()
            if isinstance(none.reason, KeyboardInterrupt):
                raise Interrupted(self.saved, self.folder, *none.reason.args) from None
            raise none.reason from None
        except NotFinite as error:
            raise UserError(
                f"step {self.step + 1}: the {error}; lr {lr:g}, image ids {' '.join(map(str, error.image_ids))}; the "
                f"last checkpoint in {self.folder} is good, if one was written; lowering train.lr or setting "
                "train.clip_norm usually helps"
            ) from None
        self.step += 1

        seconds = time.monotonic() - started
        self.pace.add(train.batch, seconds, self.waiting)
        if line := self.loader_watch.add(train.batch, seconds, self.waiting):
            log.say(line)
        norm = self.learner.gradient_norm
        sums = {"steps": 1, "gradient_norm": norm, "clipped": norm > (train.clip_norm or math.inf), **terms}
        self.sums = {name: self.sums.get(name, 0.0) + value for name, value in sums.items()}
        epoch = self.schedule.epoch(self.step)
        log.step(self.step, epoch, terms, lr, train.batch / seconds, self.waiting / seconds)

    def _parts(self, batches: Iterator[Any]) -> Iterator[Any]:
        """The parts of the next step's batch.  Raises _NoBatch."""
        for number in range(self.settings.train.accumulate):
            asked = time.monotonic()
            try:
                with heard() if self.world.size == 1 else nullcontext():  # several processes stop together
                    batch = next(batches)
            except (UserError, KeyboardInterrupt) as error:
                raise _NoBatch(error) from None
            self.waiting += time.monotonic() - asked
            if self.step < BATCHES_SHOWN and number == 0:
                self.album.add(f"train_batch{self.step}.jpg", partial(self.task.draw_batch, batch))
            yield batch

    # ---- evaluating and keeping -----------------------------------------------------------------------------------

    def _evaluates_after(self, step: int) -> bool:
        """Whether an evaluation is due after `step` steps."""
        every = self.settings.train.evaluate_every * self.schedule.steps_per_epoch
        return step == self.schedule.total_steps or int(step / every + 1e-9) > int((step - 1) / every + 1e-9)

    def _end_of_period(self, log: Any) -> None:
        row = {
            "epoch": self.schedule.epoch(self.step),
            "step": self.step,
            "lr": self.schedule.lr(self.step - 1),
            **{name: value / self.sums["steps"] for name, value in self.sums.items() if name != "steps"},
            "images_per_second": round(self.pace.images_per_second, 2),
            "data_share": round(self.pace.data_share, 4),
        }
        evaluated = self.evaluate() if self.task.val_set else None
        row = self.world.shared(row | (evaluated.metrics if evaluated else {}))
        line = f"epoch {row['epoch']}  {row['images_per_second']} img/s, {row['data_share']:.0%} of it waiting for data"
        clip_norm = self.settings.train.clip_norm
        if row["clipped"] > CLIPPED_OFTEN and clip_norm:
            line += f", {row['clipped']:.0%} of the gradients cut to {clip_norm:g}"
        if self.task.val_set:
            line += "".join(f"  {name} {row[name]:.4f}" for name in self.task.shown)
            if is_best(row[self.task.leading], self.history, self.task.leading):
                line += "  (best so far)"
                if evaluated:
                    write_checkpoint(self.folder / "best.pt", self._weights(evaluated))
        for name, draw in (evaluated.drawings if evaluated else {}).items():
            self.album.add(name, draw)
        log.say(line)
        self.history.append(row)
        terms = [name for name in self.sums if name not in NO_TERMS]
        self.sums, self.pace, self.is_due = {}, Pace(), False
        if self.stopped_early:
            log.say(f"stops after step {self.step}: no better {self.task.leading} in {self._waited()} evaluations")
        log.results(self.history)
        self.album.add("results.png", partial(results_figure, self.history, terms, self.task.shown))
        self.save()

    def _waited(self) -> int:
        return evaluations_since_best(self.history, self.task.leading)

    @property
    def stopped_early(self) -> bool:
        """Whether `train.patience` is over."""
        patience = self.settings.train.patience
        return patience is not None and self._waited() >= patience and not self.is_due

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to do."""
        return (self.step >= self.schedule.total_steps or self.stopped_early) and not self.is_due

    def evaluate(self) -> Evaluated | None:
        """The averaged weights on split val: each process looks at its part, and the first knows what comes of it."""
        found = self.task.found(self.learner.averaged, self.device, self.world.shard)
        parts = self.world.gathered(found)
        return self.task.evaluated(parts) if parts else None

    def save(self) -> None:
        """Write last.pt, in the first process."""
        if self.world.is_first:
            self._write_state()
        self.saved, self.saved_at = self.step, time.monotonic()

    def _write_state(self) -> None:
        state = TrainingState(
            step=self.step,
            **self.learner.state(),
            history=self.history,
            sums=self.sums,
            is_due=self.is_due,
            data=self.task.fingerprints,
        )
        write_checkpoint(self.folder / "last.pt", self._weights() | state.to_dict())

    def _weights(self, evaluated: Evaluated | None = None) -> dict[str, Any]:
        thresholds = evaluated.thresholds if evaluated else None
        return {
            "config": config.to_dict(self.settings),
            "categories": self.task.categories,
            "model": self.learner.averaged.state_dict(),
            "metrics": evaluated.metrics if evaluated else None,
            "thresholds": thresholds.to_dict() if thresholds else None,
        }

    def _restore(self, values: Mapping[str, Any]) -> None:
        source = self.folder / "last.pt"
        if values.get("categories") != self.task.categories:
            raise UserError(f"{self.task.source}: has other classes than the run; resume on the same data")
        try:
            state = self.learner.restore(values)
        except StateError as error:
            raise UserError(f"{source}: {error}; its weights may still be a start: train.init={source}") from error
        self.task.compare(state.data)
        self.step, self.history, self.sums, self.is_due = state.step, state.history, state.sums, state.is_due
        self.saved = self.step
