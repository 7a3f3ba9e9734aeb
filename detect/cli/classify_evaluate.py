"""`detect classify evaluate`: top-1 and top-5 of a classifier."""

import argparse

from detect.cli.common import answer, device_option, offline_option, say_of, threads_option

HELP = "top-1 and top-5 of a classifier"


def arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("weights", help="run folder, .pt or .safetensors")
    sub.add_argument("--data", help="folder with SPLIT/CLASS/*.jpg (the one it was trained on)")
    sub.add_argument("--split", default="val", help="val, train, ... (val)")
    sub.add_argument("--ten-crop", action="store_true", help="average over ten crops instead of the centre crop")
    device_option(sub)
    threads_option(sub)
    offline_option(sub)


def run(args: argparse.Namespace) -> None:
    from detect.api.evaluate import evaluate_classifier

    options = {"split": args.split, "ten_crop": args.ten_crop, "device": args.device, "threads": args.threads}
    answer(args, evaluate_classifier(args.weights, args.data, **options, log=say_of(args)))
