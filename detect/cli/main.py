"""The command line: `detect VERB ...`, and `tools/VERB.py ...`, which are the same.

Exit status: 0 fine; 1 the user can fix it, one sentence says how; 2 a bug; 130 Ctrl-C, 143 SIGTERM, 129 SIGHUP.
"""

import io
import os
import sys
from collections.abc import Sequence

from detect import __version__
from detect.cli import (
    anchors,
    benchmark,
    check,
    classify,
    convert,
    convert_pplcnet,
    crop_boxes,
    evaluate,
    export,
    field_of_view,
    label,
    predict,
    profile,
    serve,
    settings,
    split,
    train,
    zoo,
)  # fmt: skip
from detect.cli.common import Parser, add_verb, with_option
from detect.errors import UserError, nearest
from detect.extras import not_installed
from detect.files import OFFLINE, printable
from detect.interrupt import status_of, stop_interrupts

VERBS = {
    "check": check,
    "anchors": anchors,
    "train": train,
    "evaluate": evaluate,
    "predict": predict,
    "label": label,
    "serve": serve,
    "classify": classify,
    "convert": convert,
    "split": split,
    "crop_boxes": crop_boxes,
    "export": export,
    "convert_pplcnet": convert_pplcnet,
    "profile": profile,
    "field_of_view": field_of_view,
    "benchmark": benchmark,
    "zoo": zoo,
    "settings": settings,
}
# How often a thread of PyTorch looks again before it sleeps. The default, 300,000, makes an image up to fifty times
# slower beside another busy process; this costs nothing on an idle machine (docs/speed.md).
SPIN = "1000"
OUT_OF_MEMORY = ("can't allocate memory", "out of memory")  # how PyTorch's RuntimeErrors say it


def parser() -> Parser:
    """The parser of all verbs; nothing heavy is imported for it."""
    top = Parser(prog="detect", description="Train, evaluate and run real-time object detectors.")
    top.add_argument("--version", action="version", version=f"detect {__version__}")
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, verb in VERBS.items():
        add_verb(verbs, name, verb)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; returns the exit status."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    prepare()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # what a console's encoding lacks is escaped
            stream.reconfigure(errors="backslashreplace")
    try:
        with stop_interrupts():
            return _run(arguments)
    except KeyboardInterrupt as interrupt:
        print("interrupted", file=sys.stderr)
        return status_of(interrupt)


def prepare() -> None:
    """Set what libraries read from the environment as they are imported, unless the user did."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # OpenCV's complaints about files: ours name them
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPIN)


def _run(arguments: Sequence[str]) -> int:
    """`main` without the signals."""
    args = None
    try:
        if arguments and not arguments[0].startswith("-") and arguments[0] not in VERBS:
            raise UserError(f"detect: there is no verb {arguments[0]}{nearest(arguments[0], VERBS)}")
        args = parser().parse_args(arguments)
        if getattr(args, "offline", False):
            os.environ[OFFLINE] = "1"
        return args.run(args) or 0
    except BrokenPipeError:  # whoever read our output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if "--debug" in arguments:
            raise
        if isinstance(error, ModuleNotFoundError):
            error = not_installed(error) or error
        if isinstance(error, UserError) and error.is_told:
            return 1
        if isinstance(error, UserError):
            print(f"error: {printable(with_option(error, args))}", file=sys.stderr)
            for sentence in error.details if len(error.details) > 1 else ():
                print(f"  {printable(sentence)}", file=sys.stderr)
            return 1
        return _unexpected(error)


def _unexpected(error: Exception) -> int:
    """Say what is known of an error that is none of the user's making; returns the exit status."""
    if isinstance(error, MemoryError) or any(words in str(error) for words in OUT_OF_MEMORY):
        print("error: out of memory; try a smaller --size, --batch or train.batch", file=sys.stderr)
        return 1
    print(f"bug: {type(error).__name__}: {error}; --debug shows where, please report it", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
