"""`detect benchmark`: what this machine reaches."""

import argparse
import platform

from detect.cli.common import WEIGHTS, answer, offline_option, say_of, set_option, whole

HELP = "measure this machine: stages of inference, decoding and NMS alone, and training"


def arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("config", help="YAML file")
    set_option(sub, "model.neck.sam=false")
    sub.add_argument("--size", type=whole(32, 4096), default=320, help="side of the input, px (320)")
    sub.add_argument("--batch", type=whole(1, 1024), default=16, help="images per training step (16)")
    sub.add_argument("--weights", help=f"measure these in inference instead of random ones: {WEIGHTS}")
    sub.add_argument("--cfg", help="Darknet's .cfg, which a .weights file needs")
    offline_option(sub)
    sub.add_argument("--image", help="measure inference on this image instead of a generated one")
    sub.add_argument("--rounds", type=whole(1, 100_000), default=60, help="measured inferences (60)")
    sub.add_argument("--steps", type=whole(1, 100_000), default=12, help="measured training steps (12)")


def run(args: argparse.Namespace) -> None:
    from detect import config
    from detect.analysis.benchmark import benchmark_inference, benchmark_postprocess, benchmark_training, table

    settings = config.load(args.config, args.set, needs_data=False, override_name="--set", training=False)
    result = {
        "machine": f"{platform.processor() or platform.machine()}, Python {platform.python_version()}",
        "inference": benchmark_inference(settings, args.size, args.weights, args.rounds, args.image, args.cfg),
        "postprocess": benchmark_postprocess(args.rounds),
        "training": benchmark_training(settings, args.size, args.batch, args.steps),
    }
    say_of(args)(table(result))
    answer(args, result)
