"""Training a detector: images with boxes, the YOLO loss, AP."""

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from detect import config
from detect.config.build import build_network
from detect.config.check import located
from detect.config.schema import DataSettings, SetSettings, Settings
from detect.darknet.names import modern
from detect.data.augment.pipeline import most_together
from detect.data.dataset import Dataset
from detect.data.detection import DetectionData
from detect.data.formats.opening import has_split, open_split
from detect.data.ground_truth import GroundTruth
from detect.data.joined import JoinedDataset
from detect.data.loading.cache import image_cache
from detect.data.loading.loader import DetectionImages, stream_of, training_batches
from detect.data.loading.shard import WHOLE, Shard
from detect.data.loading.stream import Stream
from detect.data.sample import Batch
from detect.doctor.description import TRAIN, DataSet, Split
from detect.doctor.start import ALL, stop_or_warn
from detect.engine.task import Evaluated, Task, noise
from detect.errors import UserError
from detect.evaluation.detections import Detections
from detect.evaluation.evaluate import EVALUATION_THRESHOLDS, detect_images, match_categories, matching_notes
from detect.evaluation.fast import evaluate
from detect.inference.predictor import Predictor
from detect.inference.torch_runtime import TorchRuntime
from detect.losses.class_weights import class_weights
from detect.losses.teacher import TeacherLoss
from detect.losses.yolo import YOLOLoss
from detect.report.best_thresholds import best_thresholds
from detect.report.labels import labels_figure
from detect.report.mosaics import batch_sheet, val_drawings
from detect.weights.files import read
from detect.weights.start import by_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

AT_ONCE = 16  # images that an evaluation takes through a GPU


def read_split(data: SetSettings, name: str) -> tuple[Dataset, Split]:
    """A split, and what the doctor looks at of it.  Raises UserError."""
    reader = open_split(data, name)
    try:
        images = Dataset.of_reader(reader, data)
    except UserError as error:
        raise UserError(f"{error} ({ALL})") from error
    return images, Split(name, reader, bad_boxes=data.bad_boxes, learn=data.pseudo.learn)


def joined(sets: Sequence[Dataset], data: DataSettings) -> DetectionData:
    """The sets that are learned from as one."""
    shares = [one.share for one in (data, *data.beside)]
    return JoinedDataset(sets, None if None in shares else shares) if data.beside else sets[0]


def _described(name: str, images: DetectionData) -> Iterator[str]:
    """Lines on a set of images for the log."""
    counts = images.images.object_counts
    yield f"{name}: {len(images)} images ({(counts == 0).sum()} without objects), {counts.sum()} boxes: {images.source}"
    yield from images.notes


def _told_of_rare(stream: Stream, threshold: float) -> Iterator[str]:
    """A line on the images that are taken more often, if any are."""
    if stream.factors is None:
        return
    more, passes = (stream.factors > 1).sum(), stream.turns.sum() / len(stream)
    if not more:
        yield f"train: no class is in fewer than {threshold:.2%} of the images, so data.repeat_rare changes nothing"
        return
    yield (
        f"train: {more} of {len(stream)} images hold classes that fewer than {threshold:.2%} of the images have; they "
        f"are taken up to {stream.factors.max():.1f} times as often, so that all have had a turn after "
        f"{passes:.2f} epochs"
    )


class DetectionTask(Task):
    """`Settings` -> all that training and evaluating a detector needs; see `Task`."""

    leading = "AP"
    shown = ("AP", "AP50")

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        data = settings.data
        sets, splits = zip(*(read_split(one, TRAIN) for one in (data, *data.beside)), strict=True)
        self.train_set = joined(sets, data)
        self.source = self.train_set.source
        self.categories = self.train_set.categories
        self.truth: GroundTruth | None = None
        self.yolo_loss = None  # made with the model, whose anchors it takes; so is what compares it with a teacher
        self.teacher = self.teacher_loss = None
        if has_split(data, "val"):
            self.val_set, val = read_split(data, "val")
            splits += (val,)
            match_categories(self.categories, self.val_set.categories, self.val_set.source)
            self.truth = self.val_set.ground_truth()
        self.warnings = self._check(splits)
        self.cache = image_cache(self.train_set, settings)

    def _check(self, splits: Sequence[Split]) -> list[str]:
        """Ask the doctor's quick checks; returns lines for the log.  Raises UserError at an error."""
        with torch.device("meta"):
            anchors = build_network(self.settings, 1).head.all_anchors
        data, train = self.settings.data, self.settings.train
        accept = {"class.unknown", *(check_id for one in (data, *data.beside) for check_id in one.accept)}
        accept |= {"set.no_boxes"} if train.teacher else set()  # the other is told by `matching_notes`
        return stop_or_warn(DataSet(splits, np.array(anchors, dtype=np.float64), self.settings.input.size, accept))

    def build(self) -> nn.Module:
        network = config.build_model(self.settings, len(self.categories))
        if network.num_classes != len(self.categories):
            raise UserError(
                f"{self.source}: has {len(self.categories)} classes, the .cfg {network.num_classes}; set classes= in "
                "its [yolo] layers, and filters= before each of them to (anchors in its mask) * (5 + classes)"
            )
        network.head.check_trainable(self.settings.loss.box)
        options = config.to_dict(self.settings.loss)
        balance = options.pop("class_balance")
        counts = self.train_set.images.class_counts(len(self.categories))
        weights = class_weights(counts, balance) if balance else None
        self.yolo_loss = YOLOLoss(network.head, **options, class_weights=weights)
        if self.settings.train.teacher:
            with located(self.settings.origins, "train.teacher"):
                self._call_teacher(network, self.settings.train.teacher)
        return network

    def _call_teacher(self, network: nn.Module, path: str) -> None:
        """Read the teacher, and make what compares `network` with it.  Raises UserError."""
        if path.endswith(".weights"):
            raise UserError(f"train.teacher: {path} needs a .cfg; write both as one .safetensors with tools/export.py")
        try:
            weights = read(by_name(path))
        except UserError as error:
            raise UserError(f"train.teacher: {error}") from error
        ours = [modern(category["name"]) for category in self.categories]
        if [modern(name) for name in weights.names] != ours:
            raise UserError(f"train.teacher: {weights.path} has other classes than {self.source}")
        self.teacher = weights.network
        try:
            self.teacher_loss = TeacherLoss(network.head, self.teacher.head)
        except ValueError as error:
            raise UserError(f"train.teacher: {weights.path} {error}") from error

    def batches(self, total_steps: int, stride: int, start: int, shard: Shard = WHOLE) -> Iterator[Batch]:
        images = partial(DetectionImages, cache=self.cache)
        return training_batches(self.train_set, self.settings, total_steps, stride, start, images, shard)

    def teacher_outputs(self, images: Tensor) -> list[list[Tensor]] | None:
        """The teacher's raw maps at each of its looks, see `TeacherLoss`."""
        return self.teacher_loss.look(self.teacher.to(images.device), images) if self.teacher else None

    def loss(
        self, outputs: list[Tensor], batch: Batch, teacher_outputs: list[list[Tensor]] | None
    ) -> dict[str, Tensor]:
        device = outputs[0].device
        boxes = [b.to(device) for b in batch.boxes]
        labels = [x.to(device) for x in batch.labels]
        weights = [w.to(device) for w in batch.weights]
        outputs = [level.float() for level in outputs]
        terms = self.yolo_loss(outputs, boxes, labels, weights)
        if teacher_outputs is not None:
            teacher_outputs = [[level.float() for level in maps] for maps in teacher_outputs]
            terms["teacher"] = self.settings.train.teacher_weight * self.teacher_loss(outputs, teacher_outputs)
        return terms

    def _predictor(self, network: nn.Module, device: torch.device) -> Predictor:
        names = tuple(category["name"] for category in self.categories)
        runtime = TorchRuntime(network, names, self.settings.input.size, device)
        return Predictor(runtime, nms=self.settings.predict.nms_options(), **EVALUATION_THRESHOLDS)

    def largest_batch(self, images: int, size: int) -> Batch:
        most = most_together(self.settings.augment) * int(np.diff(self.train_set.images.starts).max())
        corners = torch.rand(images, most, 2, 2, generator=torch.Generator().manual_seed(0)) * size
        boxes = torch.cat([corners.amin(2), corners.amax(2)], dim=-1)
        labels = torch.arange(most).expand(images, -1) % len(self.categories)
        return Batch(noise(images, size), list(boxes), list(labels), list(torch.ones(images, most)), [0] * images)

    def evaluate_batch(self, network: nn.Module, device: torch.device) -> None:
        count = 1 if device.type == "cpu" else AT_ONCE  # the CPU takes them one by one
        images = noise(count, self.settings.input.size).permute(0, 2, 3, 1).numpy()
        self._predictor(network, device).detect_batch(list(images))

    @property
    def _category_ids(self) -> list[int | None]:
        """Split val's id of each label."""
        return match_categories(self.categories, self.val_set.categories, self.val_set.source)

    def found(self, network: nn.Module, device: torch.device, shard: Shard) -> Detections:
        images = self.val_set.images
        records = images.take(np.arange(len(images))[shard.of(len(images))])
        bar = sys.stderr.isatty() and shard.rank == 0
        return detect_images(self._predictor(network, device), records, self._category_ids, show_progress=bar)

    def evaluated(self, found: Sequence[Detections]) -> Evaluated:
        evaluation = evaluate(self.truth, Detections.joined(found))
        thresholds = best_thresholds(evaluation, self.categories, self.val_set)
        ids = self._category_ids
        least = dict(zip(ids, thresholds.scores, strict=True)) if thresholds else {}
        drawings = val_drawings(self.val_set, evaluation.detections, least)
        return Evaluated(evaluation.report.metrics, thresholds, drawings)

    def describe(self) -> Iterator[str]:
        if isinstance(self.train_set, JoinedDataset):
            shares = np.array(self.train_set.shares or self.train_set.sizes, dtype=float)
            for images, share in zip(self.train_set.sets, shares / shares.sum(), strict=True):
                yield from _described(f"train, {share:.1%} of it", images)
        else:
            yield from _described("train", self.train_set)
        yield from _told_of_rare(stream_of(self.train_set, self.settings), self.settings.data.repeat_rare)
        if self.cache:
            yield self.cache.describe()
        if self.val_set:
            yield from _described("val", self.val_set)
            yield from matching_notes(self.categories, self.val_set.categories, self.val_set.source)
            yield "AP is computed in NumPy, with pycocotools' results"
        yield from self.warnings
        train = self.settings.train
        if train.teacher:
            teacher, weight = by_name(train.teacher), f"{train.teacher_weight:g}"
            taught = f", {self.teacher_loss.describe()}" if self.teacher_loss else ""
            yield f"learns the predictions of {teacher} too, with weight {weight}{taught}"

    def draw_batch(self, batch: Batch) -> np.ndarray:
        learned = [weights > 0 for weights in batch.weights]
        boxes, labels = (
            [values[chosen] for values, chosen in zip(column, learned, strict=True)]
            for column in (batch.boxes, batch.labels)
        )
        return batch_sheet(batch.images, boxes, labels, [category["name"] for category in self.categories])

    def drawings(self) -> dict[str, Callable[[], "Figure"]]:
        return {"labels.png": lambda: labels_figure(self.train_set, self.val_set, self.settings.input.size)}
