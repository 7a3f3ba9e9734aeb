"""A classifier evaluated on a set of images: top-1 and top-5, by the centre or by ten crops."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from tqdm import tqdm

from detect.data.image_folder import ImageFolder
from detect.data.loading.shard import WHOLE, Shard
from detect.data.views import centre_crop, ten_crops
from detect.evaluation.class_table import class_table
from detect.models.classifier import Classifier
from detect.models.detector import as_input

VIEWS_AT_ONCE = 40  # crops that go through the network together


@torch.inference_mode()
def class_scores(
    network: Classifier,
    images: ImageFolder,
    size: int,
    ten_crop: bool = False,
    show_progress: bool = False,
    resize: int | None = None,
    shard: Shard = WHOLE,
) -> np.ndarray:
    """Probability of every class for every image of a shard, float32 [n, K].

    Args:
        network: a `Classifier` in eval mode.
        images: an `ImageFolder`.
        size: side of the network's input, px.
        ten_crop: average the probabilities of ten crops instead of taking the central square.
        resize: side that the central square is scaled to before its middle is taken, px; `size` by default.

    Raises:
        UserError: an image cannot be read.
    """
    parameter = next(network.parameters())
    views = (
        (lambda image: ten_crops(image, size)) if ten_crop else (lambda image: centre_crop(image, size, resize)[None])
    )
    at_once = VIEWS_AT_ONCE // 10 if ten_crop else VIEWS_AT_ONCE
    own = range(len(images))[shard.of(len(images))]
    chunks = [own[i : i + at_once] for i in range(0, len(own), at_once)]
    scores = []
    with (
        ThreadPoolExecutor(max_workers=4) as readers,
        tqdm(total=len(own), unit="image", disable=not show_progress, leave=None) as bar,
    ):
        pending = []
        for number, chunk in enumerate(chunks):
            for ahead in chunks[number + len(pending) : number + 2]:  # read one chunk ahead
                pending.append([readers.submit(lambda i: views(images.read(i)), i) for i in ahead])
            crops = np.stack([future.result() for future in pending.pop(0)])  # [n, crops, size, size, 3]
            inputs = torch.from_numpy(crops).flatten(0, 1).to(parameter.device).permute(0, 3, 1, 2)
            probabilities = network(as_input(inputs)).float().softmax(1)
            scores.append(probabilities.unflatten(0, crops.shape[:2]).mean(1).cpu().numpy())
            bar.update(len(chunk))
    return np.concatenate(scores) if scores else np.zeros((0, len(images.classes)), np.float32)


def ranks(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How many classes are likelier than each image's own, int64 [n]; equal ones count in the order of their labels.

    A score that is not a number is never likely.
    """
    own = scores[np.arange(len(labels)), labels][:, None]
    later = np.arange(scores.shape[1]) >= np.asarray(labels)[:, None]
    return (~(own > scores) & ~((own == scores) & later)).sum(1)


def accuracies(ranks: np.ndarray) -> dict[str, float]:
    """{"top1", "top5"}: share of images whose class is the likeliest, or among the five likeliest."""
    return {"top1": float((ranks < 1).mean()), "top5": float((ranks < 5).mean())}


def per_class(ranks: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> dict[str, dict[str, float]]:
    """{class name: {"images", "top1"}} for the classes that occur."""
    found = {classes[k]: ranks[labels == k] for k in np.unique(labels).tolist()}
    return {name: {"images": len(own), "top1": float((own < 1).mean())} for name, own in found.items()}


def per_class_table(results: dict[str, dict[str, float]]) -> str:
    """`per_class` as plain text, one line a class."""
    rows = ((name, str(row["images"]), f"{row['top1']:.3f}") for name, row in results.items())
    return class_table(("class", "images", "top-1"), rows)
