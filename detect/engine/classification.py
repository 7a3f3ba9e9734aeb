"""Training a classifier: images in class folders, cross-entropy, top-1."""

import copy
import sys
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from detect import config
from detect.config.schema import ClassifierSettings
from detect.data.image_folder import ImageFolder, has_split
from detect.data.loading.loader import ClassificationImages, training_batches
from detect.data.loading.shard import WHOLE, Shard
from detect.data.sample import ClassifiedBatch
from detect.engine.task import Evaluated, Task, noise
from detect.errors import UserError
from detect.evaluation.classification import VIEWS_AT_ONCE, accuracies, class_scores, ranks
from detect.models.classifier import Classifier
from detect.models.detector import as_input
from detect.report.mosaics import TILES, batch_sheet


class ClassificationTask(Task):
    """`ClassifierSettings` -> all that training and evaluating a classifier needs; see `Task`."""

    leading = "top1"
    shown = ("top1", "top5")
    train_set: ImageFolder
    val_set: ImageFolder | None = None

    def __init__(self, settings: ClassifierSettings) -> None:
        super().__init__(settings)
        self.train_set = ImageFolder.of_split(settings.data, "train")
        self.source = self.train_set.folder
        classes = self.train_set.classes
        if len(classes) < 2:
            raise UserError(f"{self.source}: holds one class only; a classifier needs at least two to tell apart")
        self.categories = [{"id": label, "name": name} for label, name in enumerate(classes)]
        if has_split(settings.data, "val"):
            self.val_set = ImageFolder.of_split(settings.data, "val", classes)

    def build(self) -> Classifier:
        return config.build_model(self.settings, len(self.categories))

    def batches(self, total_steps: int, stride: int, start: int, shard: Shard = WHOLE) -> Iterator[ClassifiedBatch]:
        return training_batches(self.train_set, self.settings, total_steps, stride, start, ClassificationImages, shard)

    def loss(self, outputs: torch.Tensor, batch: ClassifiedBatch, teacher_outputs: None) -> dict[str, torch.Tensor]:
        return {"cls": cross_entropy(outputs.float(), batch.labels.to(outputs.device))}

    def found(self, network: Classifier, device: torch.device, shard: Shard) -> np.ndarray:
        network = copy.deepcopy(network).eval().to(device)
        view, bar = self.settings.input, sys.stderr.isatty() and shard.rank == 0
        return class_scores(network, self.val_set, view.size, False, bar, view.resize, shard)

    def evaluated(self, found: Sequence[np.ndarray]) -> Evaluated:
        return Evaluated(accuracies(ranks(np.concatenate(found), self.val_set.labels)))

    def largest_batch(self, images: int, size: int) -> ClassifiedBatch:
        labels = torch.arange(images) % len(self.categories)
        return ClassifiedBatch(noise(images, size), labels, [""] * images)

    @torch.inference_mode()
    def evaluate_batch(self, network: Classifier, device: torch.device) -> None:
        network = copy.deepcopy(network).eval().to(device)
        network(as_input(noise(VIEWS_AT_ONCE, self.settings.input.size).to(device)))

    def describe(self) -> Iterator[str]:
        for name, images in (("train", self.train_set), ("val", self.val_set)):
            if images:
                yield (
                    f"{name}: {len(images)} images of {len(self.categories)} classes, "
                    f"{images.majority():.1%} of them of the largest: {images.folder}"
                )
                yield from images.notes

    def draw_batch(self, batch: ClassifiedBatch) -> np.ndarray:
        size = batch.images.shape[-1]
        whole = np.array([[0.0, 0.0, size, size]])  # the class name is drawn at the box's corner
        return batch_sheet(batch.images, [whole] * TILES, batch.labels[:, None], self.train_set.classes)
