"""`detect split`: a data set divided into train and val."""

import argparse

from detect.cli.common import number, say_of
from detect.cli.convert import WRITTEN, copy_option, tell

HELP = "divide a data set into train and val, near-duplicates on one side"


def arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("folder", metavar="DATA", help="data folder, data YAML, or the file that describes the data")
    sub.add_argument("out", help="folder to make")
    sub.add_argument("--val", type=number(0, 1), default=0.2, help="share of the images for val (0.2)")
    sub.add_argument("--to", choices=WRITTEN, help="the format to write (that of the data)")
    copy_option(sub)


def run(args: argparse.Namespace) -> None:
    from detect.api.convert import split

    result = split(args.folder, args.out, val=args.val, to=args.to, copy=args.copy)
    if result["near_duplicates"]:
        say_of(args)(f"near-duplicates: {result['near_duplicates']} images went where one that looks the same went")
    tell(args, result)
