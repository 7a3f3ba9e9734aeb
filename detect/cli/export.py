"""`detect export`: a trained model as one file to hand on."""

import argparse

from detect.cli.common import WEIGHTS, answer, complain, darknet_options, say_of, set_option

HELP = "write a trained detector or classifier as released weights"


def arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("weights", help=WEIGHTS)
    darknet_options(sub)
    sub.add_argument("--format", choices=["safetensors", "darknet"], default="safetensors")
    sub.add_argument("--half", action="store_true", help="store floats in 16 bits")
    set_option(sub, "predict.min_score=0.15")
    sub.add_argument(
        "--out", required=True, help="file to write: .safetensors, or .weights with .cfg and .names beside"
    )


def run(args: argparse.Namespace) -> None:
    from detect.api.export import export_weights

    options = {"format": args.format, "half": args.half, "cfg": args.cfg, "names": args.names}
    options |= {"override_name": "--set", "log": say_of(args), "warn": complain}
    answer(args, export_weights(args.weights, args.out, args.set, **options))
