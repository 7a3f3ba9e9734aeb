"""What the verbs of the command line share: the parser, types of arguments, groups of options, and how they answer."""

import argparse
import json
import math
import sys
from collections.abc import Callable
from itertools import takewhile
from types import ModuleType
from typing import Any, NoReturn

from detect.errors import UserError, nearest
from detect.inference.engines import ENGINES, PRECISIONS


class Parser(argparse.ArgumentParser):
    """argparse whose mistakes are `UserError`s like all others."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{self.prog}: {message}; see {self.prog} --help")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse's, but what is not known is a mistake, before anything that is missing is."""
        if self._subparsers is None:
            for word in takewhile(lambda word: word != "--", args or ()):
                if word.startswith("--") and word.partition("=")[0] not in self._option_string_actions:
                    raise self._unknown(word)
        parsed, extra = super().parse_known_args(args, namespace)
        if extra:
            raise self._unknown(extra[0])
        return parsed, extra

    def _unknown(self, word: str) -> UserError:
        hint = nearest(word.partition("=")[0], self._option_string_actions)
        hint = hint if "did you mean" in hint else f"; see {self.prog} --help"  # no list of all
        return UserError(f"{self.prog}: unknown {word}{hint}")


def add_verb(verbs: Any, name: str, verb: ModuleType) -> None:
    """Add the parser of a verb, a module with `HELP`, `arguments(parser)` and `run(args)`, or with verbs of its own."""
    sub = verbs.add_parser(name, help=verb.HELP, description=verb.HELP, allow_abbrev=False)
    if hasattr(verb, "VERBS"):
        actions = sub.add_subparsers(dest="action", required=True, metavar="|".join(verb.VERBS))
        for action, module in verb.VERBS.items():
            add_verb(actions, action, module)
        return
    sub.add_argument("--json", action="store_true", help="print one JSON object on standard output")
    sub.add_argument("--debug", action="store_true", help="show the traceback of an error")
    verb.arguments(sub)
    sub.set_defaults(run=verb.run)


def whole(low: int, high: int) -> Callable[[str], int]:
    """An argument type: whole numbers from `low` to `high`."""

    def read(text: str) -> int:
        if not text.lstrip("-").isdecimal() or len(text) > 12 or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"'{text}' is no whole number from {low} to {high}")
        return int(text)

    return read


def number(low: float, high: float) -> Callable[[str], float]:
    """An argument type: numbers from `low` to `high`."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"'{text}' is no number from {low} to {high}")
        return value

    return read


def score(text: str) -> float | str:
    """The argument type of `--min-score`: a number from 0 to 1, or auto."""
    return text if text == "auto" else number(0, 1)(text)


# ---- groups of options ---------------------------------------------------------------------------------------------

TRAINED = "run folder, .pt, .safetensors, .weights, or a name of detect zoo"
WEIGHTS = f"exported .xml or .onnx, {TRAINED}"


def set_option(sub: argparse.ArgumentParser, example: str) -> None:
    sub.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help=f"{example}, ...")


def device_option(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--device", help="cpu, cuda, cuda:1, ... (cuda where there is one)")


def threads_option(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--threads", type=whole(1, 1024), help="that compute (the cores this process may use)")


def training_options(sub: argparse.ArgumentParser, example: str) -> None:
    sub.add_argument("config", nargs="?", help=f"YAML file, as {example}")
    set_option(sub, "train.lr=0.01, data=FOLDER")
    sub.add_argument("--resume", metavar="RUN", help="go on with a run folder exactly where it stopped")
    sub.add_argument("--out", help="folder that gets the run's folder (runs)")
    sub.add_argument("--print-config", action="store_true", help="show the resolved configuration and stop")
    device_option(sub)
    threads_option(sub)
    offline_option(sub)


def offline_option(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--offline", action="store_true", help="fetch nothing: weights by name must be here")


def darknet_options(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--cfg", help="Darknet's .cfg, which a .weights file needs")
    sub.add_argument("--names", help="the classes of a .weights file, one name a line")
    offline_option(sub)


def source_option(sub: argparse.ArgumentParser, what: str, several: str = "several go one by one") -> None:
    """`--source`, with as many values as a shell makes of an unquoted pattern."""
    sub.add_argument("--source", required=True, nargs="+", action="extend", help=f"{what}; {several}")


def source_of(args: argparse.Namespace) -> Any:
    """What `--source` was given: one, or a list of several."""
    return args.source[0] if len(args.source) == 1 else args.source


def limit_option(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--max-detections", type=whole(1, 20_000), help="detections in an image at the most (the weights' own, or 100)"
    )


def limit_note(limited: int, images: int) -> str:
    """The sentence on so many of the images that reached the limit of detections."""
    reached = f"{limited} of {images} images have as many detections as are allowed"
    return f"note: {reached}, and may have more; --max-detections raises it"


def predictor_options(sub: argparse.ArgumentParser, default_batch: int) -> None:
    sub.add_argument("--size", type=whole(32, 8192), help="side of the network's input, px (what it was trained for)")
    sub.add_argument("--nms", choices=["iou", "diou", "diou_beta"], help="overlap measure of the NMS")
    sub.add_argument("--nms-threshold", type=number(-1, 1), help="overlap above which a detection is left out")
    sub.add_argument(
        "--nms-vote",
        action=argparse.BooleanOptionalAction,
        help="average each box with those that overlap it above the threshold (as the weights say)",
    )
    sub.add_argument("--batch", type=whole(1, 1024), default=default_batch, help=f"images at once ({default_batch})")
    sub.add_argument(
        "--tile",
        type=whole(32, 100_000),
        metavar="PX",
        help="look at larger images in tiles of this side too (no tiles)",
    )
    sub.add_argument("--overlap", type=number(0, 0.89), help="of tiles, at the least, as a share of their side (0.2)")
    device_option(sub)
    sub.add_argument("--engine", choices=ENGINES, default="auto", help="that runs the file (the fastest installed)")
    sub.add_argument(
        "--precision", choices=PRECISIONS, default="auto", help="of an exported file's numbers (the fastest here)"
    )
    sub.add_argument(
        "--exact", dest="precision", action="store_const", const="f32", help="as PyTorch computes: --precision f32"
    )
    threads_option(sub)


def predictor_arguments(args: argparse.Namespace) -> dict[str, Any]:
    """What `predictor_options` and `darknet_options` were given, as arguments of `detect.load`."""
    if args.overlap is not None and args.tile is None:
        raise UserError("--overlap is of tiles; give --tile PX with it")
    optional = ("nms", "nms_threshold", "nms_vote", "tile", "overlap")
    given = {name: getattr(args, name) for name in optional if getattr(args, name) is not None}
    same = ("size", "device", "batch", "cfg", "names", "engine", "precision", "threads")
    return {name: getattr(args, name) for name in same} | given


# ---- answers -------------------------------------------------------------------------------------------------------


def say_of(args: argparse.Namespace) -> Callable[..., None]:
    """print, on standard error when standard output is kept for JSON."""
    return lambda *values: print(*values, file=sys.stderr if args.json else sys.stdout, flush=True)


def complain(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


def answer(args: argparse.Namespace, result: Any) -> None:
    """Print the result as JSON, if that is asked for."""
    if args.json:
        print(json.dumps(result))


# by option, what is to be given with it
WHAT = {"config": "FILE", "cfg": "FILE", "names": "FILE", "data": "FOLDER", "out": "FOLDER"}


def with_option(error: UserError, args: argparse.Namespace | None) -> str:
    """The error's sentence, with the option of the command line that it is about."""
    name = error.argument
    if args is None or name is None:
        return str(error)
    if not hasattr(args, name):
        return f"{error}; give it with --set data=FOLDER" if name == "data" and hasattr(args, "set") else str(error)
    option, value = f"--{name.replace('_', '-')}", getattr(args, name)
    if value is None:
        return f"{error}; give {option} {WHAT.get(name, '')}".rstrip()
    return f"{option} {error}" if str(error).startswith(f"{value}:") else f"{option}: {error}"
