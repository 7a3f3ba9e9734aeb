"""A .cfg and our settings, both ways: how Darknet says what to train, and how, and how we say it.

`values_of` reads `[net]` and the last detection layer into the mapping that a YAML of ours would hold; `net_options`
and `yolo_options` write our settings as options of those sections. `OPTIONS` is what the two directions share.
"""

import os
from collections.abc import Iterator
from typing import Any

from detect.config.schema import ClassifierSettings, Origin, Settings
from detect.config.text import Origins
from detect.darknet.cfg import Cfg, Section
from detect.darknet.network import NMS_THRESHOLD, nms_of
from detect.darknet.options import options_of
from detect.darknet.place import DETECTIONS
from detect.data.augment import pipeline
from detect.errors import UserError
from detect.files import printable

MULTI_SCALE = 1.4  # random=1: sizes from 1/1.4 of the cfg's on to 1.4 times it
# our setting -> the option that holds it, where the names differ
OPTIONS = {
    "size": "width", "train_sizes": "random", "accumulate": "subdivisions", "lr": "learning_rate",
    "weight_decay": "decay", "steps": "max_batches", "schedule": "policy", "milestones": "steps",
    "box": "iou_loss", "box_weight": "iou_normalizer", "obj_weight": "obj_normalizer", "cls_weight": "cls_normalizer",
    "ignore_iou": "ignore_thresh", "assign": "iou_thresh", "zoom": "resize", "nms": "nms_kind", "nms_beta": "beta_nms",
}  # fmt: skip
# settings of a section that a detection layer holds as they are, in the order in which they are written
LOSS = ("ignore_iou", "box", "box_weight", "obj_weight", "cls_weight")
BEST_ANCHOR = "best_anchor"  # Darknet's assignment

# ---- a .cfg -> settings --------------------------------------------------------------------------------------------


def values_of(path: str, cfg: Cfg, training: bool = True) -> tuple[dict[str, Any], Origins]:
    """(values, origins) of the .cfg in `path`: the mapping that a YAML of ours would hold, and where each was written.

    Without `training` they say only what running and evaluating the network needs.

    Raises:
        UserError: it has no detection layer, takes no RGB images, or asks for a training that we do not have.
    """
    heads = [section for section in cfg.layers if section.type in DETECTIONS]
    if not heads:
        raise UserError(f"{path}: has no [yolo] or [region] layer, so it is no detector; detect.darknet.load runs it")
    net, head = cfg.net, heads[-1]
    if net["channels"] != 3:
        raise net.error(f"channels={net['channels']}: images have 3 here; detect.darknet.load runs it", "channels")
    lines = [printable(line.expandtabs().rstrip()) for line in cfg.text.rstrip("\n").split("\n")]
    values = {
        "model": {"cfg": lines},
        "input": {"size": max(net["width"], net["height"])},
        "predict": _predict(head),
    }
    if training:
        if all(section.type == "yolo" for section in heads):  # others are not trained at all: their head says so
            _check_training(cfg)
        values |= {"train": _train(net), "augment": _augment(net, head), "loss": _loss(head)}
        frozen, last = _frozen(cfg.layers)
        if frozen:
            values["train"]["freeze"] = frozen
        if head["random"]:
            values["input"]["train_sizes"] = _sizes(values["input"]["size"], head["random"])
    folder = os.path.dirname(path)
    origins = {
        f"{section}.{name}": Origin(_where(path, net, head, name), folder)
        for section, mapping in values.items()
        for name in mapping
    }
    if training and frozen:
        origins["train.freeze"] = Origin(f"{path}:{last}", folder)
    return values, origins


def _frozen(layers: tuple[Section, ...]) -> tuple[list[str], int]:
    """Names of the modules that Darknet does not train, and the line that says so.

    `stopbackward=1` lets no gradient through to this layer and those before it. Their norms are fixed here as well;
    Darknet goes on adapting the statistics.
    """
    stops = [index for index, section in enumerate(layers) if section["stopbackward"]]
    if not stops:
        return [], 0
    return [f"layers.{index}" for index in range(stops[-1] + 1)], layers[stops[-1]].lines["stopbackward"]


# Options for training that ours follows, by section. Any other is refused unless it says what Darknet does anyway.
FOLLOWED = {
    "net": {
        "batch", "subdivisions", "max_batches", "learning_rate", "learning_rate_min", "momentum", "decay", "burn_in",
        "power", "policy", "steps", "scales", "sgdr_cycle", "ema_alpha", "flip", "mosaic", "saturation", "exposure",
        "hue",
    },
    "yolo": {
        "jitter", "resize", "random", "ignore_thresh", "iou_thresh", "iou_loss", "iou_normalizer", "obj_normalizer",
        "cls_normalizer",
    },
    "dropout": {"probability"},
}  # fmt: skip
# Options that change nothing that a detector learns: how a GPU works and what is shown, what tracks objects in a video,
# what belongs to policies that are refused or to classifiers, and `max`, as ours has no greatest number of objects.
WITHOUT_EFFECT = {
    "stream", "wait_stream", "cudnn_half", "use_cuda_graph", "loss_scale", "optimized_memory",
    "workspace_size_limit_MB", "max_chart_loss", "show_receptive_field", "show_details", "track_history_size",
    "sim_thresh", "dets_for_track", "dets_for_show", "track_ciou_norm", "step", "scale", "gamma", "sgdr_mult", "B1",
    "B2", "eps", "max_crop", "min_crop", "max",
}  # fmt: skip
MOST_NAMED = 10  # options in one sentence

ONE_FOR_ALL = (  # what all detection layers of a network train with
    "anchors", "iou_loss", "iou_normalizer", "obj_normalizer", "cls_normalizer", "ignore_thresh", "iou_thresh",
)  # fmt: skip


def _check_training(cfg: Cfg) -> None:
    """Raise UserError where Darknet would train this network otherwise than we can; all options at fault are named."""
    refused = [(section, option) for section in (cfg.net, *cfg.layers) for option in _refused(section)]
    if refused:
        section, option = refused[0]
        others = [f"{other.lines[name]} ({name})" for other, name in refused[1 : MOST_NAMED + 1]]
        more = f" and {len(refused) - 1 - MOST_NAMED} more" if len(refused) > MOST_NAMED + 1 else ""
        also = f", also in line{'s' * (len(others) > 1)} {', '.join(others)}{more}" if others else ""
        value = section[option]
        shown = f"{value:g}" if isinstance(value, (int, float)) else value if isinstance(value, str) else "..."
        raise section.error(f"{option}={shown} is not supported in training; remove it{also}", option)
    yolos = [section for section in cfg.layers if section.type == "yolo"]
    for option in ONE_FOR_ALL:
        for section in yolos[:-1]:
            last = yolos[-1]
            if section[option] != last[option]:
                raise section.error(
                    f"{option} differs from that of the [yolo] in line {last.line}; training needs the same in all",
                    option,
                )


def _refused(section: Section) -> Iterator[str]:
    """Names of the options by which Darknet would train otherwise than we can."""
    known = options_of(section.type)
    for option in section.lines:
        value = section[option]
        if option == "stopbackward":  # a greater number is a step until which it holds
            follows = value <= 1
        elif option in ("cbn", "batch_normalize"):  # over several batches
            follows = value <= (option == "batch_normalize")
        elif known[option].training:
            followed = option in FOLLOWED.get(section.type, ()) or option in WITHOUT_EFFECT
            follows = followed or value == known[option].default
        else:
            follows = True
        if not follows:
            yield option


def _where(path: str, net: Section, head: Section, name: str) -> str:
    if name == "cfg":
        return path
    option = OPTIONS.get(name, name)
    if name == "size" and net["height"] > net["width"]:
        option = "height"
    line = net.lines.get(option) or head.lines.get(option)
    return f"{path}:{line}" if line else f"{path}, Darknet's default"


def _train(net: Section) -> dict[str, Any]:
    policy, steps = net["policy"], net["max_batches"]
    if not net["learning_rate"]:
        raise net.error("learning_rate must be greater than 0", "learning_rate")
    values = {
        "batch": net["batch"] - net["batch"] % net["subdivisions"] or net["subdivisions"],
        "accumulate": net["subdivisions"],
        "lr": net["learning_rate"],
        "momentum": net["momentum"],
        "weight_decay": net["decay"],
        "ema": min(net["ema_alpha"], 0.999999),
    }
    if steps:
        values |= {"steps": steps, "burn_in": net["burn_in"]}
    if steps and net["burn_in"] and net["power"] != 4:
        raise net.error(f"power={net['power']:g}: the burn-in rises with the fourth power here; set power=4", "power")
    if policy == "poly":
        values |= {"schedule": "poly", "power": net["power"]}
    elif policy == "sgdr":
        if net["sgdr_cycle"] not in (0, steps):
            raise net.error("sgdr_cycle: only one cycle, of max_batches, is supported", "sgdr_cycle")
        values |= {"schedule": "cosine", "final_lr": min(net["learning_rate_min"] / net["learning_rate"], 1.0)}
    elif policy in ("steps", "constant"):
        scales = net["scales"] or ()
        if policy == "steps" and (not net["steps"] or len(net["steps"]) != len(scales)):
            raise net.error("policy=steps needs as many scales as steps, at least one", "steps")
        if policy == "steps" and any(abs(scale - 0.1) > 1e-9 for scale in scales):
            raise net.error(f"scales={','.join(f'{s:g}' for s in scales)}: only steps by 0.1 are supported", "scales")
        milestones = [] if policy == "constant" else [float(step) for step in net["steps"] or ()]
        values |= {"schedule": "step", "milestones": [m for m in milestones if not steps or m < steps]}
    else:
        raise net.error(f"policy={policy} is not supported; use steps, poly, sgdr or constant", "policy")
    return values


def _augment(net: Section, head: Section) -> dict[str, Any]:
    if head["resize"] < 1:
        raise head.error(f"resize={head['resize']:g}: only 1 or more is supported in training", "resize")
    return {
        "mosaic": 0.5 if net["mosaic"] else 0.0,  # Darknet makes mosaics of every other batch
        "mosaic_off": 0.0,
        "jitter": min(head["jitter"], 0.49),
        "zoom": min(head["resize"], 4.0),
        "flip": 0.5 if net["flip"] else 0.0,
        "hue": min(net["hue"], 0.5),
        "saturation": _factor(net["saturation"]),
        "exposure": _factor(net["exposure"]),
    }


def _factor(value: float) -> float:
    """Darknet takes factors from `value` to 1 or from 1 to `value`, and their inverses; ours is the greater one."""
    return min(max(value, 1 / value), 1000.0) if value > 0 else 1.0


def _loss(head: Section) -> dict[str, Any]:
    if head.type == "region":
        return {}
    assign: dict[str, Any] = {"name": BEST_ANCHOR}
    if head["iou_thresh"] != 1:
        assign["iou_thresh"] = head["iou_thresh"]
    return {"assign": assign} | {name: head[OPTIONS.get(name, name)] for name in LOSS}


def _predict(head: Section) -> dict[str, Any]:
    overlap, beta = nms_of(head)
    options: dict[str, Any] = {"nms": overlap, "nms_threshold": NMS_THRESHOLD}
    return options if beta is None else options | {"nms_beta": beta}


def _sizes(size: int, random: float) -> list[int]:
    """[smallest, largest] side in multi-scale training, as Darknet draws it."""
    reach = MULTI_SCALE if random == 1 else max(random, 1 / random)
    smallest, largest = (int(r * size / 32 + 1.5) * 32 for r in (1 / reach, reach))  # halves go up, as with roundl
    return [min(smallest, size), largest]


# ---- settings -> options of a .cfg ---------------------------------------------------------------------------------


def net_options(settings: Settings | ClassifierSettings) -> dict[str, Any]:
    """The options of `[net]` that say how a model of ours was trained."""
    train, colours = settings.train, _darknets(settings)["HSV"]
    options: dict[str, Any] = {
        "batch": train.batch,
        "subdivisions": train.accumulate,
        "momentum": f"{train.momentum:g}",
        "decay": f"{train.weight_decay:g}",
        **{name: f"{colours[name]:g}" for name in ("hue", "saturation", "exposure")},
        "learning_rate": f"{train.lr:g}",
    }
    if train.steps and train.schedule in ("step", "poly"):
        options |= {"burn_in": round(train.burn_in), "max_batches": train.steps}
        if train.schedule == "poly":
            options |= {"policy": "poly", "power": f"{train.power:g}"}
        elif train.milestones:
            steps = ",".join(str(round(step)) for step in train.milestones)
            options |= {"policy": "steps", "steps": steps, "scales": ",".join(["0.1"] * len(train.milestones))}
    if isinstance(settings, Settings):
        options["letter_box"] = 1
    return options


def _darknets(settings: Settings | ClassifierSettings) -> dict[str, dict[str, Any]]:
    """Options of the augmentations that Darknet has too, by name; those that change nothing where there is none."""
    options = {"HSV": {"hue": 0.0, "saturation": 1.0, "exposure": 1.0}, "Jitter": {"share": 0.0, "zoom": 1.0}}
    if isinstance(settings, ClassifierSettings):
        return options | {"HSV": vars(settings.augment)}
    return options | {type(step).__name__: vars(step) for step in pipeline.own(settings.augment)}


def yolo_options(settings: Settings | ClassifierSettings) -> dict[str, Any]:
    """The options of `[yolo]` that say how a detector of ours was trained and what its NMS is."""
    if not isinstance(settings, Settings):
        return {}
    jitter = _darknets(settings)["Jitter"]
    options: dict[str, Any] = {"jitter": jitter["share"], "random": int(settings.input.train_sizes is not None)}
    options |= {"resize": jitter["zoom"]} if jitter["zoom"] != 1 else {}
    options |= {"truth_thresh": 1} | {OPTIONS.get(name, name): getattr(settings.loss, name) for name in LOSS}
    if settings.loss.box == "eiou":  # which Darknet has not
        del options[OPTIONS["box"]]
    if settings.loss.assign["name"] == BEST_ANCHOR:
        options[OPTIONS["assign"]] = settings.loss.assign.get("iou_thresh", 1.0)
    if settings.predict.nms != "iou":
        beta = settings.predict.nms_beta if settings.predict.nms == "diou_beta" else 1.0
        options |= {"nms_kind": "diounms", "beta_nms": beta}
    return {name: value if isinstance(value, str) else f"{value:g}" for name, value in options.items()}
