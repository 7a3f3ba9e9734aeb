"""`detect convert_pplcnet`: a trained PP-LCNet backbone of PaddleDetection as weights to start a training from."""

import argparse

from detect.cli.common import answer, complain, say_of

HELP = "make weights to start from of a PP-LCNet backbone of PaddleDetection (.npz, norms folded in)"
MOST_IMAGES = 128  # on which norms are measured


def arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("weights", help=".npz with conv2d_N_w_0.weight and conv2d_N_w_0.bias of each convolution")
    sub.add_argument(
        "--images", help="photos as those to be trained on: measures the norms, so that they can be trained"
    )
    sub.add_argument("--out", required=True, help="the .safetensors to write, for train.init")


def run(args: argparse.Namespace) -> int:
    from pathlib import Path

    from detect.errors import UserError
    from detect.inference.reading import read_frames
    from detect.inference.sources import find_items
    from detect.weights.files import write_safetensors
    from detect.weights.pplcnet import convert

    say = say_of(args)
    if Path(args.out).suffix != ".safetensors":
        raise UserError(f"{args.out}: must end in .safetensors", argument="out")
    items = [item for item in find_items(args.images) if item.medium == "image"] if args.images else []
    if args.images and not items:
        raise UserError(f"{args.images}: holds no images; give photos", argument="images")
    items = items[:: -(-len(items) // MOST_IMAGES) or 1]  # evenly spread
    errors: list[UserError] = []

    def note(error: UserError) -> None:
        errors.append(error)
        complain(f"error: {error}")

    weights = convert(args.weights, (frame.image for frame in read_frames(items, note)))
    measured = len(items) - len(errors)
    if items and not measured:
        raise UserError(f"{args.images}: none of its {len(items)} images can be read; give photos", argument="images")
    write_safetensors(args.out, weights)
    scale = weights.settings.model.backbone["scale"]
    say(f"PP-LCNet x{scale:g}, norms " + (f"measured on {measured} images" if items else "as identities"))
    freeze = "" if items else """ --set 'train.freeze=["backbone.*.norm"]'"""
    say(f"{args.out}: start from it with --set train.init={args.out}{freeze}")
    answer(args, {"file": args.out, "scale": scale, "images": measured, "errors": [str(error) for error in errors]})
    if errors:
        complain(f"left out: {len(errors)} of {len(items)} images")
    return 1 if errors else 0
