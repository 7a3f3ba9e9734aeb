"""The training of a detector: one loop over optimizer steps that can stop at any of them and go on exactly."""

import math
import time
from pathlib import Path

import torch

from detect import config
from detect.data.coco import CocoDataset, has_split, split_paths
from detect.data.loader import training_batches
from detect.engine import checkpoint
from detect.engine.ema import ExponentialMovingAverage
from detect.engine.interrupt import Interrupted, interrupt_flag
from detect.engine.log import Pace, TrainingLog, note, save_picture_of
from detect.engine.memory import keep_freed_memory
from detect.engine.precision import autocast_dtype
from detect.engine.schedule import Schedule
from detect.errors import UserError
from detect.evaluation.coco import load_ground_truth
from detect.evaluation.evaluate import EVERYTHING, evaluate_dataset, match_categories
from detect.inference.predictor import Predictor
from detect.losses.yolo import YOLOLoss
from detect.models.detector import build_detector


class Trainer:
    """Trains the detector that `settings` describe and keeps everything in `folder`.

    The state after step n (weights, average, optimizer, random numbers, history) is a function of the settings and n
    alone, so a run that is stopped and resumed equals one that was not, bit for bit on the CPU.

    Args:
        settings: `Settings` with a data section.
        folder: the run's folder; it exists.
        device: torch device.
        state: a checkpoint's mapping to go on from, or None.

    Raises:
        UserError: the data cannot be used, weights do not fit, a loss is not finite, memory or disk is full.
    """

    def __init__(self, settings, folder, device="cpu", state=None):
        self.check(settings)
        train = settings.train
        self.settings, self.folder, self.device = settings, Path(folder), torch.device(device)
        self.train_set = CocoDataset.of_split(settings.data, "train")
        self.val_set = self.ground_truth = None
        if has_split(settings.data, "val"):
            self.val_set = CocoDataset.of_split(settings.data, "val")
            match_categories(self.train_set.categories, self.val_set.categories, self.val_set.annotations)
            self.ground_truth = load_ground_truth(self.val_set.annotations)
        for pictures in filter(None, (self.train_set, self.val_set)):
            pictures.check_files()
        self.schedule = Schedule(train, len(self.train_set))

        torch.manual_seed(train.seed)
        self.model = build_detector(vars(settings.model), len(self.train_set.categories))
        self.init_report = None
        if train.init and state is None:
            self.init_report = checkpoint.load_matching(self.model, self.train_set.categories, train.init)
        layout = torch.channels_last if train.channels_last else torch.contiguous_format
        self.model.to(self.device, memory_format=layout).train()
        for module in self.model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = train.norm_momentum
        self.ema = ExponentialMovingAverage(self.model, train.ema) if train.ema else None
        self.loss = YOLOLoss(self.model.head, **config.to_dict(settings.loss))
        self.optimizer = self._optimizer()
        self.precision = autocast_dtype(train.precision, self.device)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.precision is torch.float16)
        self.step, self.best_ap, self.history = 0, -1.0, []
        self.sums = {}  # terms summed over the steps since the last row of the history
        self.pace = Pace()
        if state is not None:
            self._restore(state)

    @staticmethod
    def check(settings):
        """Raise UserError unless `settings` say what to train on and how long, and the data is there."""
        if settings.data is None:
            raise UserError("data is missing; name a data folder, --set data=FOLDER")
        if settings.train.epochs is None and settings.train.steps is None:
            raise UserError("train.epochs or train.steps is missing; say how long to train")
        split_paths(settings.data, "train")

    def summary(self):
        """Lines that say what is going to be trained, on what and how."""
        train, schedule = self.settings.train, self.schedule
        parameters = sum(p.numel() for p in self.model.parameters())
        names = [part["name"] for part in vars(self.settings.model).values()]
        yield f"{' + '.join(names)}: {parameters / 1e6:.3f} M parameters, {self.settings.input.size} px"
        if self.init_report:
            yield f"starts from {self.init_report}"
        for name, pictures in (("train", self.train_set), ("val", self.val_set)):
            if pictures:
                counts = [len(picture.boxes) for picture in pictures.pictures]
                empty = counts.count(0)
                yield f"{name}: {len(pictures)} pictures ({empty} empty), {sum(counts)} boxes: {pictures.annotations}"
                yield from pictures.notes
        if not self.val_set:
            yield "not evaluated while training: the data has no split 'val'"
        yield (
            f"{schedule.total_steps} steps of {train.batch} pictures ({schedule.epoch(schedule.total_steps)} epochs), "
            f"lr {train.lr:g} {train.schedule}, {str(self.precision).split('.')[-1]} on {self.device}"
        )
        yield f"from step {self.step}, into {self.folder}"

    def note(self, line):
        """Add a line to the run's log.txt."""
        note(self.folder / "log.txt", line)

    # ---- the loop --------------------------------------------------------------------------------------------------

    def run(self, until=None, log=None):
        """Train up to optimizer step `until` (the end, if None). Returns the last row of the history, if any.

        Raises:
            Interrupted: Ctrl-C was pressed; the checkpoint is written.
        """
        until = min(until or self.schedule.total_steps, self.schedule.total_steps)
        log = log or TrainingLog(self.folder, self.schedule.total_steps, self.step)
        batches = training_batches(
            self.train_set, self.settings, self.schedule.total_steps, self.model.stride, self.step
        )
        saved = time.monotonic()
        keep_freed_memory()
        try:
            with interrupt_flag() as interrupted:
                if self.step == 0:
                    self.save()
                while self.step < until:
                    self._one_step(batches, log)
                    if self._evaluates_after(self.step):
                        self.save()  # an evaluation takes its time and may fail
                        self._end_of_period(log)
                        self.save()
                        saved = time.monotonic()
                    elif interrupted or time.monotonic() - saved > self.settings.train.save_minutes * 60:
                        self.save()
                        saved = time.monotonic()
                    if interrupted:
                        raise Interrupted
                if not self._evaluates_after(self.step):
                    self.save()
        except torch.OutOfMemoryError as error:
            raise UserError(self._out_of_memory()) from error
        finally:
            batches.close()
            log.close()
        return self.history[-1] if self.history else None

    def _one_step(self, batches, log):
        train = self.settings.train
        started, waiting, total, image_ids = time.monotonic(), 0.0, {}, []
        lr = self.schedule.lr(self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        for _ in range(train.accumulate):
            asked = time.monotonic()
            try:
                batch = next(batches)
            except UserError:
                if not total:
                    self.save()  # a picture that cannot be read costs no step
                raise
            image_ids += batch.image_ids
            waiting += time.monotonic() - asked
            if self.step == 0 and not total:
                save_picture_of(batch, self.folder / "train_batch.jpg", self.train_set.categories)
            terms = self._forward(batch)
            self.scaler.scale(sum(terms.values()) / train.accumulate).backward()
            values = dict(zip(terms, torch.stack(list(terms.values())).tolist(), strict=True))
            wrong = [name for name, value in values.items() if not math.isfinite(value)]
            if wrong:
                self._stop(
                    f"{', '.join(wrong)} loss", batch.image_ids, lr, [name for name in values if name not in wrong]
                )
            for name, value in values.items():
                total[name] = total.get(name, 0.0) + value / train.accumulate
        self.scaler.unscale_(self.optimizer)
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), train.clip_norm or math.inf)
        if not self.scaler.is_enabled() and not math.isfinite(norm):  # the scaler skips such a step itself
            self._stop("gradient", image_ids, lr)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        if self.ema:
            self.ema.update(self.model)
        self.step += 1

        seconds = time.monotonic() - started
        self.pace.add(train.batch, seconds, waiting)
        self.sums["steps"] = self.sums.get("steps", 0) + 1
        for name, value in total.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        epoch = self.schedule.epoch(self.step)
        log.step(self.step, epoch, total, lr, train.batch / seconds, waiting / seconds)

    def _forward(self, batch):
        layout = torch.channels_last if self.settings.train.channels_last else torch.contiguous_format
        images = batch.images.to(self.device).to(torch.float32, memory_format=layout) / 255
        boxes = [b.to(self.device) for b in batch.boxes]
        labels = [x.to(self.device) for x in batch.labels]
        amp = self.precision is not torch.float32
        with torch.autocast(self.device.type, self.precision if amp else torch.bfloat16, enabled=amp):
            raw = self.model(images)
        return self.loss([level.float() for level in raw], boxes, labels)

    def _stop(self, what, image_ids, lr, finite=()):
        others = f" (finite: {', '.join(finite)})" if finite else ""
        raise UserError(
            f"step {self.step + 1}: the {what} is not finite{others}; lr {lr:g}, image ids "
            f"{' '.join(map(str, image_ids))}; the last checkpoint in {self.folder} is good, if one was written; "
            "lowering train.lr or setting train.clip_norm usually helps"
        )

    # ---- judging and keeping ---------------------------------------------------------------------------------------

    def _evaluates_after(self, step):
        """Whether an evaluation is due after `step` steps."""
        every = self.settings.train.evaluate_every * self.schedule.steps_per_epoch
        return step == self.schedule.total_steps or int(step / every + 1e-9) > int((step - 1) / every + 1e-9)

    def _end_of_period(self, log):
        steps = self.sums.pop("steps")
        row = {
            "epoch": self.schedule.epoch(self.step),
            "step": self.step,
            "lr": self.schedule.lr(self.step - 1),
            **{name: value / steps for name, value in self.sums.items()},
            "images_per_second": round(self.pace.images_per_second, 2),
            "data_share": round(self.pace.data_share, 4),
        }
        self.sums, self.pace = {}, Pace()
        line = f"epoch {row['epoch']}  {row['images_per_second']} img/s, {row['data_share']:.0%} of it waiting for data"
        if self.val_set:
            metrics = self.evaluate().metrics
            row |= metrics
            line += f"  AP {metrics['AP']:.4f}  AP50 {metrics['AP50']:.4f}"
            if metrics["AP"] >= self.best_ap:  # of equals the longest trained
                self.best_ap = metrics["AP"]
                checkpoint.write_checkpoint(self.folder / "best.pt", self._weights(metrics))
                line += "  (best so far)"
        log.say(line)
        self.history.append(row)
        log.results(self.history)

    def evaluate(self):
        """`CocoReport` of the averaged weights on split val."""
        model = self.ema.model if self.ema else self.model
        names = tuple(category["name"] for category in self.train_set.categories)
        predictor = Predictor(
            model, names, self.settings.input.size,
            nms=self.settings.predict.nms_options(), device=self.device, **EVERYTHING,
        )  # fmt: skip
        return evaluate_dataset(predictor, self.val_set, self.train_set.categories, ground_truth=self.ground_truth)[0]

    def save(self):
        """Write last.pt."""
        state = self._weights() | {
            "model": self.model.state_dict(),
            "ema": self.ema.state_dict() if self.ema else None,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "step": self.step,
            "best_ap": self.best_ap,
            "history": self.history,
            "sums": self.sums,
            "random": {"cpu": torch.get_rng_state(), "cuda": self._cuda_random()},
        }
        checkpoint.write_checkpoint(self.folder / "last.pt", state)

    def _weights(self, metrics=None):
        model = self.ema.model if self.ema else self.model
        return {
            "config": config.to_dict(self.settings),
            "categories": self.train_set.categories,
            "model": model.state_dict(),
            "metrics": metrics,
        }

    def _cuda_random(self):
        return torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None

    def _restore(self, state):
        if state["categories"] != self.train_set.categories:
            raise UserError(f"{self.train_set.annotations}: has other classes than the run; resume on the same data")
        try:
            self.model.load_state_dict(state["model"])
            if self.ema:
                self.ema.load_state_dict(state["ema"])
            self.optimizer.load_state_dict(state["optimizer"])
            if self.scaler.is_enabled() and state["scaler"]:
                self.scaler.load_state_dict(state["scaler"])
            self.step, self.best_ap = state["step"], state["best_ap"]
            self.history, self.sums = state["history"], state["sums"]
            torch.set_rng_state(state["random"]["cpu"])
            if self.device.type == "cuda" and state["random"]["cuda"] is not None:
                torch.cuda.set_rng_state(state["random"]["cuda"], self.device)
        except (LookupError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            raise UserError(f"{self.folder}: its checkpoint does not fit this model or is damaged") from error

    # ---- parts -----------------------------------------------------------------------------------------------------

    def _optimizer(self):
        """SGD; weight decay on convolutions' weights only, as in Darknet."""
        train = self.settings.train
        decayed = [p for p in self.model.parameters() if p.ndim > 1]
        others = [p for p in self.model.parameters() if p.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": train.weight_decay}, {"params": others, "weight_decay": 0.0}]
        return torch.optim.SGD(groups, lr=train.lr, momentum=train.momentum, nesterov=train.nesterov)

    def _out_of_memory(self):
        train, sizes = self.settings.train, self.settings.input.train_sizes
        largest = sizes[1] if sizes else self.settings.input.size
        part = train.batch // train.accumulate
        return (
            f"step {self.step + 1}: out of memory with {part} pictures of up to {largest} px at a time; "
            f"try --set train.accumulate={train.accumulate * 2}, or a smaller train.batch or input.train_sizes"
        )
