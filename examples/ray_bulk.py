"""Detect in a folder or a bucket of images on many machines, with Ray Data.

    pip install 'csp-detect[openvino,ray]'
    python examples/ray_bulk.py --weights model.xml --source photos --out found --workers 4
    python examples/ray_bulk.py --weights model.xml --source s3://bucket/photos --out s3://bucket/found --address auto

Each worker is a process with a detector of its own, whose file it must find under the same path on every machine. The
results are files of JSON lines in --out, one for each block of images: {"file", "width", "height", "detections":
[{"box", "score", "name"}], "error"}. An image that cannot be read costs its line, which says why. A worker that is
killed is started again, and what it was at is done anew; a block is written when it is whole.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would tell its maker of every run

SUFFIXES = ["jpg", "jpeg", "png", "webp", "bmp", "gif", "tif", "tiff", "avif"]
BATCH = 16  # images that a worker is given at a time


class Detect:
    """What a worker does: a batch of files' bytes -> a batch of results.

    Args:
        weights: as in `detect.load`.
        options: of `detect.load`.
    """

    def __init__(self, weights: str, **options: Any) -> None:
        import detect

        self.predictor = detect.load(weights, **options)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        rows = [self.row(path, data) for path, data in zip(batch["path"], batch["bytes"], strict=True)]
        return {key: [row[key] for row in rows] for key in rows[0]}

    def row(self, path: str, data: bytes) -> dict[str, Any]:
        """The result of one image; of one that cannot be read, why."""
        from detect.errors import UserError
        from detect.ops.image import decode_image

        try:
            result = self.predictor(decode_image(data, path))
        except UserError as error:
            return {"file": path, "width": 0, "height": 0, "detections": [], "error": str(error)}
        height, width = result.image.shape[:2]
        detections = [
            {"box": [round(side, 2) for side in box.tolist()], "score": round(score, 5), "name": name}
            for box, score, name in result
        ]
        return {"file": path, "width": width, "height": height, "detections": detections, "error": ""}


def detect_in(source: str, out: str, weights: str, workers: int, **options: Any) -> None:
    """Detect in all images of a folder or bucket; Ray is running already.

    Args:
        source: a path or an address that Ray Data reads (s3://, gs://, ...), with its subfolders.
        out: a folder or an address for the files of JSON lines.
        weights: a file that every machine has, or a name of `detect zoo`.
        workers: processes with a detector.
        options: of `detect.load`.
    """
    import ray

    images = ray.data.read_binary_files(source, include_paths=True, file_extensions=SUFFIXES)
    found = images.map_batches(
        Detect,
        fn_constructor_args=(weights,),
        fn_constructor_kwargs=options,
        batch_size=BATCH,
        concurrency=workers,
        num_cpus=options.get("threads") or 1,
    )
    found.write_json(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--source", required=True, help="folder or address of the images")
    parser.add_argument("--out", required=True, help="folder or address for files of JSON lines")
    parser.add_argument("--weights", default="yolov4_tiny_coco", help="exported file, weights, or a name of detect zoo")
    parser.add_argument("--workers", type=int, default=2, help="processes with a detector (2)")
    parser.add_argument("--threads", type=int, default=1, help="cores of each (1)")
    parser.add_argument("--min-score", type=float, help="leave out detections below it (the weights' own)")
    parser.add_argument("--address", help="of a cluster, or auto; without it all runs on this machine")
    args = parser.parse_args()

    import ray

    weights = str(Path(args.weights).resolve()) if os.path.exists(args.weights) else args.weights
    source = str(Path(args.source).resolve()) if os.path.exists(args.source) else args.source
    out = args.out if "://" in args.out else str(Path(args.out).resolve())
    ray.init(address=args.address, include_dashboard=False, log_to_driver=False)
    detect_in(source, out, weights, args.workers, threads=args.threads, min_score=args.min_score)


if __name__ == "__main__":
    sys.exit(main())
