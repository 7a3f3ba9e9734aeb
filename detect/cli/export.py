"""`detect export`: a trained model as one file to hand on."""

import argparse

from detect.cli.common import TRAINED, answer, complain, darknet_options, number, say_of, set_option, whole
from detect.errors import UserError

HELP = "write a trained model for others: released weights, ONNX, OpenVINO (float or int8), Darknet"


def arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("weights", help=TRAINED)
    darknet_options(sub)
    sub.add_argument("--out", required=True, help="file to write; its suffix says the format: .safetensors, .onnx, ...")
    sub.add_argument("--format", help="safetensors, onnx, openvino, openvino-int8 or darknet (what --out says)")
    sub.add_argument("--half", action="store_true", help="store floats in 16 bits")
    sub.add_argument("--size", type=whole(32, 8192), help="side of the network's input, px (what it was trained for)")
    sub.add_argument("--batch", type=_batch, default=1, help="images at once, or dynamic for any number (1)")
    sub.add_argument("--data", help="images to calibrate int8 with and to compare with PyTorch on (sample photos)")
    sub.add_argument(
        "--check", type=whole(1, 10**6), default=0, metavar="N", help="tell AP before and after on N images of --data"
    )
    sub.add_argument(
        "--mix",
        type=_share,
        action="append",
        default=[],
        metavar="WEIGHTS=SHARE",
        help="weights of the same model that make up so much of every number, as yolov4_tiny_coco=0.5; may be repeated",
    )
    set_option(sub, "predict.min_score=0.15")


def run(args: argparse.Namespace) -> None:
    from detect.api.export import export_weights
    from detect.exporters.formats import Request

    if len(mix := dict(args.mix)) < len(args.mix):
        raise UserError("the same weights are given twice; add up their shares", argument="mix")
    given = {name: getattr(args, name) for name in ("half", "size", "batch", "data", "check")}
    request = Request(**given, log=say_of(args))
    options = {"mix": mix, "cfg": args.cfg, "names": args.names, "override_name": "--set", "warn": complain}
    answer(args, export_weights(args.weights, args.out, args.set, args.format, request, **options))


def _share(text: str) -> tuple[str, float]:
    weights, _, share = text.rpartition("=")
    if not weights:
        raise argparse.ArgumentTypeError(f"'{text}' is no WEIGHTS=SHARE")
    return weights, number(0, 1)(share)


def _batch(text: str) -> int | None:
    return None if text == "dynamic" else whole(1, 1024)(text)
