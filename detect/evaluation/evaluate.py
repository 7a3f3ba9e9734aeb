"""A detector evaluated on a set of images: detections of every image, and what they are worth."""

import difflib
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from detect.darknet.names import modern
from detect.data.detection import DetectionData
from detect.data.ground_truth import GroundTruth
from detect.data.records import ImageRecord
from detect.errors import UserError
from detect.evaluation.detections import Detections
from detect.evaluation.fast import Evaluation, evaluate
from detect.files import printable

if TYPE_CHECKING:
    from detect.inference.predictor import Predictor

LISTED = 10  # class names in a sentence
COMPARISONS = 100_000  # of names that have no equal; a second
# what COCOeval wants to see of an image
EVALUATION_THRESHOLDS: dict[str, Any] = {"min_score": 0.001, "max_detections": 100}


def evaluate_dataset(
    predictor: "Predictor",
    dataset: DetectionData,
    categories: list[dict[str, Any]],
    batch: int = 16,
    show_progress: bool = False,
    truth: GroundTruth | None = None,
) -> Evaluation:
    """Detect on every image of a set, and evaluate; `detect.evaluation.coco` has the referee's word on the same.

    Args:
        predictor: `Predictor` made with `EVALUATION_THRESHOLDS`.
        categories: the model's `{"id", "name"}` by label; they are matched with the set's by name.
        truth: the set's, if it was read already.
    """
    category_ids = match_categories(categories, dataset.categories, dataset.source)
    truth = dataset.ground_truth() if truth is None else truth
    return evaluate(truth, detect_images(predictor, dataset.images, category_ids, batch, show_progress))


def detect_images(
    predictor: "Predictor",
    records: Sequence[ImageRecord],
    category_ids: list[int | None],
    batch: int = 16,
    show_progress: bool = False,
) -> Detections:
    """Detections of image files, rounded as files of results are.

    Args:
        records: the images.
        category_ids: the data's category id of each of the model's labels; None where the data has no such class
            (its detections are left out).
        batch: images given to the predictor at a time.
    """
    parts = []
    chunks = [range(i, min(i + batch, len(records))) for i in range(0, len(records), batch)]
    with ThreadPoolExecutor(max_workers=4) as readers:
        pending = []
        bar = tqdm(total=len(records), unit="image", disable=not show_progress, leave=None)
        for number, chunk in enumerate(chunks):
            for ahead in chunks[number + len(pending) : number + 2]:  # read one batch ahead
                pending.append([readers.submit(records[i].read) for i in ahead])
            images = [future.result() for future in pending.pop(0)]
            for i, found in zip(chunk, predictor.detect_batch(images), strict=True):
                ids = [category_ids[label] for label in found.labels.tolist()]
                keep = [k for k, category_id in enumerate(ids) if category_id is not None]
                kept = (found.boxes[keep], found.scores[keep], [ids[k] for k in keep])
                parts.append(Detections.in_image(records[i].id, *kept))
            bar.update(len(chunk))
        bar.close()
    return Detections.joined(parts)


def match_categories(
    model_categories: list[dict[str, Any]], data_categories: list[dict[str, Any]], source: str | Path
) -> list[int | None]:
    """The data's category id for each of the model's labels, matched by name; None where the data lacks the class.

    A class that goes by Darknet's older name on one side only (motorbike, motorcycle) is the same class.

    Raises:
        UserError: no class of the model occurs in the data.
    """
    if [c["name"] for c in model_categories] == [c["name"] for c in data_categories]:
        return [category["id"] for category in data_categories]
    by_name = {category["name"]: category["id"] for category in data_categories}
    renamed = renamed_classes(model_categories, data_categories)
    names = [category["name"] for category in model_categories]
    matched = [by_name.get(renamed.get(name, name)) for name in names]
    if not any(category_id is not None for category_id in matched):
        model_names = ", ".join(names[:5])
        raise UserError(
            f"{source}: none of its classes ({', '.join(list(by_name)[:5])}, ...) is known to the model "
            f"({model_names}, ...); evaluate on data with the model's class names"
        )
    return matched


def renamed_classes(model_categories: list[dict[str, Any]], data_categories: list[dict[str, Any]]) -> dict[str, str]:
    """{the model's name: the data's} of the classes that differ by Darknet's older names alone."""
    model_names, data_names = ({category["name"] for category in c} for c in (model_categories, data_categories))
    waiting = {modern(name): name for name in data_names - model_names}
    return {name: waiting[modern(name)] for name in model_names - data_names if modern(name) in waiting}


def matching_notes(
    model_categories: list[dict[str, Any]], data_categories: list[dict[str, Any]], source: str | Path
) -> list[str]:
    """Sentences on what `match_categories` does beside matching equal names; none where it is all it does."""
    renamed = renamed_classes(model_categories, data_categories)
    model_names, data_names = ({category["name"] for category in c} for c in (model_categories, data_categories))
    notes = []
    if renamed:
        listed = ", ".join(f"{model} is {data}" for model, data in sorted(renamed.items()))
        notes.append(f"classes matched by Darknet's older names: {listed}")
    if unknown := _with_nearest(data_names - model_names - set(renamed.values()), model_names):
        notes.append(f"{source}: the model has no class of these names, so their objects cannot be found: {unknown}")
    if absent := _with_nearest(model_names - data_names - renamed.keys(), data_names):
        notes.append(f"{source}: has no class of these names, so the model's detections of them are left out: {absent}")
    return notes


def _with_nearest(names: Collection[str], others: Collection[str]) -> str:
    """Names in quotes, each with the nearest of the other side if there is one; those come first, and ten at most."""
    told = []
    for number, name in enumerate(sorted(names)):
        is_compared = number * len(others) < COMPARISONS
        near = is_compared and (
            difflib.get_close_matches(name, others, n=1, cutoff=0.6)
            or [other for other in others if other.strip().casefold() == name.strip().casefold()]
        )
        told.append(f"'{printable(name)}'" + (f" (there is '{printable(near[0])}')" if near else ""))
    told.sort(key=lambda text: not text.endswith(")"))
    return ", ".join(told[:LISTED]) + (f" and {len(told) - LISTED} more" if len(told) > LISTED else "")
