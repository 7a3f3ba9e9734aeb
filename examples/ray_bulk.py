"""Detect in a folder or a bucket of images with several processes or machines, by Ray Data.

    pip install 'csp-detect[openvino,ray]'
    python examples/ray_bulk.py --weights model.xml --source photos --out found --workers 2
    python examples/ray_bulk.py --weights model.xml --source s3://bucket/photos --out s3://bucket/found --address auto

The listing of the images, in the order of their names, is cut into blocks. Each worker is a process with a detector of
its own, which is given one block after the other, reads its images itself and writes its lines as one file of --out: a
JSON object an image, {"source", "width", "height", "detections": [{"box", "score", "label", "name"}]}, or {"source",
"error"} for one that cannot be read. A file takes its name when it is whole. So a worker that is killed costs the block
it was at, which is done anew, and a run that was stopped goes on where it was when it is started again.

On a cluster every machine needs this package, and the weights under the same path.
"""

import argparse
import hashlib
import json
import os
import posixpath
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

from pyarrow import fs

import detect
from detect.errors import UserError
from detect.files import TEMPORARY, printable
from detect.ops.image import IMAGE_SUFFIXES, decode_image

SETTINGS = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DATA_DISABLE_PROGRESS_BARS": "1"}  # the first would tell its maker
MAX_BYTES = 1 << 30  # of an image's file
OBJECT_STORE = 100 << 20  # bytes; only names travel between processes


class Block(NamedTuple):
    """Images that are detected in one after the other; `file`: the name of their lines in the folder of results."""

    file: str
    names: list[str]  # of the images, within the source


def blocks_of(source: str, size: int, job: dict[str, Any]) -> list[Block]:
    """The images of a folder or address, with its subfolders, `size` of them a block.

    The name of a block's file holds a hash of its images and of the `job`, so that no other job's lines are taken for
    its own.
    """
    files, root = fs.FileSystem.from_uri(source)
    found = files.get_file_info(fs.FileSelector(root, recursive=True))
    names = sorted(posixpath.relpath(info.path, root) for info in found if info.type == fs.FileType.File)
    names = [name for name in names if posixpath.splitext(name)[1].lower() in IMAGE_SUFFIXES]
    blocks = []
    for number, start in enumerate(range(0, len(names), size)):
        chosen = names[start : start + size]
        digest = hashlib.sha256(json.dumps([job, source, chosen], sort_keys=True).encode()).hexdigest()[:12]
        blocks.append(Block(f"{number:06d}-{digest}.jsonl", chosen))
    return blocks


class Worker:
    """One detector in a process of its own: a row {"file", "names"} -> the row of what came of that block."""

    def __init__(self, source: str, out: str, weights: str, options: dict[str, Any]) -> None:
        self.images, self.root = fs.FileSystem.from_uri(source)
        self.results, self.out = fs.FileSystem.from_uri(out)
        self.detector = detect.load(weights, **options)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        path = posixpath.join(self.out, row["file"])
        if self.results.get_file_info(path).type == fs.FileType.NotFound:
            lines = [self.line(name) for name in row["names"]]
            temporary = posixpath.join(self.out, TEMPORARY + row["file"])
            with self.results.open_output_stream(temporary) as file:
                file.write("".join(json.dumps(line) + "\n" for line in lines).encode())
            self.results.move(temporary, path)
        return {"file": row["file"], "images": len(row["names"]), "process": os.getpid()}

    def line(self, name: str) -> dict[str, Any]:
        """What is found in an image, or why it cannot be read."""
        try:
            with self.images.open_input_stream(posixpath.join(self.root, name)) as file:
                data = file.read(MAX_BYTES + 1)
            if len(data) > MAX_BYTES:
                raise UserError(f"{printable(name)}: larger than {MAX_BYTES >> 20} MiB; is this an image?")
            found = self.detector(decode_image(data, name)).to_dict()
        except (UserError, OSError) as error:
            return {"source": name, "error": str(error)}
        return {"source": name} | {key: found[key] for key in ("width", "height", "detections")}


def waiting(blocks: list[Block], out: str) -> list[Block]:
    """The blocks whose file is not in `out` yet.  Raises UserError: there are results of another job."""
    results, folder = fs.FileSystem.from_uri(out)
    results.create_dir(folder, recursive=True)
    there = {posixpath.basename(info.path) for info in results.get_file_info(fs.FileSelector(folder))}
    there = {name for name in there if name.endswith(".jsonl") and not name.startswith(TEMPORARY)}
    if others := there - {block.file for block in blocks}:
        first = printable(min(others))
        raise UserError(f"{out}: holds {first}, which other images or options gave; give another folder")
    return [block for block in blocks if block.file not in there]


def detect_in(
    blocks: list[Block], source: str, out: str, weights: str, workers: int, options: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """Yield a row of `Worker` for each block as it is done, in any order; Ray is running already."""
    import ray

    done = ray.data.from_items([block._asdict() for block in blocks], override_num_blocks=len(blocks)).map(
        Worker,
        fn_constructor_args=(source, out, weights, options),
        compute=ray.data.ActorPoolStrategy(size=min(workers, len(blocks)), max_tasks_in_flight_per_actor=2),
        num_cpus=options["threads"],  # Ray starts an actor that was killed again, and gives it its rows again
    )
    yield from done.iter_rows()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--source", required=True, help="folder or address of the images")
    parser.add_argument("--out", required=True, help="folder or address for the files of JSON lines")
    parser.add_argument("--weights", default="yolov4_tiny_coco", help="exported file, weights, or a name of detect zoo")
    parser.add_argument("--workers", type=int, default=2, help="processes with a detector (2)")
    parser.add_argument("--threads", type=int, default=1, help="cores of each (1)")
    parser.add_argument("--block", type=int, default=256, help="images of a file of results (256)")
    parser.add_argument("--precision", default="f32", help="as of detect predict; f32 is the same on all machines")
    parser.add_argument("--min-score", type=float, help="leave out detections below it (the weights' own)")
    parser.add_argument("--address", help="of a cluster, or auto; without it all runs on this machine")
    args = parser.parse_args()

    source, out = (place if "://" in place else os.path.abspath(place) for place in (args.source, args.out))
    weights = os.path.abspath(args.weights) if os.path.exists(args.weights) else args.weights
    options = {"threads": args.threads, "precision": args.precision, "min_score": args.min_score}
    blocks = blocks_of(source, args.block, {"weights": weights} | options)
    left = waiting(blocks, out)
    print(f"{len(blocks)} blocks of at most {args.block} images, {len(blocks) - len(left)} done already", flush=True)
    if not left:
        return
    detect.load(weights, **options)  # what is wrong with them is said here, and a name is fetched once
    os.environ |= SETTINGS
    import ray

    local = {} if args.address else {"num_cpus": args.workers * args.threads, "object_store_memory": OBJECT_STORE}
    ray.init(address=args.address, include_dashboard=False, log_to_driver=False, logging_level="ERROR", **local)
    for number, row in enumerate(detect_in(left, source, out, weights, args.workers, options), 1):
        print(f"{number}/{len(left)} {row['file']}: {row['images']} images, by process {row['process']}", flush=True)


if __name__ == "__main__":
    try:
        main()
    except (UserError, OSError) as error:
        sys.exit(f"error: {error}")
