"""`detect profile`: what a model counts, layer by layer, and the paper's numbers beside ours."""

import argparse
from typing import Any

from detect.cli.common import answer, say_of, set_option, whole
from detect.errors import UserError

HELP = "count a model layer by layer: shapes, parameters, BFLOPs"


def arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("config", nargs="?", help="YAML file")
    set_option(sub, "model.neck.sam=false")
    sub.add_argument("--paper", action="store_true", help="published numbers beside what our models count")
    sub.add_argument("--plot", metavar="FOLDER", help="draw the paper's Fig. 7 and 8 from what our models count")
    sub.add_argument("--size", type=whole(32, 8192), help="side of the input, px (the configured one)")
    sub.add_argument("--classes", type=whole(1, 100_000), help="number of classes (80; of a classifier 1000)")
    sub.add_argument(
        "--classifier", type=whole(1, 100_000), metavar="N", help="count the backbone with an N-way classifier instead"
    )


def run(args: argparse.Namespace) -> None:
    if sum(map(bool, (args.config, args.paper, args.plot))) != 1:
        raise UserError("give one of a configuration file, --paper and --plot FOLDER")
    if args.paper:
        _paper(args)
    elif args.plot:
        _plot(args)
    else:
        _count(args)


def _count(args: argparse.Namespace) -> None:
    import torch

    from detect import config
    from detect.analysis.profile import profile
    from detect.config.build import build_model
    from detect.config.schema import ClassifierSettings
    from detect.models.classifier import Classifier

    options: dict[str, Any] = {"needs_data": False, "override_name": "--set", "training": False}
    settings = config.load(args.config, args.set, settings_type=None, **options)
    usual = 1000 if isinstance(settings, ClassifierSettings) else 80
    with torch.device("meta"):  # neither memory nor a download of pretrained weights
        network: Any = build_model(settings, args.classes or usual)
        if args.classifier and not hasattr(network, "backbone"):
            raise UserError("--classifier: a .cfg has no backbone of its own to count")
        if args.classifier:
            network = Classifier(network.backbone, args.classifier)
    counted = profile(network, settings.input.size if args.size is None else args.size)
    answer(args, counted.as_json())
    if not args.json:
        print(counted.table())


def _paper(args: argparse.Namespace) -> None:
    from detect.analysis.paper import NOT_COUNTED, rows, table

    found = list(rows())
    answer(args, {"rows": found, "not_counted": list(NOT_COUNTED)})
    if not args.json:
        print(table(found))


def _plot(args: argparse.Namespace) -> None:
    from detect.analysis.plots import plot_figures

    found = plot_figures(args.plot)
    for line in found["lines"]:
        say_of(args)(line)
    answer(args, found)
