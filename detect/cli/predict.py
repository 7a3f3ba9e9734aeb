"""`detect predict`: detect in images, folders, videos, webcams and streams."""

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

HELP = "detect in images, folders, videos, webcams or streams"


def arguments(sub: argparse.ArgumentParser) -> None:
    source_option(sub, "image, folder, 'glob*', video, webcam number or URL")
    sub.add_argument("--weights", help=f"{WEIGHTS} (ours)")
    darknet_options(sub)
    sub.add_argument("--out", help="folder for annotated images, videos and detections.json (a new one in runs)")
    sub.add_argument(
        "--min-score",
        "--conf",
        type=score,
        help="leave out detections below it; auto: what suits each class best (the weights' own, or 0.25)",
    )
    sub.add_argument("--show", action="store_true", help="also show them in a window; q ends")
    how_much = sub.add_mutually_exclusive_group()
    how_much.add_argument("--verbose", action="store_true", help="a line for every frame of a video")
    how_much.add_argument("--quiet", action="store_true", help="say only what was found in all, and what went wrong")
    limit_option(sub)
    predictor_options(sub, default_batch=1)


def run(args: argparse.Namespace) -> int:
    if args.show:  # before PyTorch is loaded, and the network
        from detect.inference.window import check_display

        check_display()
    from detect.api.load import RELEASED, open_detector
    from detect.files import filled_folder, new_folder, printable
    from detect.inference.pipeline import detect_files
    from detect.inference.result import describe

    say, options = say_of(args), predictor_arguments(args)
    opened = open_detector(
        args.weights or RELEASED, min_score=args.min_score, max_detections=args.max_detections, **options
    )
    for note in opened.notes:
        complain(note)
    with filled_folder(args.out) if args.out else new_folder("runs", "detect") as folder:
        summary = detect_files(
            opened.predictor,
            source_of(args),
            folder,
            show=args.show,
            show_progress=not args.quiet,
            verbose=args.verbose,
            log=(lambda _: None) if args.quiet else say,
            warn=complain,
        )
    if summary["limited"]:
        complain(limit_note(summary["limited"], summary["frames"]))
    if summary["frames"]:
        say(f"{summary['frames']} frames, {summary['fps']:.1f} frames/s end to end: {describe(summary['counts'])}")
        for path in [*summary["files"], summary["json"]]:
            say(printable(path))
    answer(args, summary)
    return 1 if summary["errors"] else 0
