"""`detect benchmark`: how fast models are on this machine, beside each other."""

import argparse
from typing import Any

from detect.cli.common import WEIGHTS, answer, device_option, offline_option, say_of, set_option, whole
from detect.errors import UserError
from detect.inference.engines import ENGINES, PRECISIONS

HELP = "measure models on this machine: their networks beside each other, stages of detecting, training, or evaluating"
MODES = ("stages", "training", "evaluation")
BELONG = {  # option -> what it is an option of; None: the table
    "against": None, "profile": None, "csv": None, "plot": None,
    "image": "stages", "batch": "training", "steps": "training", "pycocotools": "evaluation",
}  # fmt: skip


def arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "models",
        nargs="*",
        metavar="MODEL[:ENGINE][:PRECISION]",
        help=f"YAML file or .cfg (random weights), {WEIGHTS}, another tool's .xml or .onnx; as net.xml:f32",
    )
    sub.add_argument(
        "--against", nargs="+", default=[], metavar="FILE", help="models that the others are compared with"
    )
    sub.add_argument("--engine", choices=ENGINES, default="auto", help="of all models (files: the fastest; else torch)")
    sub.add_argument(
        "--precision", choices=(*PRECISIONS, "int8"), default="auto", help="of all models (the fastest, measured anew)"
    )
    sub.add_argument("--threads", type=whole(1, 1024), help="that compute (the cores this process may use)")
    sub.add_argument("--size", type=whole(32, 8192), help="side of configurations' and weights' input, px (their own)")
    sub.add_argument("--rounds", type=whole(1, 100_000), default=60, help="measured runs of each (60)")
    sub.add_argument("--profile", action="store_true", help="tell the time of each layer that OpenVINO executes, too")
    sub.add_argument("--csv", metavar="FILE", help="write the table as CSV")
    sub.add_argument("--plot", metavar="FILE.png", help="draw AP against ms")
    device_option(sub)
    set_option(sub, "model.neck.sam=false")
    sub.add_argument("--cfg", help="Darknet's .cfg, which a .weights file needs")
    offline_option(sub)
    instead = sub.add_mutually_exclusive_group()
    instead.add_argument(
        "--stages", action="store_true", help="measure letterbox, forward pass, decoding and NMS instead"
    )
    instead.add_argument("--training", action="store_true", help="measure training of YAML files instead")
    instead.add_argument(
        "--evaluation",
        action="store_true",
        help="measure COCO's AP of 500,000 made-up detections instead, without a model",
    )
    sub.add_argument("--image", help="of --stages: measure on this image instead of a generated one")
    sub.add_argument("--batch", type=whole(1, 1024), help="of --training: images per step (16)")
    sub.add_argument("--steps", type=whole(1, 100_000), help="of --training: measured steps (12)")
    sub.add_argument(
        "--pycocotools", action="store_true", help="of --evaluation: measure pycocotools too (over a minute, 2 GB)"
    )


def run(args: argparse.Namespace) -> None:
    mode = next((mode for mode in MODES if getattr(args, mode)), None)
    for option, of in BELONG.items():
        if getattr(args, option) and of != mode:
            raise UserError(f"--{option} goes with --{of}" if of else f"--{option} does not go with --{mode}")
    if bool(args.models) == (mode == "evaluation"):
        raise UserError("--evaluation measures no model; leave them out" if args.models else "name a model to measure")
    {None: _table, "stages": _stages, "training": _training, "evaluation": _evaluation}[mode](args)


def _table(args: argparse.Namespace) -> None:
    from detect.analysis.benchmark import as_csv, benchmark, table
    from detect.files import write_text

    contenders = _contenders(args, [*args.models, *args.against])
    base = len(args.models) if args.against else 0
    result = benchmark(contenders, base, args.rounds, args.profile, say_of(args))
    say_of(args)(table(result))
    if args.csv:
        write_text(args.csv, as_csv(result))
    if args.plot:
        from detect.analysis.speed_plot import plot_speed

        plot_speed(args.plot, result)
    answer(args, result)


def _stages(args: argparse.Namespace) -> None:
    import tempfile
    from pathlib import Path

    from detect.analysis.contenders import exported
    from detect.analysis.machine import machine
    from detect.analysis.stages import benchmark_postprocess, benchmark_stages, table

    with tempfile.TemporaryDirectory() as folder:
        files = [exported(of, Path(folder)) for of in _contenders(args, args.models)]
        stages = [benchmark_stages(of, args.rounds, args.image) for of in files]
    result = {"machine": machine(), "stages": stages, "postprocess": benchmark_postprocess(args.rounds)}
    say_of(args)(table(result))
    answer(args, result)


def _training(args: argparse.Namespace) -> None:
    from detect import config
    from detect.analysis.machine import machine
    from detect.analysis.training_speed import benchmark_training, table

    measured = []
    for of in _contenders(args, args.models):
        if not of.is_config:
            raise UserError(f"{of.path}: is no configuration, which --training trains")
        settings = config.load(of.path, args.set, needs_data=False, override_name="--set")
        size, batch = args.size or settings.input.size, args.batch or 16
        about = {"model": of.name, "size": size, "batch": batch}
        measured.append(about | benchmark_training(settings, size, batch, args.steps or 12))
    result = {"machine": machine(), "training": measured}
    say_of(args)(table(result))
    answer(args, result)


def _evaluation(args: argparse.Namespace) -> None:
    from detect.analysis.evaluation_speed import EVALUATORS, benchmark_evaluation, table
    from detect.analysis.machine import machine

    measured = [benchmark_evaluation(name) for name in EVALUATORS if name != "pycocotools" or args.pycocotools]
    result = {"machine": machine(), "evaluation": measured}
    say_of(args)(table(result))
    answer(args, result)


def _contenders(args: argparse.Namespace, models: list[str]) -> list[Any]:
    from detect.analysis.contenders import contender

    same = ("engine", "precision", "threads", "size", "device", "cfg")
    options = {name: getattr(args, name) for name in same} | {"overrides": tuple(args.set)}
    contenders = [contender(model, **options) for model in models]
    if args.set and not any(of.is_config for of in contenders):
        raise UserError("changes configurations, and no model here is one", argument="set")
    return contenders
