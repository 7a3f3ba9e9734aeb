"""Files for the COCO server: results as JSON, and the zip that test-dev wants."""

import json
import re
import zipfile
from pathlib import Path

from detect.data.formats.reader import short
from detect.errors import UserError
from detect.evaluation.detections import Detections
from detect.files import replacing, write_text

PLAIN_WORD = re.compile(r"[A-Za-z0-9._-]{1,100}")


def write_results(path: str | Path, detections: Detections) -> None:
    """COCO's results as JSON, whole or not at all; UserError when the file cannot be written."""
    write_text(path, json.dumps(detections.results(), separators=(",", ":"), allow_nan=False))


def check_name(name: str) -> None:
    """UserError unless `name` is fit to be part of a submission's file names."""
    if not PLAIN_WORD.fullmatch(name):
        raise UserError(f"name {short(name)} of the submission: use at most 100 letters, digits, '.', '_' or '-'")


def write_test_dev(folder: str | Path, name: str, detections: Detections) -> tuple[Path, Path]:
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
