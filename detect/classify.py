"""What `detect classify train` and `detect classify evaluate` do; the other verbs are in `detect.verbs`."""

import json
import sys

from detect.errors import UserError
from detect.verbs import run_training


def train(args):
    from detect.config.schema import ClassifierSettings
    from detect.engine.classification import ClassificationTask

    tool = "tools/classify.py"
    return run_training(args, ClassifierSettings, ClassificationTask, f"{tool} train", f"{tool} evaluate")


def evaluate(args):
    from detect import config
    from detect.api import pick_device
    from detect.config.schema import ClassifierSettings
    from detect.data.image_folder import ImageFolder
    from detect.evaluation.classification import accuracies, class_scores, per_class, per_class_table, ranks
    from detect.weights.files import load_model

    model = load_model(args.weights, settings_type=ClassifierSettings)
    data = config.read_data(args.data, ClassifierSettings) if args.data else model.settings.data
    if data is None:
        raise UserError(f"{model.path}: does not say which data to judge it on; give --data FOLDER")
    images = ImageFolder.of_split(data, args.split, model.names)
    network = model.network.to(pick_device(args.device))
    size = model.settings.input.size
    scores = class_scores(network, images, size, args.ten_crop, sys.stderr.isatty())
    found = ranks(scores, images.labels)
    result = accuracies(found) | {"images": len(images), "majority": images.majority()}
    classes = per_class(found, images.labels, images.classes)
    if args.json:
        return print(json.dumps(result | {"per_class": classes}))
    print(per_class_table(classes))
    crops = "ten crops" if args.ten_crop else "centre crop"
    print(f"\n{len(images)} images, {size} px, {crops}")
    print(
        f"top-1 {result['top1']:.4f}  top-5 {result['top5']:.4f}  (the largest class alone: {result['majority']:.4f})"
    )
