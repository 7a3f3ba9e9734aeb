"""`detect predict`: detect in images, folders, videos, webcams and streams."""

import argparse
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

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
    whole,
)  # fmt: skip

if TYPE_CHECKING:
    from detect.inference.options import Options
    from detect.inference.sources import Source
    from detect.inference.tally import Summary

HELP = "detect in images, folders, videos, webcams or streams"


def arguments(sub: argparse.ArgumentParser) -> None:
    source_option(
        sub, "image, folder, 'glob*', video, webcam number or URL", "several: files one by one, live ones at once"
    )
    sub.add_argument("--weights", help=f"{WEIGHTS} (ours)")
    darknet_options(sub)
    sub.add_argument(
        "--min-score",
        "--conf",
        type=score,
        help="leave out detections below it; auto: what suits each class best (the weights' own, or 0.25)",
    )
    sub.add_argument("--classes", type=_words, metavar="NAME,...", help="look for these only (all)")
    _file_options(sub)
    _video_options(sub)
    sub.add_argument("--show", action="store_true", help="also show them in a window; q ends")
    how_much = sub.add_mutually_exclusive_group()
    how_much.add_argument("--verbose", action="store_true", help="a line for every frame of a video")
    how_much.add_argument("--quiet", action="store_true", help="say only what was found in all, and what went wrong")
    limit_option(sub)
    predictor_options(sub, default_batch=1)


def _file_options(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--out", help="folder for what is written (a new one in runs)")
    what = sub.add_mutually_exclusive_group()
    what.add_argument(
        "--outputs",
        type=_words,
        metavar="NAME,...",
        help="of annotated, json, jsonl, coco, yolo, csv, crops (annotated,json; of live sources annotated,jsonl)",
    )
    what.add_argument(
        "--no-save", dest="outputs", action="store_const", const=[], help="write nothing: for --show and --json"
    )
    sub.add_argument("--resize-output", type=whole(16, 8190), metavar="PX", help="longer side of annotated images")
    sub.add_argument("--segment", metavar="10m", help="begin a new video and .jsonl file after so long")


def _video_options(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--every", type=whole(1, 100_000), default=1, metavar="N", help="look at one frame of N (1)")
    sub.add_argument(
        "--reconnect", type=whole(0, 1_000_000), metavar="N", help="attempts when a live source is lost (no end)"
    )
    sub.add_argument("--track", action="store_true", help="give what moves a number that stays")
    sub.add_argument(
        "--line", action="append", default=[], metavar="X1,Y1,X2,Y2", help="count what crosses it, px of the image"
    )
    sub.add_argument("--zone", metavar="FILE.json", help='count what is inside: {"name": [[x, y], ...]}')


def run(args: argparse.Namespace) -> int:
    if args.show:  # before PyTorch is loaded, and the network
        from detect.inference.window import check_display

        check_display()
    from detect.api.load import RELEASED, open_detector
    from detect.files import filled_folder, new_folder
    from detect.inference.pipeline import detect_files

    say, loading = say_of(args), predictor_arguments(args)
    options, source = _options(args), source_of(args)
    limits = {"min_score": args.min_score, "max_detections": args.max_detections}
    opened = open_detector(args.weights or RELEASED, streams=_streams(source), **limits, **loading)
    for note in opened.notes:
        complain(note)
    with filled_folder(args.out) if args.out else new_folder("runs", "detect") as folder:
        summary = detect_files(
            opened.predictor,
            source,
            folder,
            replace(options, categories=opened.categories),
            log=(lambda _: None) if args.quiet else say,
            warn=complain,
        )
    _tell(summary, say)
    answer(args, summary)
    return 1 if summary["errors"] else 0


def _options(args: argparse.Namespace) -> "Options":
    """Of this run; checked before the detector is loaded."""
    from detect.inference.counting import Line, read_zones
    from detect.inference.live import Watching
    from detect.inference.options import Options
    from detect.inference.sinks.segments import seconds_of

    return Options(
        outputs=args.outputs,
        watching=Watching(args.every, args.reconnect),
        segment=None if args.segment is None else seconds_of(args.segment),
        resize_output=args.resize_output,
        classes=args.classes,
        track=args.track,
        lines=[Line.of(text) for text in args.line],
        zones=read_zones(args.zone) if args.zone else {},
        show=args.show,
        show_progress=not args.quiet,
        verbose=args.verbose,
    )


def _streams(source: "Source") -> int:
    """How many images to compute side by side: files on all cores; a live one is to be done as soon as can be."""
    from detect.errors import UserError
    from detect.inference.exported_runtime import cores
    from detect.inference.sources import find_items

    try:
        media = [item.medium for item in find_items(source, lambda _: None)]
    except UserError:  # said when the source is read
        return 1
    return 1 if "live" in media or media == ["image"] else cores()


def _tell(summary: "Summary", say: Callable[[str], None]) -> None:
    """What was found in all, and the files."""
    from detect.files import printable
    from detect.inference.result import describe
    from detect.inference.tally import in_words

    if summary["limited"]:
        complain(limit_note(summary["limited"], summary["frames"]))
    if summary["frames"]:
        latency = summary.get("latency")
        late = in_words((latency["median"] / 1000, latency["p95"] / 1000)) if latency else ""
        speed = f"{summary['frames']} frames, {summary['fps']:.1f} frames/s end to end{late}"
        say(f"{speed}: {describe(summary['counts'])}")
        for path in [*summary["files"], *([summary["json"]] if summary["json"] else [])]:
            say(printable(path))


def _words(text: str) -> list[str]:
    """An argument type: one word or several, with commas between."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words:
        raise argparse.ArgumentTypeError(f"'{text}' names nothing")
    return words
