"""The learning rate, and the length of a training in steps."""

import math

from detect.config.schema import TrainSettings


class Schedule:
    """Learning rate by optimizer step: Darknet's burn-in, then steps, a cosine or Darknet's polynomial.

    `train.burn_in` and `train.milestones` count in the unit of the training's length, epochs or steps.

    Args:
        train: how long and how fast to train.
        images: number of images in the training set.
    """

    def __init__(self, train: TrainSettings, images: int) -> None:
        self.train = train
        self.steps_per_epoch = images / train.batch
        unit = self.steps_per_epoch if train.epochs is not None else 1
        self.total_steps = max(math.ceil((train.epochs or train.steps) * unit - 1e-9), 1)
        self.burn_in = train.burn_in * unit
        self.milestones = [milestone * unit for milestone in train.milestones]

    def epoch(self, step: int) -> int:
        """Number of whole passes over the images after `step` steps."""
        return int(step / self.steps_per_epoch + 1e-9)

    def epochs_text(self) -> str:
        """The length of the training in epochs, in two digits where there are few: "0.27 epochs", "1 epoch"."""
        epochs = self.total_steps / self.steps_per_epoch
        text = f"{epochs:.2g}" if epochs < 9.95 else f"{epochs:.0f}"
        return f"{text} epoch" + ("" if text == "1" else "s")

    def lr(self, step: int) -> float:
        """Learning rate of optimizer step `step` (from 0)."""
        train = self.train
        if step < self.burn_in:
            return train.lr * ((step + 1) / self.burn_in) ** 4 if step + 1 < self.burn_in else train.lr
        if train.schedule == "step":
            return train.lr * 0.1 ** sum(step >= milestone for milestone in self.milestones)
        if train.schedule == "poly":  # as in Darknet, progress counts from the first step, burn-in included
            return train.lr * (1 - step / self.total_steps) ** train.power
        progress = (step - self.burn_in) / max(self.total_steps - self.burn_in, 1)
        return train.lr * (train.final_lr + (1 - train.final_lr) * (1 + math.cos(math.pi * progress)) / 2)
