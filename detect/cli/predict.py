"""`detect predict`: detect in images, folders, videos, webcams and streams."""

import argparse
from contextlib import nullcontext
from pathlib import Path

from detect.cli.common import (
    WEIGHTS,
    answer,
    complain,
    darknet_options,
    number,
    predictor_arguments,
    predictor_options,
    say_of,
)  # fmt: skip

HELP = "detect in images, folders, videos, webcams or streams"


def arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--source", required=True, help="image, folder, 'glob*', video, webcam number or URL")
    sub.add_argument("--weights", help=f"{WEIGHTS} (ours)")
    darknet_options(sub)
    sub.add_argument("--out", help="folder for annotated images, videos and detections.json (a new one in runs)")
    sub.add_argument("--min-score", "--conf", type=number(0, 1), help="leave out detections below it (0.25)")
    sub.add_argument("--show", action="store_true", help="also show them in a window; q ends")
    sub.add_argument("--quiet", action="store_true", help="no line for every frame of a video")
    predictor_options(sub, default_batch=1)


def run(args: argparse.Namespace) -> int:
    from detect.api.load import RELEASED, open_detector
    from detect.files import new_folder
    from detect.inference.pipeline import detect_files
    from detect.inference.result import describe

    say, options = say_of(args), predictor_arguments(args)
    opened = open_detector(args.weights or RELEASED, min_score=args.min_score, **options)
    for note in opened.notes:
        complain(note)
    with nullcontext(Path(args.out)) if args.out else new_folder("runs", "detect") as folder:
        summary = detect_files(
            opened.predictor, args.source, folder, show=args.show, verbose=not args.quiet, log=say, warn=complain
        )
    say(f"{summary['frames']} frames, {summary['fps']:.1f} frames/s end to end: {describe(summary['counts'])}")
    for path in [*summary["files"], summary["json"]]:
        say(path)
    answer(args, summary)
    return 1 if summary["errors"] else 0
