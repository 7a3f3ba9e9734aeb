"""`detect convert`: a data set written anew in another format of annotations."""

import argparse
from typing import Any

from detect.cli.common import answer, say_of

HELP = "write a data set anew as COCO JSON, YOLO text files, Pascal VOC XML or shards of webdataset"
WRITTEN = ("coco", "yolo", "voc", "webdataset")  # the keys of `writers.WRITERS`, without the wait for its import


def arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("folder", metavar="DATA", help="data folder, data YAML, or the file that describes the data")
    sub.add_argument("out", help="folder to make")
    sub.add_argument("--to", required=True, choices=WRITTEN, help="the format to write")
    copy_option(sub)


def copy_option(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--copy", action="store_true", help="copy the images (hard links where the disk allows it)")


def run(args: argparse.Namespace) -> None:
    from detect.api.convert import convert

    tell(args, convert(args.folder, args.to, args.out, copy=args.copy))


def tell(args: argparse.Namespace, result: dict[str, Any]) -> None:
    """Say what was written, and what is not as it was."""
    say = say_of(args)
    for note in result["notes"]:
        say(f"note: {note}")
    splits = ", ".join(f"{name} {count}" for name, count in result["splits"].items())
    images, boxes = result["images"], result["boxes"]
    say(f"{images} images ({splits}) with {boxes} boxes as {result['format']}: {result['folder']}")
    answer(args, result)
