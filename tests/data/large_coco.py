"""A COCO JSON of COCO's size for measuring: python tests/data/large_coco.py FOLDER [--images 118287] [--boxes 860000]

Writes FOLDER/annotations/train.json and empty files FOLDER/images/*.jpg; what it holds depends on the numbers alone.
"""

import argparse
import json
from pathlib import Path

import numpy as np


def large_coco(images, boxes, classes=80, outlines=True, seed=0):
    """COCO JSON's object: images of 640x480 px, boxes of all sizes, ids with gaps; outlines of four points."""
    rng = np.random.default_rng(seed)
    sides = np.exp(rng.uniform(np.log(8), np.log(400), (boxes, 2))).round(2)
    corners = (rng.random((boxes, 2)) * ([640, 480] - sides)).round(2)
    image_ids, category_ids = rng.integers(1, images + 1, boxes) * 4, rng.integers(1, classes + 1, boxes)
    rows = zip(image_ids.tolist(), category_ids.tolist(), corners.tolist(), sides.tolist(), strict=True)
    annotations = [
        {
            "segmentation": [[x, y, x + w, y, x + w, y + h, x, y + h]] if outlines else [],
            "area": round(w * h, 2), "iscrowd": int(number % 80 == 0), "image_id": image_id,
            "bbox": [x, y, w, h], "category_id": category_id, "id": number + 1000,
        }
        for number, (image_id, category_id, (x, y), (w, h)) in enumerate(rows)
    ]  # fmt: skip
    return {
        "images": [
            {"license": 3, "file_name": f"{4 * n:012}.jpg", "coco_url": f"http://images/{4 * n:012}.jpg", "height": 480,
             "width": 640, "date_captured": "2013-11-14 11:18:45", "id": 4 * n}
            for n in range(1, images + 1)
        ],
        "annotations": annotations,
        "categories": [{"supercategory": "thing", "id": n, "name": f"class {n}"} for n in range(1, classes + 1)],
    }  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=118_287)
    parser.add_argument("--boxes", type=int, default=860_000)
    args = parser.parse_args()
    content = large_coco(args.images, args.boxes)
    for name in ("annotations", "images"):
        (args.folder / name).mkdir(parents=True)
    (args.folder / "annotations" / "train.json").write_text(json.dumps(content))
    for image in content["images"]:
        (args.folder / "images" / image["file_name"]).touch()


if __name__ == "__main__":
    main()
