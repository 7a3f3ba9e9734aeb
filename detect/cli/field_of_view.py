"""`detect field_of_view`: how far each detection scale sees."""

import argparse
from typing import Any

from detect.cli.common import TRAINED, answer, offline_option, say_of, set_option, whole
from detect.errors import UserError

HELP = "measure how far each detection scale sees, beside its anchors"


def arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("configs", nargs="*", metavar="CONFIG", help="YAML or .cfg files, measured with random weights")
    sub.add_argument("--weights", help=f"measure this trained detector too: {TRAINED}")
    sub.add_argument("--cfg", help="Darknet's .cfg, which a .weights file needs")
    offline_option(sub)
    set_option(sub, "model.neck.sam=false")
    sub.add_argument("--size", type=whole(32, 4096), help="side of the input, px (the configured one)")
    sub.add_argument("--inputs", type=whole(1, 10_000), default=4, help="images of noise to average over (4)")
    sub.add_argument("--plot", metavar="FILE.png", help="draw the fields, the anchors and the sizes")


def run(args: argparse.Namespace) -> None:
    from detect.analysis.field_of_view import table
    from detect.analysis.field_plot import check_plot, plot_fields

    _check(args)
    if args.plot:
        check_plot(args.plot)
    measured = _measured(args)
    say = say_of(args)
    say(table(measured, args.inputs))
    if args.plot:
        plot_fields(args.plot, measured)
        say(args.plot)
    answer(args, {"inputs": args.inputs, "models": [model.as_json() for model in measured], "file": args.plot})


def _check(args: argparse.Namespace) -> None:
    if not args.configs and not args.weights:
        raise UserError("give configuration files, --weights FILE or both")
    if args.set and not args.configs:
        raise UserError("--set changes configuration files; give one")
    if args.cfg and not args.weights:
        raise UserError("--cfg belongs to --weights FILE; without weights, give the .cfg as a configuration file")


def _measured(args: argparse.Namespace) -> list:
    """The `Measured` of every detector named."""
    from detect import config
    from detect.analysis.field_of_view import measure, untrained
    from detect.weights.files import read

    options: dict[str, Any] = {"needs_data": False, "override_name": "--set", "training": False}
    settings = [config.load(path, args.set, **options) for path in args.configs]
    trained = read(args.weights, cfg=args.cfg) if args.weights else None
    measured = [
        measure(path, "random", untrained(s), args.size or s.input.size, args.inputs)
        for path, s in zip(args.configs, settings, strict=True)
    ]
    if trained:
        size = args.size or trained.settings.input.size
        measured.append(measure(trained.path, "trained", trained.network, size, args.inputs))
    return measured
