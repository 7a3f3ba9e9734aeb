"""What a run goes on from, its types and shapes checked before anything of it is used."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from detect.engine.optimizer import KEPT, are_moments, trained
from detect.weights.fit import misfit

Row = dict[str, float]
NO_TERMS = ("steps", "gradient_norm", "clipped")  # in the sums, beside the terms of the loss


class StateError(ValueError):
    """A checkpoint is none to go on from; the text says why, to follow the file's name."""


@dataclass(frozen=True)
class TrainingState:
    """A training after `step` steps.

    model: tensors of the network.  ema: "model", those of its moving average, and the number of "updates"; None where
    there is none.  moments: what the optimizer keeps of each trained parameter, by name.  scaler: of the gradients in
    16 bits.  history: a row for each evaluation.  sums: over the steps since the last, the terms of the loss and
    `NO_TERMS`.  is_due: the evaluation after this step has not been made yet.  data: by split, what the run knows its
    data by.
    """

    step: int
    model: dict[str, Tensor]
    ema: dict[str, Any] | None
    moments: list[dict[str, Tensor]]
    scaler: dict[str, float]
    history: list[Row]
    sums: Row
    is_due: bool
    data: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """As a checkpoint keeps it, beside the configuration and the classes."""
        return dict(vars(self))

    @classmethod
    def of(cls, values: Mapping[str, Any], network: nn.Module, optimizer: str, has_average: bool) -> "TrainingState":
        """The state in a checkpoint's mapping.

        Args:
            network: what is trained.
            optimizer: its name, of `KEPT`.
            has_average: whether a moving average is kept.

        Raises:
            StateError: it holds another state than a training of this network writes.
        """
        absent = [name for name in cls.__dataclass_fields__ if name not in values]
        if absent:
            raise StateError(f"has no '{absent[0]}'; only a run's last.pt can be gone on from")
        state = cls(**{name: values[name] for name in cls.__dataclass_fields__})
        ema = state.ema if isinstance(state.ema, dict) else {}
        for tensors in [state.model, *([ema.get("model")] if has_average else [])]:
            if problem := misfit(tensors, network):
                raise StateError(f"does not fit the model: {problem}")
        parameters = trained(network)
        others = [name for name in KEPT if name != optimizer]
        if any(are_moments(state.moments, parameters, name) and any(state.moments) for name in others):
            raise StateError(f"was written with another train.optimizer than {optimizer}")
        checks = {
            "step": _is_count(state.step),
            "ema": not has_average or _is_count(ema.get("updates")),
            "moments": are_moments(state.moments, parameters, optimizer),
            "scaler": _is_row(state.scaler),
            "history": isinstance(state.history, list) and all(_is_row(row) and "step" in row for row in state.history),
            "sums": _is_row(state.sums) and (state.sums.keys() >= set(NO_TERMS) or not state.is_due),
            "is_due": isinstance(state.is_due, bool),
            "data": isinstance(state.data, dict) and all(isinstance(text, str) for text in state.data.values()),
        }
        for name, is_right in checks.items():
            if not is_right:
                raise StateError(f"is damaged: its '{name}' is nothing that a training of this model writes")
        return state


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < 1 << 62


def _is_row(value: object) -> bool:
    """Whether it is a mapping of words to numbers."""
    return isinstance(value, dict) and all(
        isinstance(name, str) and type(number) in (int, float) for name, number in value.items()
    )
