"""`GroundTruth` from a mapping in COCO's form, which is easily written by hand, and back."""

import numpy as np

from detect.data.ground_truth import GroundTruth, class_names
from detect.evaluation.detections import places


def truth_of(mapping):
    """The `GroundTruth` of images, categories and annotations in COCO's form; objects elsewhere are left out."""
    images = sorted(mapping["images"], key=lambda image: image["id"])
    categories = sorted(mapping["categories"], key=lambda category: category["id"])
    image_ids, category_ids = (whole([row["id"] for row in rows]) for rows in (images, categories))
    rows = mapping["annotations"]
    places_of_images = places(whole([row["image_id"] for row in rows]), image_ids)
    labels = places(whole([row["category_id"] for row in rows]), category_ids)
    boxes = np.array([row["bbox"] for row in rows], dtype=np.float64).reshape(-1, 4)
    areas = np.array([row["area"] for row in rows], dtype=np.float64)
    crowds = np.array([row["iscrowd"] for row in rows], dtype=bool)
    known = (places_of_images >= 0) & (labels >= 0)
    columns = (column[known] for column in (places_of_images, labels, boxes, areas, crowds))
    sizes = whole([(image["width"], image["height"]) for image in images]).reshape(-1, 2)
    return GroundTruth(image_ids, sizes, category_ids, class_names(categories), *columns)


def mapping_of(truth):
    """What `truth_of` would make this `GroundTruth` of; annotations are numbered from 1."""
    ids = {"image_id": truth.image_ids[truth.images], "category_id": truth.category_ids[truth.labels]}
    columns = ids | {"bbox": truth.boxes, "area": truth.areas, "iscrowd": truth.crowds.astype(int)}
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    sizes = zip(truth.image_ids.tolist(), truth.sizes.tolist(), strict=True)
    classes = zip(truth.category_ids.tolist(), truth.names, strict=True)
    return {
        "images": [{"id": number, "width": width, "height": height} for number, (width, height) in sizes],
        "categories": [{"id": number, "name": name} for number, name in classes],
        "annotations": [{"id": number, **dict(zip(columns, row, strict=True))} for number, row in enumerate(rows, 1)],
    }


def whole(values):
    return np.asarray(values, dtype=np.int64)
