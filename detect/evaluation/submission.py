"""Files for the COCO server: results as JSON, the zip that test-dev wants, and the list of its images."""

import json
import re
import zipfile
from pathlib import Path
from typing import NamedTuple

from detect.errors import UserError
from detect.evaluation.coco import check_image, is_id, records, short
from detect.files import read_json, replacing, stays_inside, write_text

RESULT_KEYS = ("image_id", "category_id", "bbox", "score")
PLAIN_WORD = re.compile(r"[A-Za-z0-9._-]{1,100}")


class ImageInfo(NamedTuple):
    """One image of an image list without annotations; `file_name` is relative to the image folder."""

    id: int
    file_name: str
    width: int  # px
    height: int  # px


def load_image_info(path):
    """`image_info_test-dev2017.json` and its like -> list of ImageInfo, in the file's order; UserError when wrong."""
    images, seen = [], set()
    for index, record in enumerate(records(read_json(path), "images", path)):
        where = f"{path}: image {index}"
        check_image(record, where)
        if record["id"] in seen:
            raise UserError(f"{where} has id {record['id']}, which an earlier one has too; make ids unique")
        seen.add(record["id"])
        name = record.get("file_name")
        if not stays_inside(name):
            raise UserError(f"{where} (id {record['id']}) has file_name {short(name)}; name a file in the image folder")
        images.append(ImageInfo(*(record[field] for field in ImageInfo._fields)))
    return images


def test_dev_categories(path):
    """The `{"id", "name"}` that an image list names, by ascending id, if it does; UserError when they are wrong."""
    content = read_json(path)
    if not isinstance(content, dict) or "categories" not in content:
        return None
    categories = records(content, "categories", path)
    for index, category in enumerate(categories):
        if not is_id(category.get("id")) or not isinstance(category.get("name"), str):
            raise UserError(f"{path}: category {index} needs a whole number 'id' and a text 'name'; add them")
    return sorted(categories, key=lambda category: category["id"])


def write_results(path, detections):
    """Detections (COCO's results) as JSON, whole or not at all; UserError when it cannot be written."""
    rows = [{key: detection[key] for key in RESULT_KEYS} for detection in detections]
    try:
        text = json.dumps(rows, separators=(",", ":"), allow_nan=False)
    except ValueError:
        raise UserError(f"{path}: a box or score is NaN or infinite; the model's weights are likely broken") from None
    write_text(path, text)


def check_name(name):
    """UserError unless `name` is fit to be part of a submission's file names."""
    if not PLAIN_WORD.fullmatch(name):
        raise UserError(f"name {short(name)} of the submission: use at most 100 letters, digits, '.', '_' or '-'")


def write_test_dev(folder, name, detections):
    """The two files of a test-dev submission in `folder`: (JSON, the zip with just that JSON to upload).

    `name` says which method it is; it becomes part of the file names, so only letters, digits, `.`, `_` and `-`.
    """
    check_name(name)
    json_path = Path(folder) / f"detections_test-dev2017_{name}_results.json"
    zip_path = json_path.with_name(f"{json_path.stem}.zip")
    write_results(json_path, detections)
    with replacing(zip_path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(json_path, arcname=json_path.name)
    return json_path, zip_path
