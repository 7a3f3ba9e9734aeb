"""Training batches, in an order that depends on the seed and the step alone, so that a resumed run sees the same."""

import gc
import os
import signal
import time
from collections.abc import Callable, Iterator, Sized
from multiprocessing import active_children
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, get_worker_info

from detect.data.augment.base import Context
from detect.data.augment.pipeline import Pipeline
from detect.data.detection import DetectionData
from detect.data.image_folder import ImageFolder
from detect.data.joined import JoinedDataset
from detect.data.loading.cache import ImageCache
from detect.data.loading.rare import repeat_factors
from detect.data.loading.shard import WHOLE, Shard
from detect.data.loading.shared_memory import ADVICE, PREFETCH, loader_processes
from detect.data.loading.stream import Stream
from detect.data.sample import Batch, ClassifiedBatch
from detect.data.views import RandomCrop
from detect.errors import UserError
from detect.interrupt import STOPS, let_through
from detect.ops.letterbox import Letterbox

if TYPE_CHECKING:
    from detect.config.schema import ClassifierSettings, Settings

    AnySettings = Settings | ClassifierSettings

PATIENCE = 600  # s that a batch may take
LOOK = 2  # s of waiting for one after which it is seen whether the loader processes live, and whether to stop
STEPS_PER_SIZE = 10  # multi-scale training keeps a size for so many steps (Darknet)


class Plan(NamedTuple):
    """What one (part of a) batch is made of, before anything is read."""

    step: int
    progress: float  # of the training, 0 to below 1
    size: int  # side of the network's input, px
    images: list[tuple[int, int]]  # (index of the image, position in the endless stream of images)


def plans(
    stream: Stream, settings: "AnySettings", total_steps: int, stride: int, start: int = 0, shard: Shard = WHOLE
) -> Iterator[Plan]:
    """Yield the `Plan`s of steps `start`..`total_steps`-1, `accumulate` of them a step, each of a shard of its images.

    The epochs of the stream of images are cut into batches regardless of their borders.
    """
    train = settings.train
    smallest, largest = settings.input.train_sizes or (settings.input.size,) * 2
    sizes = range(smallest, largest + 1, stride)
    part, count = train.batch // train.accumulate, len(stream)
    epoch, order = None, None
    for step in range(start, total_steps):
        size_rng = np.random.default_rng((train.seed, 1, step // STEPS_PER_SIZE))
        size = int(size_rng.choice(sizes))
        images = []
        for position in range(step * train.batch, (step + 1) * train.batch):
            if position // count != epoch:
                epoch = position // count
                order = stream.epoch(epoch)
            images.append((int(order[position % count]), position))
        for first in range(0, train.batch, part):
            yield Plan(step, step / total_steps, size, images[first : first + part][shard.of(part)])


class TrainingImages:
    """`Plan` -> the batch that the subclass makes of it: what the loader's processes do.

    A mistake in the data comes back as a `UserError` object, to be raised by the main process.
    """

    def __init__(self, dataset: Sized, settings: "AnySettings") -> None:
        self.dataset = dataset
        self.settings = settings
        self.stream = self.make_stream()

    def __getitem__(self, plan: Plan) -> Batch | ClassifiedBatch | UserError:
        try:
            batch = self.batch(plan)
        except UserError as error:
            return error
        if get_worker_info() is None:
            return batch
        try:
            batch.images.share_memory_()  # else a thread would do it on the way, and lose the batch if it cannot
        except RuntimeError as error:
            return UserError(f"a loader process found no shared memory for a batch ({error}); {ADVICE}")
        return batch

    def batch(self, plan: Plan) -> Batch | ClassifiedBatch:
        raise NotImplementedError

    def make_stream(self) -> Stream:
        """The order of the images."""
        return Stream([len(self.dataset)], seed=self.settings.train.seed)

    def rng(self, position: int) -> np.random.Generator:
        """The random generator of the image at `position` in the endless stream."""
        return np.random.default_rng((self.settings.train.seed, 2, position))


class DetectionImages(TrainingImages):
    """`Plan` -> `Batch` of augmented, letterboxed images.

    Args:
        cache: where images are taken from instead of their files.
    """

    def __init__(self, dataset: DetectionData, settings: "Settings", cache: ImageCache | None = None) -> None:
        super().__init__(dataset, settings)
        self.pipeline = Pipeline(settings.augment, (cache or dataset).sample, self.stream.draw)

    def make_stream(self) -> Stream:
        return stream_of(self.dataset, self.settings)

    def batch(self, plan: Plan) -> Batch:
        samples = [
            self.pipeline(index, Context(self.rng(position), plan.size, plan.progress))
            for index, position in plan.images
        ]
        boxes, labels, weights = [], [], []
        images = np.empty((len(samples), plan.size, plan.size, 3), dtype=np.uint8)
        for i, sample in enumerate(samples):
            height, width = sample.image.shape[:2]
            letterbox = Letterbox(width, height, plan.size)
            images[i] = letterbox.apply(sample.image)
            boxes.append(torch.from_numpy(letterbox.apply_boxes(sample.boxes)))
            labels.append(torch.from_numpy(sample.labels))
            weights.append(torch.from_numpy(sample.weights))
        pixels = torch.from_numpy(images).permute(0, 3, 1, 2)  # [B, 3, H, W], channels last in memory
        return Batch(pixels, boxes, labels, weights, [sample.image_id for sample in samples])


class ClassificationImages(TrainingImages):
    """`Plan` -> `ClassifiedBatch` of random crops."""

    def __init__(self, dataset: ImageFolder, settings: "ClassifierSettings") -> None:
        super().__init__(dataset, settings)
        self.crop = RandomCrop(settings.augment)

    def batch(self, plan: Plan) -> ClassifiedBatch:
        images = np.empty((len(plan.images), plan.size, plan.size, 3), dtype=np.uint8)
        for i, (index, position) in enumerate(plan.images):
            images[i] = self.crop(self.dataset.read(index), plan.size, self.rng(position))
        indices = [index for index, _ in plan.images]
        labels = torch.from_numpy(self.dataset.labels[indices])
        pixels = torch.from_numpy(images).permute(0, 3, 1, 2)  # [B, 3, H, W], channels last in memory
        return ClassifiedBatch(pixels, labels, [self.dataset.names[index] for index in indices])


def stream_of(dataset: DetectionData, settings: "Settings") -> Stream:
    """The `Stream` of the images of a set, or of several joined sets with their shares."""
    threshold = settings.data.repeat_rare if settings.data else 0
    factors = repeat_factors(dataset.images, len(dataset.categories), threshold) if threshold else None
    if isinstance(dataset, JoinedDataset):
        return Stream(dataset.sizes, dataset.shares, settings.train.seed, factors)
    return Stream([len(dataset)], seed=settings.train.seed, factors=factors)


def training_batches(
    dataset: Sized,
    settings: "AnySettings",
    total_steps: int,
    stride: int,
    start: int = 0,
    images: Callable[..., TrainingImages] = DetectionImages,
    shard: Shard = WHOLE,
) -> Iterator[Batch | ClassifiedBatch]:
    """Iterate over the training's batches from step `start` on, read by `train.workers` processes.

    Args:
        dataset: what `images`, which makes `TrainingImages` of it and the settings, reads from.
        shard: of each (part of a) batch, where several processes train together.

    Raises:
        UserError: an image cannot be read or does not agree with its record, or the loader processes are killed, find
            no shared memory, or hand over nothing for `PATIENCE` seconds.
    """
    workers = loader_processes(settings)
    source = images(dataset, settings)
    loader = DataLoader(
        source,
        batch_size=None,
        sampler=plans(source.stream, settings, total_steps, stride, start, shard),
        num_workers=workers,
        prefetch_factor=PREFETCH if workers else None,
        timeout=LOOK if workers else 0,
        worker_init_fn=_start_worker,
        generator=torch.Generator(),  # of its own: it would draw from the training's
    )
    others = active_children()
    batches = iter(loader)
    try:
        while (batch := _next_of(batches)) is not None:
            if isinstance(batch, UserError):
                raise batch
            yield batch
    except RuntimeError as error:
        if failure := loader_failure(error):
            raise failure from error
        raise
    finally:
        own = [process for process in active_children() if process not in others]
        for process in own if hasattr(signal, "SIGCONT") else ():
            os.kill(process.pid, signal.SIGCONT)  # one that was stopped would not hear that this is the end
        if workers:
            batches._shutdown_workers()  # now, not when the last traceback that knows of them is gone
        for process in own:
            process.kill()  # one that lives on hangs; PyTorch waited for it
            process.join()


def _next_of(batches: Iterator[Any]) -> Any:
    """The next of a DataLoader's batches, None after the last.

    Raises:
        RuntimeError: PyTorch's own, about its processes.
        UserError: none came for `PATIENCE` seconds.
        KeyboardInterrupt: a signal asked to stop.
    """
    asked = time.monotonic()
    while True:
        try:
            return next(batches, None)
        except RuntimeError as error:
            if "timed out after" not in str(error):
                raise
            let_through()
            if time.monotonic() - asked > PATIENCE:
                raise UserError(f"the loader processes have handed over nothing for {PATIENCE} s; {ADVICE}") from error


def loader_failure(error: BaseException) -> UserError | None:
    """The `UserError` for an error that says, or comes from one that says, that loader processes are dead; else None.

    PyTorch raises it wherever the main process is when a loader process dies, be it in the writing of a file.
    """
    cause: BaseException | None = error
    while cause is not None:
        reason = str(cause).split("\n")[0]
        if isinstance(cause, RuntimeError) and reason.startswith("DataLoader"):
            return UserError(f"the loader processes failed ({reason}); is memory short? {ADVICE}")
        cause = cause.__cause__ or cause.__context__
    return None


def _start_worker(_: int) -> None:
    gc.freeze()  # else its first collection would write into, and so copy, all that is shared with the main process
    cv2.setNumThreads(0)
    for stop in STOPS:  # the main process's business; systemd tells all processes of a service
        signal.signal(stop, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end_next_time)


def _end_next_time(number: int, _: object) -> None:
    """What a loader's process does at its first SIGTERM; the main process ends one that hangs with another."""
    signal.signal(number, signal.SIG_DFL)
