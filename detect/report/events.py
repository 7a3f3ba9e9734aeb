"""TensorBoard's event files of a run (extra `log`)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detect.errors import UserError
from detect.extras import not_installed

EVERY = 10  # steps between two values of the loss


class Events:
    """Writes a run's numbers for TensorBoard into `folder`: `tensorboard --logdir runs` shows all runs.

    Args:
        folder: the run's folder.
        start: steps that were done before; what an earlier process wrote of later ones is hidden.

    Raises:
        UserError: TensorBoard is not installed.
    """

    def __init__(self, folder: Path, start: int) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            reason = not_installed(error) or error
            raise UserError(f"train.tensorboard: {reason}; or leave it off") from error
        self._writer = SummaryWriter(str(folder), purge_step=start + 1)

    def step(self, step: int, terms: Mapping[str, float], lr: float) -> None:
        """The loss terms and the learning rate of every tenth step."""
        if step % EVERY == 0:
            self._write("loss", terms, step)
            self._writer.add_scalar("lr", lr, step)

    def evaluated(self, row: Mapping[str, Any]) -> None:
        """A row of results.csv."""
        self._write("results", {name: value for name, value in row.items() if name != "step"}, row["step"])
        self._writer.flush()

    def close(self) -> None:
        """Write what has not been written yet."""
        self._writer.close()

    def _write(self, group: str, values: Mapping[str, Any], step: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(f"{group}/{name}", value, step)
