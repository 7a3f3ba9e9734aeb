"""`detect zoo`: the weights that are known by name."""

import argparse

from detect.cli.common import answer, say_of

HELP = "list the weights that are known by name: size, classes, AP, licence, and whether they are here"


def arguments(sub: argparse.ArgumentParser) -> None:
    """None but those of every verb."""


def run(args: argparse.Namespace) -> None:
    from detect.files import cache_folder
    from detect.weights.zoo import rows, table

    if not args.json:
        say_of(args)(f"{table()}\n\nfetched into {cache_folder()} when a name is given as weights")
    answer(args, {"cache": str(cache_folder()), "weights": list(rows())})
