"""A detector judged on a set of images: detections of every image, then the referee."""

from concurrent.futures import ThreadPoolExecutor

from tqdm import tqdm

from detect.errors import UserError
from detect.evaluation.coco import evaluate_detections, load_ground_truth, to_coco_results

EVERYTHING = {"min_score": 0.001, "max_detections": 100}  # what COCOeval wants to see of an image


def evaluate_dataset(predictor, dataset, categories, batch=16, show_progress=False, ground_truth=None):
    """Detect on every image of a `CocoDataset` -> (`CocoReport`, detections in COCO's results format).

    Args:
        predictor: `Predictor` made with `EVERYTHING`.
        categories: the model's `{"id", "name"}` by label; they are matched with the set's by name.
        ground_truth: of the set's annotation file, if it is loaded already.
    """
    category_ids = match_categories(categories, dataset.categories, dataset.annotations)
    detections = detect_images(predictor, dataset.images, category_ids, batch, show_progress)
    return evaluate_detections(ground_truth or load_ground_truth(dataset.annotations), detections), detections


def detect_images(predictor, records, category_ids, batch=16, show_progress=False):
    """Detections of image files in COCO's results format.

    Args:
        records: list of `detect.data.coco.ImageRecord`.
        category_ids: the data's category id of each of the model's labels; None where the data has no such class
            (its detections are left out).
        batch: images given to the predictor at a time.
    """
    results = []
    chunks = [records[i : i + batch] for i in range(0, len(records), batch)]
    with ThreadPoolExecutor(max_workers=4) as readers:
        pending = []
        bar = tqdm(total=len(records), unit="image", disable=not show_progress)
        for number, chunk in enumerate(chunks):
            for ahead in chunks[number + len(pending) : number + 2]:  # read one batch ahead
                pending.append([readers.submit(record.read) for record in ahead])
            images = [future.result() for future in pending.pop(0)]
            for record, found in zip(chunk, predictor.detect_batch(images), strict=True):
                ids = [category_ids[label] for label in found.labels.tolist()]
                keep = [i for i, category_id in enumerate(ids) if category_id is not None]
                results += to_coco_results(record.id, found.boxes[keep], found.scores[keep], [ids[i] for i in keep])
            bar.update(len(chunk))
        bar.close()
    return results


def match_categories(model_categories, data_categories, source):
    """The data's category id for each of the model's labels, matched by name; None where the data lacks the class.

    Raises:
        UserError: no class of the model occurs in the data.
    """
    if [c["name"] for c in model_categories] == [c["name"] for c in data_categories]:
        return [category["id"] for category in data_categories]
    by_name = {category["name"]: category["id"] for category in data_categories}
    matched = [by_name.get(category["name"]) for category in model_categories]
    if not any(category_id is not None for category_id in matched):
        model_names = ", ".join(category["name"] for category in model_categories[:5])
        raise UserError(
            f"{source}: none of its classes ({', '.join(list(by_name)[:5])}, ...) is known to the model "
            f"({model_names}, ...); evaluate on data with the model's class names"
        )
    return matched
