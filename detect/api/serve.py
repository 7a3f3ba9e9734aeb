"""A detector behind a web server."""

from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any

from detect.api.load import RELEASED, open_detector
from detect.errors import UserError
from detect.inference.sources import find_items
from detect.serve import LOWEST
from detect.serve.app import Server
from detect.serve.engine import SharedEngine


def server(
    weights: str | PathLike[str] | None = None,
    source: str | int | None = None,
    *,
    min_score: float | None = None,
    token: str | None = None,
    warn: Callable[[str], object] = print,
    **options: Any,
) -> Server:
    """The `Server` of a detector; its `app` is an ASGI application.

    Args:
        weights: as in `detect.load`.
        source: webcam number, address of a stream or file to watch.
        min_score: from 0.05 on; what the weights' configuration says by default.
        token: that every request must carry.
        warn: called with sentences on the weights and the source.
        options: of `detect.load`.

    Raises:
        UserError: the weights cannot be used, or the source is not there.
    """
    items = find_items(source) if source is not None else []
    if len(items) > 1:
        raise UserError(f"{source}: is {len(items)} files; watch one camera, stream or video", argument="source")
    opened = open_detector(RELEASED if weights is None else weights, **options)
    for note in opened.notes:
        warn(note)
    shown = max(opened.predictor.lowest_score if min_score is None else min_score, LOWEST)
    opened.predictor.min_score = LOWEST
    title = Path(weights).name if weights else "the starter"
    return Server(SharedEngine(opened.predictor), title, shown, LOWEST, items[0] if items else None, token, warn)
