"""Labels that another detector gave, as COCO JSON with scores to learn from (`data.pseudo`).

    python tools/teacher_labels.py labels.json --images partial.json --categories train.json --out taught.json

`labels.json` is `{file_name: [[left, top, right, bottom, score, label], ...]}` in image px, label k meaning the k-th
category by id. The images come from a COCO JSON; the boxes it holds stay as they are, those with a score as well, and
hide those boxes of the teacher that they overlap. Detectors that this framework runs need no such list:
`tools/label.py` writes COCO JSON with scores itself.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path[0] = str(Path(__file__).resolve().parents[1])

from detect.data.formats.coco_json import CocoReader, read_object  # noqa: E402
from detect.errors import UserError  # noqa: E402
from detect.files import printable, read_json, write_text  # noqa: E402
from detect.ops.boxes import iou, xywh_to_xyxy, xyxy_to_xywh  # noqa: E402

SAME = 0.5  # IoU from which on a teacher's box is taken for one that is there
ROW = "[left, top, right, bottom, score, label] in px, the score from 0 to 1"


def read_images(path: Path, categories_path: Path) -> dict[str, Any]:
    """The images and annotations of one COCO JSON with the categories of the other.  Raises UserError."""
    own = read_object(path)
    categories = read_object(categories_path).get("categories")
    content = {"images": own.get("images"), "categories": categories, "annotations": own.get("annotations", [])}
    readers = [CocoReader(own, path.parent, has_annotations=False), CocoReader(content, path.parent)]
    for reader in readers:
        for fault in reader.faults():
            if not fault.is_bad_box:
                source = categories_path if reader is readers[1] and fault.where.startswith("categories") else path
                raise UserError(f"{printable(source)}: {fault.sentence}")
    for category in readers[0].categories:
        if category not in readers[1].categories:
            told = f"{printable(path)}: its category {category['id']}, '{printable(category['name'])}'"
            raise UserError(f"{told}, is not in {printable(categories_path)}; give both files the same ids and names")
    return content


def read_labels(path: Path, num_classes: int) -> dict[str, list[list[float]]]:
    """The teacher's rows by file name.  Raises UserError."""
    labels = read_json(path)
    if not isinstance(labels, dict) or not all(isinstance(rows, list) for rows in labels.values()):
        raise UserError(f"{printable(path)}: must be an object with a list of boxes for each file name")
    for name, rows in labels.items():
        for number, row in enumerate(rows):
            where = f"{printable(path)}: box {number} of '{printable(name)}'"
            numbers = isinstance(row, list) and all(type(x) in (int, float) and abs(x) < 1e9 for x in row)
            if not numbers or len(row) != 6 or not 0 <= row[4] <= 1:
                raise UserError(f"{where} is {printable(row)[:60]}; it must be {ROW}")
            if row[5] not in range(num_classes):
                raise UserError(f"{where} has the label {row[5]}; there are {num_classes} categories, from 0 on")
    return labels


def with_scores(labels: dict[str, list[list[float]]], content: dict[str, Any]) -> dict[str, Any]:
    """The COCO content of `read_images` with the teacher's boxes added."""
    ids = sorted(category["id"] for category in content["categories"])
    checked: dict[int, list[Any]] = {image["id"]: [] for image in content["images"]}
    for annotation in content["annotations"]:
        checked[annotation["image_id"]].append(annotation)
    annotations = list(content["annotations"])
    for image in content["images"]:
        boxes = np.array(labels.get(image["file_name"], []), dtype=np.float64).reshape(-1, 6)
        theirs = xywh_to_xyxy([annotation["bbox"] for annotation in checked[image["id"]]])
        new = (iou(boxes[:, None, :4], theirs[None]) < SAME).all(axis=1)
        for box, row in zip(xyxy_to_xywh(boxes[new, :4]).tolist(), boxes[new], strict=True):
            annotation = {"image_id": image["id"], "category_id": ids[int(row[5])], "iscrowd": 0, "score": row[4]}
            annotations.append(annotation | {"bbox": [round(side, 1) for side in box], "area": box[2] * box[3]})
    numbered = [annotation | {"id": number} for number, annotation in enumerate(annotations, 1)]
    return content | {"annotations": numbered}


def run(args: argparse.Namespace) -> None:
    """Write the file, and say what is in it.  Raises UserError."""
    if args.out.resolve() in [path.resolve() for path in (args.labels, args.images, args.categories)]:
        raise UserError(f"--out {printable(args.out)}: is one of the files to read; give another name")
    content = read_images(args.images, args.categories)
    labels = read_labels(args.labels, len(content["categories"]))
    strange = sorted(labels.keys() - {image["file_name"] for image in content["images"]})
    if len(strange) == len(labels):
        example = f"'{content['images'][0]['file_name']}'" + (f", not '{printable(strange[0])}'" if strange else "")
        raise UserError(f"{printable(args.labels)}: names no image of {printable(args.images)}; names there: {example}")
    taught = with_scores(labels, content)
    write_text(args.out, json.dumps(taught))
    added = len(taught["annotations"]) - len(content["annotations"])
    print(f"{printable(args.out)}: {added} boxes of the teacher added in {len(content['images'])} images")
    if strange:
        left = f"{len(strange)} of its {len(labels)} file names, '{printable(strange[0])}' the first"
        print(f"{printable(args.labels)}: {left}, are of no image", file=sys.stderr)


def main() -> int:
    """Read the command line and write the file; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labels", type=Path, help="the teacher's labels")
    parser.add_argument("--images", type=Path, required=True, help="COCO JSON with the images and, if any, true boxes")
    parser.add_argument("--categories", type=Path, required=True, help="COCO JSON with the categories of the labels")
    parser.add_argument("--out", type=Path, required=True, help="COCO JSON to write")
    try:
        run(parser.parse_args())
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
