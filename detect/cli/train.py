"""`detect train`: train a detector; `run_training` also serves `detect classify train`."""

import argparse
from pathlib import Path
from typing import Any

from detect.cli.common import answer, say_of, training_options
from detect.errors import UserError

HELP = "train the detector that a configuration describes"


def arguments(sub: argparse.ArgumentParser) -> None:
    training_options(sub, "configs/csppelee_efm.yaml")


def run(args: argparse.Namespace) -> int:
    from detect.config.schema import Settings

    return run_training(args, Settings, "tools/train.py", "tools/evaluate.py")


def run_training(args: argparse.Namespace, settings_type: type, train_tool: str, evaluate_tool: str) -> int:
    """Train on settings of `settings_type`; the last lines name the tools to go on with.  Returns the exit status."""
    from detect.api.say import quiet
    from detect.api.train import train_settings, training_settings
    from detect.engine.distributed import joined
    from detect.interrupt import Interrupted

    if bool(args.config) == bool(args.resume):
        raise UserError("give either a configuration file or --resume RUN")
    if args.resume and args.out:
        raise UserError("--out is for new runs; --resume goes on in the run's own folder")
    try:
        with joined() as world:
            say = say_of(args) if world.is_first else quiet
            settings, stopped = training_settings(
                args.config, args.resume, args.set, not args.print_config, settings_type=settings_type,
                override_name="--set",
            )  # fmt: skip
            if args.print_config:
                return _print_config(args, settings) if world.is_first else 0
            result = train_settings(settings, args.config, stopped, args.out, args.device, args.threads, say, world)
    except Interrupted as stop:
        say(f"stopped after step {stop.step}; go on with: python {train_tool} --resume {stop.folder}")
        return 128 + stop.number
    if not world.is_first:
        return 0
    folder = Path(result["run"])
    names = ("best.pt", "last.pt", "results.csv", "results.png")
    files = ", ".join(name for name in names if (folder / name).is_file())
    evaluate = f"python {evaluate_tool} {folder}"
    if not (folder / "best.pt").is_file():
        evaluate += " --data FOLDER (the run's own data has no split val)"
    say(f"done: {files} in {folder}; evaluate it with: {evaluate}")
    answer(args, result)
    return 0


def _print_config(args: argparse.Namespace, settings: Any) -> int:
    """Show the settings; returns the exit status."""
    from detect import config

    config.check_model(settings)
    answer(args, config.to_dict(settings))
    if not args.json:
        print(config.dump(settings, show_origins=not args.resume), end="")
    return 0
