"""`detect crop_boxes`: a classifier's set out of images with boxes."""

import argparse
import sys
from pathlib import Path

from detect.cli.common import answer, number, say_of, whole

HELP = "make images of single objects, by class, from images with boxes"


def arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--data", required=True, help="data folder, data YAML, or the file that describes the data")
    sub.add_argument("--split", default="train", help="train, val, ... (train)")
    sub.add_argument("--out", required=True, help="folder that gets SPLIT/CLASS/*.jpg")
    sub.add_argument("--classes", help="names of the classes, with commas between (all)")
    sub.add_argument("--min-side", type=whole(1, 100_000), default=32, help="shortest side of a box taken, px (32)")
    sub.add_argument("--limit", type=whole(1, 10**9), help="largest number of images of a class (all)")
    sub.add_argument("--margin", type=number(0, 10), default=0.1, help="share of a box's sides added around it (0.1)")


def run(args: argparse.Namespace) -> None:
    from detect import config
    from detect.data.crops import crop_boxes
    from detect.data.dataset import Dataset

    dataset = Dataset.of_split(config.read_data(args.data), args.split)
    classes = args.classes.split(",") if args.classes else None
    folder = Path(args.out, args.split)
    counts = crop_boxes(dataset, folder, classes, args.min_side, args.limit, args.margin, sys.stderr.isatty())
    say = say_of(args)
    for name, count in counts.items():
        say(f"{count:6d}  {name}")
    say(f"{sum(counts.values())} images in {folder}")
    answer(args, {"folder": str(folder), "images": counts})
