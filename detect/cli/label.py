"""`detect label`: one's own photos labelled by a detector, as COCO JSON."""

import argparse

from detect.cli.common import (
    WEIGHTS,
    answer,
    complain,
    darknet_options,
    limit_note,
    limit_option,
    predictor_arguments,
    predictor_options,
    say_of,
    score,
    source_of,
    source_option,
)  # fmt: skip

HELP = "label your own photos with a detector: COCO JSON to correct, or to learn from"


def arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--weights", required=True, help=WEIGHTS)
    darknet_options(sub)
    source_option(sub, "folder of photos (subfolders not), a photo, or 'glob*'")
    sub.add_argument("--out", required=True, help="the .json to write")
    sub.add_argument("--min-score", type=score, default=0.05, help="leave out detections below it, or auto (0.05)")
    sub.add_argument("--overwrite", action="store_true", help="replace --out even if it holds something else")
    limit_option(sub)
    predictor_options(sub, default_batch=1)


def run(args: argparse.Namespace) -> int:
    from detect.api.label import label
    from detect.files import printable

    say = say_of(args)
    told = label(
        args.weights,
        source_of(args),
        args.out,
        min_score=args.min_score,
        max_detections=args.max_detections,
        overwrite=args.overwrite,
        log=say,
        warn=complain,
        **predictor_arguments(args),
    )
    for name, count in told["counts"].items():
        say(f"{count:6d}  {printable(name)}")
    say(printable(f"{told['boxes']} boxes in {told['images']} images of {told['folder']}: {told['file']}"))
    if told["limited"]:
        complain(limit_note(told["limited"], told["images"]))
    if told["errors"]:
        complain(f"not labelled: {len(told['errors'])}")
    answer(args, told)
    return 1 if told["errors"] else 0
