"""What a training changes, and how one optimizer step changes it."""

import math
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from detect.config.check import located
from detect.engine.average import WeightAverage
from detect.engine.distributed import ALONE, World
from detect.engine.freeze import freeze
from detect.engine.optimizer import make_optimizer, moments, set_lr, set_moments
from detect.engine.precision import autocast_dtype
from detect.engine.schedule import Schedule
from detect.engine.state import TrainingState
from detect.engine.sync_norms import synchronise
from detect.engine.task import Task
from detect.models.detector import as_input
from detect.weights.start import load_matching

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


class NotFinite(ValueError):
    """A loss or a gradient is not finite; the text says which, to follow "the ".

    Attributes:
        image_ids: of the images that it comes from.
    """

    def __init__(self, what: str, image_ids: list[Any]) -> None:
        super().__init__(what)
        self.image_ids = image_ids


class Learner:
    """The network of a `Task` with its optimizer and the average of its weights.

    Attributes:
        network: what is trained.
        average: `WeightAverage` of it; None where there is none.
        gradient_norm: of the last step, before it was cut to `train.clip_norm`; 0 where 16 bits were too few for it.
        init_report: what was taken from `train.init`, in words.

    Args:
        task: `DetectionTask` or `ClassificationTask`.
        device: torch device.
        is_new: whether the training begins, from `train.init` if it is given.
        world: the processes that train together. After each step all hold the same state.

    Raises:
        UserError: weights to start from do not fit, or a setting names no part of the network.
    """

    def __init__(self, task: Task, device: torch.device, is_new: bool, world: World = ALONE) -> None:
        self.task, self.device, self.world = task, device, world
        self.train = train = task.settings.train
        origins = task.settings.origins
        torch.manual_seed(train.seed)
        self.network: Any = task.build()
        self.init_report = None
        if train.init and is_new:
            with located(origins, "train.init"):
                self.init_report = load_matching(self.network, task.categories, train.init)
        self.layout = torch.channels_last if train.channels_last else torch.contiguous_format
        self.network.to(device, memory_format=self.layout).train()
        for module in self.network.modules():
            if isinstance(module, NORMS):
                module.momentum = train.norm_momentum
        with located(origins, "train.freeze"):
            freeze(self.network, train.freeze)
        with located(origins, "train.lr_scale"):
            self.optimizer = make_optimizer(self.network, train)
        with located(origins, "train.precision"):
            self.precision = autocast_dtype(train.precision, device)
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.precision is torch.float16)
        self.average: WeightAverage | None = None
        self.gradient_norm = 0.0
        if train.sync_norms:
            synchronise(self.network)
        self.parallel = world.parallel(self.network)
        self.buffers = list(self.network.buffers())
        self._before = [buffer.clone() for buffer in self.buffers]  # what they were before the step

    def keep_average(self, schedule: Schedule) -> None:
        """Average the weights from now on, if the settings say so."""
        if self.train.ema or self.train.average_last:
            last = round(schedule.total_steps * self.train.average_last)
            self.average = WeightAverage(self.network, self.train.ema, schedule.total_steps - last)

    @property
    def averaged(self) -> Any:
        """The network that is evaluated and handed on."""
        return self.average.average if self.average else self.network

    @property
    def precision_name(self) -> str:
        """PyTorch's: "float32", "bfloat16" or "float16"."""
        return str(self.precision).removeprefix("torch.")

    def losses(self, batch: Any, exactly: bool = False, network: nn.Module | None = None) -> dict[str, Tensor]:
        """Named terms of the loss of a batch; `exactly`: in 32 bits, whatever the training's precision."""
        images = as_input(batch.images.to(self.device), self.layout)
        amp = self.precision is not torch.float32 and not exactly
        with torch.autocast(self.device.type, self.precision if amp else torch.bfloat16, enabled=amp):
            outputs = (network or self.network)(images)
            teacher_outputs = self.task.teacher_outputs(images)
        return self.task.loss(outputs, batch, teacher_outputs)

    def step(self, number: int, lr: float, parts: Iterable[Any]) -> dict[str, float]:
        """Do optimizer step `number`, from 1, on the parts of its batch.  Returns the terms of the loss.

        What needs the other processes comes first and changes gradients and running statistics alone, which an
        exception takes back; so the state is that after a whole step, whatever happens to whom.

        Raises:
            NotFinite: a term or the gradient is not finite, in all processes alike; the step is not done.
        """
        set_lr(self.optimizer, lr)
        torch.manual_seed(_seed(self.train.seed, number, self.world.shard.rank))  # of what layers draw, as dropout
        _copy(self._before, self.buffers)
        try:
            terms, image_ids = self._gradients(parts)
            self.world.average(self._statistics())
        except BaseException:
            self.undo()
            raise
        self.scaler.unscale_(self.optimizer)
        clip_norm = self.train.clip_norm or math.inf
        norm = float(torch.nn.utils.clip_grad_norm_(self.network.parameters(), clip_norm))
        self.gradient_norm = norm if math.isfinite(norm) else 0.0
        if not self.scaler.is_enabled() and not math.isfinite(norm):  # the scaler skips such a step itself
            raise NotFinite("gradient is not finite", image_ids)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        if self.average:
            self.average.update(self.network, number)
        return terms

    def _gradients(self, parts: Iterable[Any]) -> tuple[dict[str, float], list[Any]]:
        """Add up the gradients of all parts.  Returns the terms of the loss, and the ids of the images."""
        count, images = self.train.accumulate, self.train.batch // self.train.accumulate
        sums: dict[str, Tensor] = {}
        image_ids: list[Any] = []
        for number, batch in enumerate(parts, start=1):
            image_ids += batch.image_ids
            # of the processes' gradients the mean is taken, however many images each has
            share = len(batch.images) * self.world.size / images / count
            is_last = number == count
            with nullcontext() if is_last or self.world.size == 1 else self.parallel.no_sync():
                terms = {name: term * share for name, term in self.losses(batch, network=self.parallel).items()}
                self.scaler.scale(sum(terms.values())).backward()
            for name, term in terms.items():
                sums[name] = sums[name] + term.detach() if name in sums else term.detach()
        values = [value / self.world.size for value in torch.stack(list(sums.values())).tolist()]
        total = dict(zip(sums, self.world.total(values), strict=True))
        if wrong := [name for name, value in total.items() if not math.isfinite(value)]:
            finite = [name for name in total if name not in wrong]
            others = f" (finite: {', '.join(finite)})" if finite else ""
            found = self.world.gathered([] if all(map(math.isfinite, values)) else image_ids)
            raise NotFinite(f"{', '.join(wrong)} loss is not finite{others}", [i for ids in found for i in ids])
        return total, image_ids

    def _statistics(self) -> list[Tensor]:
        """What the norms that are trained have measured of this process's images alone."""
        norms = [module for module in self.network.modules() if type(module) in NORMS and module.training]
        return [statistic for norm in norms for statistic in (norm.running_mean, norm.running_var)]

    def undo(self) -> None:
        """Forget the step that was begun, as long as only gradients and running statistics have changed in it."""
        self.optimizer.zero_grad(set_to_none=True)
        _copy(self.buffers, self._before)

    def state(self) -> dict[str, Any]:
        """Its part of a `TrainingState`."""
        return {
            "model": self.network.state_dict(),
            "ema": self.average.state_dict() if self.average else None,
            "moments": moments(self.optimizer, self.network),
            "scaler": self.scaler.state_dict(),
        }

    def restore(self, values: Mapping[str, Any]) -> TrainingState:
        """Go on from the `TrainingState` in a checkpoint's mapping.  Raises StateError."""
        state = TrainingState.of(values, self.network, self.train.optimizer, bool(self.average))
        self.network.load_state_dict(state.model)
        if self.average and state.ema:
            self.average.load_state_dict(state.ema)
        set_moments(self.optimizer, self.network, state.moments)
        if self.scaler.is_enabled() and state.scaler.keys() == self.scaler.state_dict().keys():
            self.scaler.load_state_dict(state.scaler)
        return state


def _seed(*numbers: int) -> int:
    """A seed for PyTorch's generators that hangs on all of `numbers`, 64 bits."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0])


@torch.no_grad()
def _copy(targets: list[Tensor], sources: list[Tensor]) -> None:
    """Copy tensors into others of their shapes."""
    if targets:
        torch._foreach_copy_(targets, sources)
