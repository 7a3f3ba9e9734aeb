"""`detect check`: what is wrong with a data set, before a training finds out."""

import argparse

from detect.cli.common import TRAINED, answer, say_of
from detect.errors import UserError

HELP = "examine a data set: images, boxes, classes, splits"


def arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("folder", metavar="DATA", nargs="?", help="data folder or data YAML")
    sub.add_argument("--config", help="YAML or .cfg file, whose anchors and input size the boxes are compared with")
    sub.add_argument("--weights", help=f"the same of {TRAINED}")
    sub.add_argument("--quick", action="store_true", help="annotations and the headers of the images only")
    sub.add_argument("--html", metavar="FILE", help="write a page with the findings and their images")
    sub.add_argument("--list", action="store_true", help="show all that can be found, and stop")
    sub.add_argument("--fix", metavar="OUT", help="write a cleaned copy (COCO JSON) into this new folder")


def run(args: argparse.Namespace) -> int:
    from detect.api.check import check
    from detect.doctor.document import table

    say = say_of(args)
    if args.list:
        say(table())
        return 0
    if not args.folder:
        raise UserError("give the data folder or data YAML to examine")
    options = {"configuration": args.config, "weights": args.weights, "quick": args.quick, "html": args.html}
    report = check(args.folder, **options, fix=args.fix, log=say)
    if args.fix:
        say(f"examine it with: python tools/check.py {args.fix}")
    answer(args, report)
    return 1 if report["errors"] else 0
