"""`detect evaluate`: COCO AP of a detector, or the files for the COCO server."""

import argparse
import os

from detect.cli.common import (
    WEIGHTS,
    answer,
    complain,
    darknet_options,
    predictor_arguments,
    predictor_options,
    say_of,
    whole,
)
from detect.errors import UserError

HELP = "COCO AP of a detector, by pycocotools"


def arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("weights", help=WEIGHTS)
    darknet_options(sub)
    sub.add_argument("--data", help="data folder or data YAML (the one it was trained on)")
    sub.add_argument("--split", default="val", help="val, train, test-dev, ... (val)")
    sub.add_argument("--images", help="folder of images, with --annotations instead of --data")
    sub.add_argument("--annotations", help="COCO JSON file, with --images")
    sub.add_argument("--name", default="detect", help="name of the method in test-dev files")
    sub.add_argument("--out", help="folder for detections.json (the run folder, else a new one in runs)")
    sub.add_argument(
        "--bootstrap",
        type=whole(1, 100_000),
        default=0,
        help="resamples of the images, for 95%% intervals of AP (none)",
    )
    sub.add_argument(
        "--fast",
        action="store_true",
        help="numbers by the evaluator in NumPy, which are the same, instead of pycocotools",
    )
    sub.add_argument(
        "--report",
        nargs="?",
        const=True,
        default=False,
        metavar="PLACE",
        help="write the evaluation as a page: a .html file, or a folder for it (that of the other files)",
    )
    sub.add_argument(
        "--keep-thresholds",
        action="store_true",
        help="write each class's best score threshold into the weights' file, for --min-score auto",
    )
    predictor_options(sub, default_batch=16)


def run(args: argparse.Namespace) -> None:
    from detect.api.evaluate import evaluate
    from detect.engine.distributed import place

    if place(os.environ).size > 1:
        raise UserError("several processes train together, but one evaluates: start it without torchrun")
    if bool(args.images) != bool(args.annotations) or (args.images and args.data):
        raise UserError("give --images with --annotations, or --data, or none of them")
    where = {"split": args.split, "images": args.images, "annotations": args.annotations, "out": args.out}
    what = {"resamples": args.bootstrap, "fast": args.fast, "report": args.report}
    what |= {"keep_thresholds": args.keep_thresholds}
    options = where | what | {"name": args.name, "log": say_of(args), "warn": complain}
    answer(args, evaluate(args.weights, args.data, **options, **predictor_arguments(args)))
