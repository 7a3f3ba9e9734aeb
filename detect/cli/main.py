"""The command line: `detect VERB ...`, and `tools/VERB.py ...`, which are the same.

Exit status: 0 fine; 1 the user can fix it, one sentence says how; 2 a bug; 130 Ctrl-C.
"""

import argparse
import math
import os
import sys
from importlib import import_module

from detect import __version__
from detect.errors import UserError
from detect.files import printable

OUT_OF_MEMORY = ("can't allocate memory", "out of memory")  # how PyTorch's RuntimeErrors say it


def main(arguments=None):
    """Run one verb; returns the exit status."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    debug = "--debug" in arguments
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # OpenCV's complaints about files: ours name them
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    try:
        args, extra = parser().parse_known_args(arguments)
        if extra:
            raise UserError(f"detect {args.verb}: unknown {extra[0]}; see detect {args.verb} --help")
        return getattr(import_module("detect.verbs"), args.verb)(args) or 0
    except UserError as error:
        if debug:
            raise
        print(f"error: {printable(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever read our output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if debug:
            raise
        if isinstance(error, MemoryError) or any(words in str(error) for words in OUT_OF_MEMORY):
            print("error: out of memory; try a smaller --size, --batch or train.batch", file=sys.stderr)
            return 1
        if "DataLoader worker" in str(error):
            print("error: a loader process was killed; give more shared memory or set train.workers=0", file=sys.stderr)
            return 1
        print(f"bug: {type(error).__name__}: {error}; --debug shows where, please report it", file=sys.stderr)
        return 2


class Parser(argparse.ArgumentParser):
    """argparse whose mistakes are `UserError`s like all others."""

    def error(self, message):
        raise UserError(f"{self.prog}: {message}; see {self.prog} --help")


def whole(low, high):
    """An argument type: whole numbers from `low` to `high`."""

    def read(text):
        if not text.lstrip("-").isdecimal() or len(text) > 12 or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"'{text}' is no whole number from {low} to {high}")
        return int(text)

    return read


def number(low, high):
    """An argument type: numbers from `low` to `high`."""

    def read(text):
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"'{text}' is no number from {low} to {high}")
        return value

    return read


def parser():
    top = Parser(prog="detect", description="Train, judge and run real-time object detectors.")
    top.add_argument("--version", action="version", version=f"detect {__version__}")
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(name, text, of=verbs):
        sub = of.add_parser(name, help=text, description=text, allow_abbrev=False)
        sub.add_argument("--json", action="store_true", help="print one JSON object on standard output")
        sub.add_argument("--debug", action="store_true", help="show the traceback of an error")
        return sub

    sub = verb("train", "train the detector that a configuration describes")
    _training_options(sub, "configs/csppelee_efm.yaml")

    sub = verb("evaluate", "COCO AP of a detector, by pycocotools")
    sub.add_argument("weights", help="run folder, .pt, .safetensors or .weights")
    _darknet_options(sub)
    sub.add_argument("--data", help="data folder or data YAML (the one it was trained on)")
    sub.add_argument("--split", default="val", help="val, train, test-dev, ... (val)")
    sub.add_argument("--images", help="folder of images, with --annotations instead of --data")
    sub.add_argument("--annotations", help="COCO JSON file, with --images")
    sub.add_argument("--name", default="detect", help="name of the method in test-dev files")
    sub.add_argument("--out", help="folder for detections.json (the run folder, else a new one in runs)")
    _predict_options(sub, default_batch=16)

    sub = verb("predict", "detect in images, folders, videos, webcams or streams")
    sub.add_argument("--source", required=True, help="image, folder, 'glob*', video, webcam number or URL")
    sub.add_argument("--weights", help="run folder, .pt, .safetensors or .weights (the released weights)")
    _darknet_options(sub)
    sub.add_argument("--out", help="folder for annotated images, videos and detections.json (a new one in runs)")
    sub.add_argument("--min-score", "--conf", type=number(0, 1), help="leave out detections below it (0.25)")
    sub.add_argument("--show", action="store_true", help="also show them in a window; q ends")
    sub.add_argument("--quiet", action="store_true", help="no line for every frame of a video")
    _predict_options(sub, default_batch=1)

    text = "train or judge a classifier, the form in which a backbone is trained on ImageNet"
    sub = verbs.add_parser("classify", help=text, description=text, allow_abbrev=False)
    actions = sub.add_subparsers(dest="action", required=True, metavar="train|evaluate")
    sub = verb("train", "train the classifier that a configuration describes", actions)
    _training_options(sub, "configs/imagenet/csppeleenet.yaml")
    sub = verb("evaluate", "top-1 and top-5 of a classifier", actions)
    sub.add_argument("weights", help="run folder, .pt or .safetensors")
    sub.add_argument("--data", help="folder with SPLIT/CLASS/*.jpg (the one it was trained on)")
    sub.add_argument("--split", default="val", help="val, train, ... (val)")
    sub.add_argument("--ten-crop", action="store_true", help="average over ten crops instead of the centre crop")
    sub.add_argument("--device", help="cpu, cuda, cuda:1, ... (cuda where there is one)")

    sub = verb("crop_boxes", "make images of single objects, by class, from images with boxes")
    sub.add_argument("--data", required=True, help="data folder or data YAML with COCO annotations")
    sub.add_argument("--split", default="train", help="train, val, ... (train)")
    sub.add_argument("--out", required=True, help="folder that gets SPLIT/CLASS/*.jpg")
    sub.add_argument("--classes", help="names of the classes, with commas between (all)")
    sub.add_argument("--min-side", type=whole(1, 100_000), default=32, help="shortest side of a box taken, px (32)")
    sub.add_argument("--limit", type=whole(1, 10**9), help="largest number of images of a class (all)")
    sub.add_argument("--margin", type=number(0, 10), default=0.1, help="share of a box's sides added around it (0.1)")

    sub = verb("export", "write a trained detector or classifier as released weights")
    sub.add_argument("weights", help="run folder, .pt, .safetensors or .weights")
    _darknet_options(sub)
    sub.add_argument("--format", choices=["safetensors", "darknet"], default="safetensors")
    sub.add_argument("--half", action="store_true", help="store floats in 16 bits")
    sub.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="predict.min_score=0.15, ...")
    sub.add_argument(
        "--out", required=True, help="file to write: .safetensors, or .weights with .cfg and .names beside"
    )

    sub = verb("profile", "count a model layer by layer: shapes, parameters, BFLOPs")
    sub.add_argument("config", nargs="?", help="YAML file")
    sub.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="model.neck.sam=false, ...")
    sub.add_argument("--paper", action="store_true", help="published numbers beside what our models count")
    sub.add_argument("--plot", metavar="FOLDER", help="draw the paper's Fig. 7 and 8 from what our models count")
    sub.add_argument("--size", type=whole(32, 8192), help="side of the input, px (the configured one)")
    sub.add_argument("--classes", type=whole(1, 100_000), help="number of classes (80; of a classifier 1000)")
    sub.add_argument(
        "--classifier", type=whole(1, 100_000), metavar="N", help="count the backbone with an N-way classifier instead"
    )

    sub = verb("field_of_view", "measure how far each detection scale sees, beside its anchors")
    sub.add_argument("configs", nargs="*", metavar="CONFIG", help="YAML or .cfg files, measured with random weights")
    sub.add_argument("--weights", help="measure this trained detector too: run folder, .pt, .safetensors or .weights")
    sub.add_argument("--cfg", help="Darknet's .cfg, which a .weights file needs")
    sub.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="model.neck.sam=false, ...")
    sub.add_argument("--size", type=whole(32, 4096), help="side of the input, px (the configured one)")
    sub.add_argument("--inputs", type=whole(1, 10_000), default=4, help="images of noise to average over (4)")
    sub.add_argument("--plot", metavar="FILE.png", help="draw the fields, the anchors and the sizes")

    sub = verb("benchmark", "measure this machine: stages of inference, decoding and NMS alone, and training")
    sub.add_argument("config", help="YAML file")
    sub.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    sub.add_argument("--size", type=whole(32, 4096), default=320, help="side of the input, px (320)")
    sub.add_argument("--batch", type=whole(1, 1024), default=16, help="images per training step (16)")
    sub.add_argument("--weights", help="measure these instead of random weights in inference")
    sub.add_argument("--image", help="measure inference on this image instead of a generated one")
    sub.add_argument("--rounds", type=whole(1, 100_000), default=60, help="measured inferences (60)")
    sub.add_argument("--steps", type=whole(1, 100_000), default=12, help="measured training steps (12)")
    return top


def _training_options(sub, example):
    sub.add_argument("config", nargs="?", help=f"YAML file, as {example}")
    sub.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="train.lr=0.01, data=FOLDER, ...")
    sub.add_argument("--resume", metavar="RUN", help="go on with a run folder exactly where it stopped")
    sub.add_argument("--out", help="folder that gets the run's folder (runs)")
    sub.add_argument("--print-config", action="store_true", help="show the resolved configuration and stop")
    sub.add_argument("--device", help="cpu, cuda, cuda:1, ... (cuda where there is one)")


def _darknet_options(sub):
    sub.add_argument("--cfg", help="Darknet's .cfg, which a .weights file needs")
    sub.add_argument("--names", help="the classes of a .weights file, one name a line")


def _predict_options(sub, default_batch):
    sub.add_argument("--size", type=whole(32, 8192), help="side of the network's input, px (what it was trained for)")
    sub.add_argument("--nms", choices=["iou", "diou", "diou_beta"], help="overlap measure of the suppression")
    sub.add_argument("--nms-threshold", type=number(-1, 1), help="overlap above which a detection is suppressed")
    sub.add_argument("--batch", type=whole(1, 1024), default=default_batch, help=f"images at once ({default_batch})")
    sub.add_argument("--device", help="cpu, cuda, cuda:1, ... (cuda where there is one)")


if __name__ == "__main__":
    sys.exit(main())
