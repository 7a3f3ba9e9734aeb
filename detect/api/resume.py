"""A run to go on with: its checkpoint, and whether its folder is as the run left it."""

import os
from pathlib import Path
from typing import Any

from detect import config
from detect.api.load import AnyPath
from detect.errors import UserError
from detect.weights.files import Weights, read


def stopped_run(resume: AnyPath, overrides: list[str], **options: Any) -> Weights:
    """What the last.pt of the run folder `resume` (or of the folder of that file) holds.

    Args:
        overrides, options: as of `detect.weights.files.read`.

    Raises:
        UserError: there is none, it is damaged, or the run's config.yaml was edited.
    """
    run = Path(resume)
    run = run.parent if os.path.isfile(run) else run
    if os.path.isfile(run / "config.yaml") and not os.path.exists(run / "last.pt"):
        raise UserError(
            f"{run}: stopped before its first checkpoint, so there is nothing to resume; start it again with "
            f"{run / 'config.yaml'}"
        )
    stopped = read(run / "last.pt", overrides=overrides, **options)
    _check_unedited(run / "config.yaml", stopped)
    return stopped


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
