"""`detect serve`: a page to watch a source on, and an address that takes images."""

import argparse

from detect.cli.common import (
    WEIGHTS,
    complain,
    darknet_options,
    number,
    predictor_arguments,
    predictor_options,
    say_of,
    whole,
)  # fmt: skip
from detect.serve import LOWEST

HELP = "watch a camera on a web page, and detect in images that are sent"


def arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--weights", help=f"{WEIGHTS} (ours)")
    darknet_options(sub)
    sub.add_argument("--source", help="webcam number, address of a stream or video to watch (none)")
    sub.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1: this machine alone)")
    sub.add_argument("--port", type=whole(0, 65535), default=8000, help="(8000; 0: a free one)")
    sub.add_argument("--token", help="what others must know to use it; needed for any other --host")
    sub.add_argument("--min-score", "--conf", type=number(LOWEST, 1), help="shown at first (the weights' own, or 0.25)")
    predictor_options(sub, default_batch=1)


def run(args: argparse.Namespace) -> None:
    from detect.serve.run import check_address, listening
    from detect.serve.run import run as serve

    check_address(args.host, args.token)
    listener = listening(args.host, args.port)
    from detect.api.serve import server

    options = predictor_arguments(args)
    made = server(args.weights, args.source, min_score=args.min_score, token=args.token, warn=complain, **options)
    serve(made, listener, say_of(args))
