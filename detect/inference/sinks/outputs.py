"""The table of outputs: what writes each, by its name."""

from collections.abc import Callable
from dataclasses import dataclass

from detect.inference.options import Options
from detect.inference.sinks.counts_sink import CountsSink
from detect.inference.sinks.image_sinks import ImageSink, VideoSink
from detect.inference.sinks.json_sinks import CocoSink, JsonLinesSink, JsonSink
from detect.inference.sinks.label_sinks import CropSink, YoloSink
from detect.inference.sinks.output_names import OutputNames
from detect.inference.sinks.sink import Sink
from detect.inference.sources import OnError


@dataclass(frozen=True)
class Wanted:
    """What the sinks of a run are made of."""

    options: Options
    names: OutputNames
    classes: tuple[str, ...]  # the names of all K
    moving: bool  # there are videos or live sources
    tell: Callable[[str], object]  # called with each sentence on what the files lack
    on_error: OnError  # called with what ends one file and lets the others go on


def _annotated(wanted: Wanted) -> list[Sink]:
    images: list[Sink] = [ImageSink(wanted.names, wanted.on_error)]
    if not wanted.moving:
        return images
    return [VideoSink(wanted.names, wanted.tell, wanted.on_error, wanted.options.segment), *images]


def _json(wanted: Wanted) -> list[Sink]:
    return [JsonSink(wanted.names.json, wanted.classes, wanted.names.ours)]


def _jsonl(wanted: Wanted) -> list[Sink]:
    return [JsonLinesSink(wanted.names, wanted.options.segment)]


def _coco(wanted: Wanted) -> list[Sink]:
    own = [{"id": number, "name": name} for number, name in enumerate(wanted.classes, 1)]
    return [CocoSink(wanted.names, wanted.options.categories or own)]


def _yolo(wanted: Wanted) -> list[Sink]:
    return [YoloSink(wanted.names, wanted.classes)]


def _csv(wanted: Wanted) -> list[Sink]:
    chosen = wanted.options.classes
    classes = [(label, name) for label, name in enumerate(wanted.classes) if chosen is None or name in chosen]
    return [CountsSink(wanted.names, classes, len(wanted.options.lines), list(wanted.options.zones))]


def _crops(wanted: Wanted) -> list[Sink]:
    return [CropSink(wanted.names, wanted.classes)]


MAKERS: dict[str, Callable[[Wanted], list[Sink]]] = {
    "annotated": _annotated,
    "jsonl": _jsonl,
    "coco": _coco,
    "yolo": _yolo,
    "csv": _csv,
    "crops": _crops,
    "json": _json,  # the last: it lists the files of the others, and is finished first
}


def sinks_of(outputs: tuple[str, ...], wanted: Wanted) -> list[Sink]:
    """The sinks of some outputs."""
    return [sink for name, make in MAKERS.items() if name in outputs for sink in make(wanted)]
