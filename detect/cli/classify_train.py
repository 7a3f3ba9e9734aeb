"""`detect classify train`: train a backbone as a classifier."""

import argparse

from detect.cli.common import training_options
from detect.cli.train import run_training

HELP = "train the classifier that a configuration describes"


def arguments(sub: argparse.ArgumentParser) -> None:
    training_options(sub, "configs/imagenet/csppeleenet.yaml")


def run(args: argparse.Namespace) -> int:
    from detect.config.schema import ClassifierSettings

    return run_training(args, ClassifierSettings, "tools/classify.py train", "tools/classify.py evaluate")
