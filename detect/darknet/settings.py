"""A .cfg as a configuration of ours: `[net]` and the last detection layer say how to train, the file what to train."""

import os

from detect.check import Origin
from detect.darknet import cfg as cfg_file
from detect.darknet.network import NMS_KINDS, NMS_THRESHOLD
from detect.errors import UserError
from detect.files import cannot_read

MULTI_SCALE = 1.4  # random=1: sizes from 1/1.4 of the cfg's on to 1.4 times it


def values_of(path):
    """(values, origins) of a .cfg: the mapping that a YAML of ours would hold, and where each value was written.

    Raises:
        UserError: the file cannot be read, or has no detection layer.
    """
    cfg = cfg_file.read(path)
    try:
        with open(path, encoding="utf-8-sig", errors="replace") as file:
            text = file.read()
    except OSError as error:
        raise cannot_read(path, error) from error
    heads = [section for section in cfg.layers if section.kind in ("yolo", "region")]
    if not heads:
        raise UserError(f"{path}: has no [yolo] or [region] layer, so it is no detector; detect.darknet.load runs it")
    net, head = cfg.net, heads[-1]
    values = {
        "model": {"cfg": [line.expandtabs().rstrip() for line in text.splitlines()]},
        "input": {"size": max(net["width"], net["height"])},
        "train": _train(net),
        "augment": _augment(net, head),
        "loss": _loss(head),
        "predict": _predict(head),
    }
    if head["random"]:
        values["input"]["train_sizes"] = _sizes(values["input"]["size"], head["random"])
    folder = os.path.dirname(path)
    origins = {
        f"{section}.{name}": Origin(_where(path, net, head, name), folder)
        for section, mapping in values.items()
        for name in mapping
    }
    return values, origins


# ours -> the option it comes from, where the names differ
NAMES = {
    "size": "width", "train_sizes": "random", "accumulate": "subdivisions", "lr": "learning_rate",
    "weight_decay": "decay", "steps": "max_batches", "schedule": "policy", "milestones": "steps",
    "box": "iou_loss", "box_weight": "iou_normalizer", "obj_weight": "obj_normalizer", "cls_weight": "cls_normalizer",
    "ignore_iou": "ignore_thresh", "nms": "nms_kind", "nms_beta": "beta_nms",
}  # fmt: skip


def _where(path, net, head, name):
    option = NAMES.get(name, name)
    line = net.lines.get(option) or head.lines.get(option)
    return f"{path}:{line}" if line else f"{path}, Darknet's default"


def _train(net):
    policy, steps = net["policy"], net["max_batches"]
    values = {
        "batch": net["batch"] - net["batch"] % net["subdivisions"] or net["subdivisions"],
        "accumulate": net["subdivisions"],
        "lr": net["learning_rate"],
        "momentum": net["momentum"],
        "weight_decay": net["decay"],
        "ema": 0.0,
    }
    if steps:
        values["steps"] = steps
        values["burn_in"] = net["burn_in"] if net["burn_in"] < steps else 0
    if policy == "poly":
        values |= {"schedule": "poly", "power": net["power"]}
    elif policy == "sgdr":
        values |= {"schedule": "cosine", "final_lr": min(net["learning_rate_min"] / net["learning_rate"], 1.0)}
    elif policy in ("steps", "constant"):
        scales = net["scales"] or ()
        if policy == "steps" and any(abs(scale - 0.1) > 1e-9 for scale in scales):
            raise net.error(f"scales={','.join(f'{s:g}' for s in scales)}: only steps by 0.1 are supported", "scales")
        milestones = [] if policy == "constant" else [float(step) for step in net["steps"] or ()]
        values |= {"schedule": "step", "milestones": [m for m in milestones if not steps or m < steps]}
    else:
        raise net.error(f"policy={policy} is not supported; use steps, poly, sgdr or constant", "policy")
    return values


def _augment(net, head):
    return {
        "mosaic": 1.0 if net["mosaic"] else 0.0,
        "mosaic_off": 0.0,
        "jitter": min(head["jitter"], 0.49),
        "flip": 0.5 if net["flip"] else 0.0,
        "hue": min(net["hue"], 0.5),
        "saturation": _factor(net["saturation"]),
        "exposure": _factor(net["exposure"]),
    }


def _factor(value):
    """Darknet takes factors from `value` to 1 or from 1 to `value`, and their inverses; ours is the greater one."""
    return max(value, 1 / value) if value > 0 else 1.0


def _loss(head):
    if head.kind == "region":
        return {}
    return {
        "box": head["iou_loss"],
        "box_weight": head["iou_normalizer"],
        "obj_weight": head["obj_normalizer"],
        "cls_weight": head["cls_normalizer"],
        "ignore_iou": head["ignore_thresh"],
        "iou_thresh": head["iou_thresh"],
    }


def _predict(head):
    if head.kind == "region":
        return {"nms": "iou", "nms_threshold": NMS_THRESHOLD}
    return {"nms": NMS_KINDS[head["nms_kind"]], "nms_threshold": NMS_THRESHOLD, "nms_beta": head["beta_nms"]}


def _sizes(size, random):
    """[smallest, largest] side in multi-scale training, as Darknet draws it."""
    reach = MULTI_SCALE if random == 1 else max(random, 1 / random)
    smallest, largest = (round(r * size / 32 + 1) * 32 for r in (1 / reach, reach))
    return [min(smallest, size), largest]
