"""Labels that another detector gave, as COCO JSON with scores to learn from (`data.pseudo`).

    python tools/teacher_labels.py labels.json --images partial.json --categories train.json --out taught.json

`labels.json` is `{file_name: [[left, top, right, bottom, score, label], ...]}` in image px, label k meaning the k-th
category by id. The images come from a COCO JSON; the boxes it holds stay, without a score, and hide those boxes of the
teacher that they overlap. `tools/label.py` writes such a file with any detector that this framework runs.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

sys.path[0] = str(Path(__file__).resolve().parents[1])

from detect.files import write_text  # noqa: E402
from detect.ops.boxes import iou, xywh_to_xyxy, xyxy_to_xywh  # noqa: E402

SAME = 0.5  # IoU from which on a teacher's box is taken for one that is there


def with_scores(labels: dict, images: dict, categories: list[dict]) -> dict:
    """The COCO content of `images` with the teacher's boxes added and all `categories`."""
    ids = sorted(category["id"] for category in categories)
    checked = {image["id"]: [] for image in images["images"]}
    for annotation in images["annotations"]:
        checked[annotation["image_id"]].append(annotation)
    annotations = list(images["annotations"])
    for image in images["images"]:
        boxes = np.array(labels.get(image["file_name"], []), dtype=np.float64).reshape(-1, 6)
        theirs = xywh_to_xyxy([annotation["bbox"] for annotation in checked[image["id"]]])
        new = (iou(boxes[:, None, :4], theirs[None]) < SAME).all(axis=1)
        for box, row in zip(xyxy_to_xywh(boxes[new, :4]).tolist(), boxes[new], strict=True):
            annotation = {"image_id": image["id"], "category_id": ids[int(row[5])], "iscrowd": 0, "score": row[4]}
            annotations.append(annotation | {"bbox": [round(side, 1) for side in box], "area": box[2] * box[3]})
    numbered = [annotation | {"id": number} for number, annotation in enumerate(annotations, 1)]
    return {"images": images["images"], "categories": categories, "annotations": numbered}


def main() -> None:
    """Read the command line and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labels", type=Path, help="the teacher's labels")
    parser.add_argument("--images", type=Path, required=True, help="COCO JSON with the images and, if any, true boxes")
    parser.add_argument("--categories", type=Path, required=True, help="COCO JSON with the categories of the labels")
    parser.add_argument("--out", type=Path, required=True, help="COCO JSON to write")
    args = parser.parse_args()
    labels, images, classes = (json.loads(path.read_text()) for path in (args.labels, args.images, args.categories))
    write_text(args.out, json.dumps(with_scores(labels, images, classes["categories"])))


if __name__ == "__main__":
    main()
