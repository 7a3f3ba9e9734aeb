"""`detect settings`: every key of a configuration file, as the page docs/configuration.md."""

import argparse

from detect.cli.common import answer

HELP = "list every setting of a configuration file with default, range and what it does, as Markdown"


def arguments(sub: argparse.ArgumentParser) -> None:
    """None but those of every verb."""


def run(args: argparse.Namespace) -> None:
    from detect.config.document import as_rows, page

    answer(args, as_rows())
    if not args.json:
        print(page(), end="")
