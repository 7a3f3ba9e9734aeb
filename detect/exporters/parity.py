"""The gate of every export: an exported file agrees with PyTorch on real images, or it does not come to be."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from detect.data.dataset import Dataset
from detect.errors import UserError
from detect.evaluation.evaluate import EVALUATION_THRESHOLDS, evaluate_dataset
from detect.exporters.formats import Request
from detect.exporters.photos import labelled, spread, squares, to_compare
from detect.files import cannot_write, printable
from detect.inference.engines import LIBRARIES, SUFFIXES, open_exported
from detect.inference.exported_runtime import ExportedRuntime
from detect.inference.predictor import Predictor
from detect.inference.runtime import Runtime
from detect.inference.torch_runtime import TorchRuntime
from detect.interrupt import held
from detect.ops.boxes import iou
from detect.ops.nms import Candidates, nms
from detect.weights.files import Weights

IMAGES = 8  # compared at the most
SURE = 0.25  # score from which a detection must be found again


@dataclass(frozen=True)
class Tolerance:
    """How far a file may be from PyTorch, by the precision that it is computed in."""

    maps: float  # root mean square of the difference, in standard deviations of the map
    iou: float  # of a sure detection and the same one of the file
    score: float  # their difference
    share: float  # of the sure detections that are found again


TOLERANCES = {
    "f32": Tolerance(1e-3, 0.99, 0.005, 1.0),
    "f16": Tolerance(0.02, 0.95, 0.05, 0.95),
    "bf16": Tolerance(0.1, 0.85, 0.15, 0.85),
    "int8": Tolerance(0.35, 0.6, 0.3, 0.7),
}


@dataclass(frozen=True)
class Agreement:
    """How an exported file and PyTorch compare on the same images."""

    maps: tuple[float, ...]  # per scale, as `Tolerance.maps`
    sure: int  # detections of PyTorch with a score above `SURE`
    found: int  # of them, in the file's too

    def __str__(self) -> str:
        return (
            f"maps differ by {max(self.maps):.1g} of their spread, {self.found} of {self.sure} detections found again"
        )


@contextmanager
def agreeing(path: Path, weights: Weights, runtime: TorchRuntime, request: Request) -> Iterator[Path]:
    """Yield where to write a file; afterwards it is compared with `runtime` and takes its place at `path`.

    It is compared in every engine that is installed and every precision that this machine can run it in.

    Args:
        path: of the file; one that is written in two parts has its numbers in a .bin beside.
        runtime: the same detector in PyTorch.
        request: its `data` are the images to compare on, `check` the number of its val split to tell AP on.

    Raises:
        UserError: it differs too much, says by how much and where, or cannot be written; then `path` is as it was.
    """
    numbers = path.with_suffix(".bin")
    if path.suffix == ".xml" and numbers.exists() and not path.exists():
        raise UserError(f"{printable(numbers)}: is there already and belongs to something else; give another name")
    images = np.stack(squares(spread(to_compare(request.data), IMAGES), runtime.size))
    dataset = labelled(request.data, "val") if request.check else None
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{path.stem[:40]}.", dir=path.parent))
    except OSError as error:
        raise cannot_write(path, error) from error
    try:
        made = folder / path.name
        try:
            yield made
        except OSError as error:
            raise cannot_write(path, error) from error
        best = _check(made, runtime, images, request)
        if dataset and best:
            dataset.images = dataset.images.take(range(min(request.check, len(dataset))))
            before, after = (average_precision(each, weights, dataset) for each in (runtime, best))
            where = f"{len(dataset.images)} images of {dataset.source}"
            request.log(f"AP on {where}: PyTorch {before:.4f}, {best!r} {after:.4f}")
        with held():  # a stop between two files would leave one that speaks of another's numbers
            _move(folder, path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _check(made: Path, runtime: TorchRuntime, images: np.ndarray, request: Request) -> ExportedRuntime | None:
    """Compare the file in all ways that it can be run in here; returns it run in the first.  Raises UserError."""
    ways = [open_exported(made, engine, precision, cached=False) for engine, precision in _ways(made)]
    for tested in ways:
        agreement = compare(tested, runtime, images)
        request.log(f"{tested!r}: {agreement}")
        require(agreement, tolerance_of(tested), tested)
    if not ways:
        request.log("not compared with PyTorch: no engine that runs it is installed")
    return ways[0] if ways else None


def tolerance_of(tested: ExportedRuntime) -> Tolerance:
    """That of the coarser of the numbers in the file and those it is computed in."""
    coarsest = {"f32": 0, "f16": 1, "bf16": 2, "int8": 3}
    return TOLERANCES[max(tested.exported.precision, tested.precision, key=coarsest.__getitem__)]


def _ways(made: Path) -> list[tuple[str, str]]:
    """(engine, precision) that the file can be run in here."""
    ways = []
    for engine in (name for name, suffixes in SUFFIXES.items() if made.suffix in suffixes):
        if find_spec(LIBRARIES[engine]):
            precisions = getattr(open_exported(made, engine, "f32", cached=False), "precisions", lambda: ["f32"])()
            ways += [(engine, precision) for precision in precisions]
    return ways


def compare(tested: ExportedRuntime, runtime: TorchRuntime, images: np.ndarray) -> Agreement:
    """An exported file beside PyTorch, on uint8 RGB [B, size, size, 3]."""
    ours, theirs = _raw(runtime, images), tested.raw(images)
    maps = tuple(_distance(a, b) for a, b in zip(ours, theirs, strict=True))
    sure = found = 0
    for expected, got in zip(runtime.decoder(ours, SURE), tested.decoder(theirs, SURE / 2), strict=True):
        expected, got = nms(expected), nms(got, limit=1000)
        sure += len(expected.boxes)
        found += _found(expected, got, tolerance_of(tested))
    return Agreement(maps, sure, found)


def _raw(runtime: TorchRuntime, images: np.ndarray) -> list[np.ndarray]:
    """PyTorch's maps, one image after another: it rounds differently for other batch sizes."""
    parts = [runtime.raw(images[i : i + 1]) for i in range(len(images))]
    return [np.concatenate(levels) for levels in zip(*parts, strict=True)]


def require(agreement: Agreement, tolerance: Tolerance, tested: ExportedRuntime) -> None:
    """Raise UserError beyond the tolerance: how far, and on which scale."""
    strides = tested.exported.head["strides"]
    for stride, distance in zip(strides, agreement.maps, strict=True):
        if not distance <= tolerance.maps:  # a NaN is not
            raise UserError(
                f"{tested!r} differs from PyTorch by {distance:.2g} of the spread of the maps of stride {stride} "
                f"(allowed: {tolerance.maps:g}), so no file was written"
            )
    missed = agreement.sure - agreement.found
    if missed > max((1 - tolerance.share) * agreement.sure, tolerance.share < 1):  # one may be at the edge
        raise UserError(
            f"{tested!r} finds {agreement.found} of PyTorch's {agreement.sure} detections "
            f"(wanted: {tolerance.share:.0%}), so no file was written"
        )


def average_precision(runtime: Runtime, weights: Weights, dataset: Dataset) -> float:
    """AP on those images that `dataset.images` still lists."""
    predictor = Predictor(runtime, nms=weights.settings.predict.nms_options(), **EVALUATION_THRESHOLDS)
    return evaluate_dataset(predictor, dataset, weights.categories).report.metrics["AP"]


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(a - b, dtype=np.float64))) / max(float(a.std()), 1e-6))


def _found(expected: Candidates, got: Candidates, tolerance: Tolerance) -> int:
    """How many of the expected detections are among those that were got."""
    overlaps = iou(expected.boxes[:, None], got.boxes[None])
    same = expected.labels[:, None] == got.labels[None]
    near = np.abs(expected.scores[:, None] - got.scores[None]) <= tolerance.score
    return int((same & near & (overlaps >= tolerance.iou)).any(axis=1).sum())


def _move(folder: Path, path: Path) -> None:
    """Give the files made in `folder` their places beside `path`, the one that is opened last."""
    files: Sequence[Any] = sorted(folder.iterdir(), key=lambda file: file.suffix == path.suffix)
    try:
        for file in files:
            os.chmod(file, 0o644)
            with open(file, "rb") as written:
                os.fsync(written.fileno())
        if len(files) > 1:
            path.unlink(missing_ok=True)  # a stop between two files leaves none that speaks of another's numbers
        for file in files:
            os.replace(file, path.with_suffix(file.suffix))
    except OSError as error:
        raise cannot_write(path, error) from error
