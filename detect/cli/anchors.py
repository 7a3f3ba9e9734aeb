"""`detect anchors`: anchors that fit the boxes of a data set."""

import argparse

from detect.cli.common import answer, say_of, whole

HELP = "fit anchors to the boxes of a data set, by k-means on their IoU"


def arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("folder", metavar="DATA", help="data folder or data YAML")
    sub.add_argument("--config", help="YAML or .cfg file, whose anchors are measured beside them")
    sub.add_argument("--count", type=whole(1, 100), help="anchors in all (the configuration's, or 9)")
    sub.add_argument("--scales", type=whole(1, 10), help="detection scales that share them (the configuration's, or 3)")
    sub.add_argument("--size", type=whole(32, 4096), help="side of the network's input, px (the same, or 416)")
    sub.add_argument("--write", metavar="FILE", help="new YAML file: the configuration with these anchors and the data")


def run(args: argparse.Namespace) -> None:
    from detect.api.check import anchors

    say = say_of(args)
    numbers = {"count": args.count, "scales": args.scales, "size": args.size}
    found = anchors(args.folder, configuration=args.config, **numbers, write=args.write, log=say)
    if args.write:
        say(f"train with: python tools/train.py {args.write}")
    answer(args, found)
