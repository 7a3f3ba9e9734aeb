"""Which options each section of a .cfg may have, with types, ranges and Darknet's defaults.

Four sorts of options: those that the network is built from, those with the one value that is supported (another would
change the result and is refused), those that matter for training only (`detect.config.darknet` says which of them ours
can follow), and those of what comes after the network (`nms_kind`). Everything else is unknown and refused.
"""

import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple

MAX_SIDE = 1 << 14  # px of an input's side, and the greatest padding or kernel
MAX_CHANNELS = 1 << 17
MAX_COUNT = (1 << 63) - 1
MAX_LIST = 4096


class Option(NamedTuple):
    """One option: how its text is read, what it is when absent, what it may be; `training` alone needs it."""

    read: Callable[[str], Any]  # text -> value, ValueError when the text says something else
    expected: str  # what it must be, for the error message
    default: Any = None
    allowed: Callable[[Any], bool] = lambda value: True
    training: bool = False


def read_whole(text: str) -> int:
    """The whole number in `text`.  Raises ValueError."""
    if not re.fullmatch(r"[+-]?[0-9]{1,19}", text):
        raise ValueError(text)
    return int(text)


def read_number(text: str) -> float:
    """The finite number in `text`.  Raises ValueError."""
    if not re.fullmatch(r"[+-]?([0-9]{1,40}\.?[0-9]{0,60}|\.[0-9]{1,60})([eE][+-]?[0-9]{1,3})?", text):
        raise ValueError(text)
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def read_list(text: str, read: Callable[[str], int | float]) -> tuple[int | float, ...]:
    """The numbers in `text`, with commas between, each read by `read`.  Raises ValueError."""
    items = text.split(",")
    if len(items) > MAX_LIST:
        raise ValueError(text)
    return tuple(read(item) for item in items)


def whole(default: int | None, low: int, high: int) -> Option:
    """A whole number from `low` to `high`."""
    return Option(read_whole, f"a whole number from {low} to {high}", default, lambda value: low <= value <= high)


def number(default: float = 0.0, low: float = -1e30, high: float = 1e30) -> Option:
    """A number from `low` to `high`."""
    return Option(read_number, f"a number from {low:g} to {high:g}", default, lambda value: low <= value <= high)


def word(default: str, *choices: str) -> Option:
    """One of `choices`."""
    return Option(str, "one of " + ", ".join(choices), default, choices.__contains__)


def only(value: int) -> Option:
    """An option that changes the result; `value` is the only one supported."""
    expected = f"{value}, the only value supported"
    return Option(read_number, expected, value, lambda given: given == value)


def refused(expected: str) -> Option:
    """An option that changes the result in a way that is not supported at all."""
    return Option(str, expected, None, lambda given: False)


def wholes() -> Option:
    """Whole numbers; absent unless given."""
    return Option(lambda text: read_list(text, read_whole), "whole numbers with commas between")


def numbers() -> Option:
    """Numbers; absent unless given."""
    return Option(lambda text: read_list(text, read_number), "numbers with commas between")


def training(**options: Option) -> dict[str, Option]:
    """`options` as those that matter for training only."""
    return {name: option._replace(training=True) for name, option in options.items()}


ACTIVATION_NAMES = (
    "linear", "leaky", "relu", "logistic", "swish", "mish", "tanh", "relu6", "hard_mish", "elu", "selu", "gelu",
    "loggy", "relie", "ramp", "hardtan", "lhtan", "plse", "stair", "revleaky", "normalize_channels",
    "normalize_channels_softmax", "normalize_channels_softmax_maxval",
)  # fmt: skip
OF_ALL_CHANNELS = tuple(name for name in ACTIVATION_NAMES if name.startswith("normalize_"))
FROM_VALUE = tuple(name for name in ACTIVATION_NAMES if name not in OF_ALL_CHANNELS)
# Darknet computes these in [convolutional] and [shortcut] only; elsewhere they come out as zeros
WITH_MEMORY = ("swish", "mish", "hard_mish")
PLAIN = tuple(name for name in FROM_VALUE if name not in WITH_MEMORY)

SIDE = whole(1, 1, MAX_SIDE)
PADDING = whole(0, 0, MAX_SIDE)
FLAG = whole(0, 0, 1)
SWITCH = whole(0, 0, MAX_COUNT)  # as Darknet reads a flag: any number but 0 is yes; of some, the number counts steps

OF_EVERY_LAYER = {
    "dontload": only(0),
    "dontloadscales": only(0),
    **training(
        clip=number(),
        onlyforward=SWITCH,
        dont_update=SWITCH,  # this layer stays as it is until that step
        burnin_update=number(),
        stopbackward=SWITCH,  # so do this layer and those before it; 1: for good
        train_only_bn=SWITCH,
        learning_rate=number(1.0),
        stream=number(-1.0),  # how a GPU shares out its work
        wait_stream=number(-1.0),
    ),
}

NET = {
    "width": whole(0, 1, MAX_SIDE),
    "height": whole(0, 1, MAX_SIDE),
    "channels": whole(0, 1, 1024),
    "time_steps": only(1),
    "letter_box": FLAG,
    "inputs": whole(None, 1, MAX_COUNT),
    **training(
        batch=whole(1, 1, 1 << 20),
        subdivisions=whole(1, 1, 1 << 20),
        max_batches=whole(0, 0, MAX_COUNT),
        learning_rate=number(0.001, 0, 1e6),
        learning_rate_min=number(0.00001, 0, 1e6),
        momentum=number(0.9, 0, 1),
        decay=number(0.0001, 0, 1e6),
        burn_in=whole(0, 0, MAX_COUNT),
        power=number(4.0),
        policy=word("constant", "random", "poly", "constant", "step", "exp", "sigmoid", "steps", "sgdr"),
        step=whole(1, 0, MAX_COUNT),
        scale=number(1.0),
        steps=wholes(),
        scales=numbers(),
        seq_scales=numbers(),
        gamma=number(1.0),
        sgdr_cycle=number(),
        sgdr_mult=number(2.0),
        adam=SWITCH,
        B1=number(0.9),
        B2=number(0.999),
        eps=number(0.000001),
        max_crop=whole(None, 0, MAX_SIDE * 2),
        min_crop=whole(None, 0, MAX_SIDE),
        flip=SWITCH._replace(default=1),
        blur=number(),
        gaussian_noise=number(),
        mixup=SWITCH,
        cutmix=SWITCH,
        mosaic=SWITCH,
        mosaic_bound=SWITCH,
        angle=number(0.0),
        aspect=number(1.0),
        saturation=number(1.0),
        exposure=number(1.0),
        hue=number(0.0),
        label_smooth_eps=number(0.0),
        ema_alpha=number(0.0),
        resize_step=number(32.0),
        track=SWITCH,
        augment_speed=number(2.0),
        sequential_subdivisions=number(),
        try_fix_nan=SWITCH,
        weights_reject_freq=number(),
        equidistant_point=number(),
        badlabels_rejection_percentage=number(),
        num_sigmas_reject_badlabels=number(),
        use_cuda_graph=number(),
        loss_scale=number(1.0),
        dynamic_minibatch=number(),
        optimized_memory=number(),
        workspace_size_limit_MB=number(1024.0),
        contrastive=SWITCH,
        contrastive_jit_flip=SWITCH,
        contrastive_color=SWITCH,
        unsupervised=SWITCH,
        attention=SWITCH,
        adversarial_lr=number(),
        max_chart_loss=number(20.0),
        show_receptive_field=number(),
        cudnn_half=number(),
    ),
}

CONVOLUTIONAL = {
    "filters": whole(1, 1, MAX_CHANNELS),
    "size": SIDE,
    "stride": SIDE,
    "stride_x": whole(None, 1, MAX_SIDE),
    "stride_y": whole(None, 1, MAX_SIDE),
    "pad": whole(0, 0, MAX_SIDE),  # a flag; any number but 0 is yes
    "padding": PADDING,
    "dilation": SIDE,
    "groups": whole(1, 1, MAX_CHANNELS),
    "batch_normalize": whole(0, 0, 2),
    "cbn": FLAG,  # normalises over several batches of a training
    "activation": word("logistic", *ACTIVATION_NAMES),
    **{name: only(0) for name in ("antialiasing", "flipped", "binary", "xnor", "bin_output", "coordconv")},
    **{name: only(0) for name in ("sway", "rotate", "stretch", "stretch_sway", "reverse")},
    "share_index": refused("left out: sharing weights between layers is not supported"),
    **training(
        assisted_excitation=number(), angle=number(15.0), grad_centr=SWITCH, dot=number()
    ),  # the first three act on gradients or during training, `dot` on the loss
}

POOLING = {
    "stride": SIDE,
    "stride_x": whole(None, 1, MAX_SIDE),
    "stride_y": whole(None, 1, MAX_SIDE),
    "size": whole(None, 1, MAX_SIDE),
    "padding": whole(None, 0, MAX_SIDE),
}

OF_THE_LOSS = training(
    max=whole(200, 0, MAX_COUNT),
    jitter=number(0.2),
    resize=number(1.0),
    random=number(0.0),
    focal_loss=SWITCH,
)

YOLO = {
    "classes": whole(20, 1, 1 << 16),
    "num": whole(1, 1, 1000),
    "mask": wholes(),
    "anchors": numbers(),
    "scale_x_y": number(1.0, 1e-3, 100),
    "new_coords": FLAG,
    "nms_kind": word("default", "default", "greedynms", "diounms"),
    "beta_nms": number(0.6, 1e-6, 1e6),
    "map": refused("left out: renumbering classes is not supported"),
    **OF_THE_LOSS,
    **training(
        ignore_thresh=number(0.5),
        truth_thresh=number(1.0),
        iou_thresh=number(1.0),
        iou_loss=word("mse", "mse", "iou", "giou", "diou", "ciou"),
        iou_thresh_kind=word("iou", "iou", "giou", "diou", "ciou"),
        iou_normalizer=number(0.75),
        obj_normalizer=number(1.0),
        cls_normalizer=number(1.0),
        delta_normalizer=number(1.0),
        max_delta=number(3.4028235e38, 0, 3.4028235e38),
        label_smooth_eps=number(0.0),
        objectness_smooth=SWITCH,
        counters_per_class=wholes(),
        show_details=number(1.0),
        track_history_size=number(5.0),
        sim_thresh=number(0.8),
        dets_for_track=number(1.0),
        dets_for_show=number(1.0),
        track_ciou_norm=number(0.01),
        embedding_layer=number(),
    ),
}

# boxes with uncertainties (arXiv 1904.04620)
GAUSSIAN_YOLO = {
    **{name: option for name, option in YOLO.items() if name != "new_coords"},
    "yolo_point": word("center", "center"),
    **training(uc_normalizer=number(1.0)),
}

REGION = {
    "classes": whole(20, 1, 1 << 16),
    "num": whole(1, 1, 1000),
    "anchors": numbers(),
    "coords": only(4),
    "softmax": whole(0, 0, 1),
    "classfix": whole(0, -1, 2),
    "background": only(0),
    "tree": refused("left out: trees of classes are not supported"),
    "map": refused("left out: renumbering classes is not supported"),
    **OF_THE_LOSS,
    **training(
        log=number(),
        sqrt=number(),
        rescore=number(),
        thresh=number(0.5),
        absolute=number(),
        coord_scale=number(1.0),
        object_scale=number(1.0),
        noobject_scale=number(1.0),
        mask_scale=number(1.0),
        class_scale=number(1.0),
        bias_match=number(),
    ),
}

OF_THE_SECTIONS: dict[str, dict[str, Option]] = {
    "convolutional": CONVOLUTIONAL,
    "maxpool": {
        **POOLING,
        "maxpool_depth": FLAG,
        "out_channels": whole(1, 1, MAX_CHANNELS),
        "antialiasing": only(0),
        "maxpool_zero_nonmax": only(0),
    },
    "local_avgpool": POOLING,
    "avgpool": {},
    "route": {"layers": wholes(), "groups": whole(1, 1, MAX_CHANNELS), "group_id": whole(0, 0, MAX_CHANNELS)},
    "shortcut": {
        "from": wholes(),
        "activation": word("linear", *FROM_VALUE),
        "weights_type": word("none", "none", "per_feature", "per_layer", "per_channel"),
        "weights_normalization": word("none", "none", "relu", "avg_relu", "softmax"),
        "alpha": only(1),
        "beta": only(1),
    },
    "upsample": {"stride": whole(2, 1, 64), "scale": number(1.0)},
    "scale_channels": {
        "from": whole(None, -MAX_LIST, MAX_LIST),
        "scale_wh": FLAG,
        "activation": word("linear", *PLAIN),
    },
    "sam": {"from": whole(None, -MAX_LIST, MAX_LIST), "activation": word("linear", *PLAIN)},
    "reorg": {"stride": whole(1, 1, 64), "reverse": only(0)},
    "dropout": training(
        probability=number(0.2, 0, 1),
        dropblock=SWITCH,
        dropblock_size_rel=number(),
        dropblock_size_abs=number(),
    ),
    "connected": {
        "output": whole(1, 1, MAX_CHANNELS),
        "batch_normalize": FLAG,
        "activation": word("logistic", *PLAIN),
    },
    "softmax": {
        "groups": whole(1, 1, MAX_CHANNELS),
        "temperature": number(1.0, 1e-6, 1e6),
        "spatial": only(0),
        "tree": refused("left out: trees of classes are not supported"),
        **training(noloss=SWITCH),
    },
    "crop": {  # random in training, in the middle otherwise
        "crop_height": SIDE,
        "crop_width": SIDE,
        "noadjust": SWITCH,  # without it, 0..1 becomes -1..1
        **training(flip=SWITCH, angle=number(), saturation=number(1.0), exposure=number(1.0), shift=number()),
    },
    "cost": training(type=Option(str, "a word", "sse"), scale=number(1.0), ratio=number()),
    "yolo": YOLO,
    "Gaussian_yolo": GAUSSIAN_YOLO,
    "region": REGION,
}
LAYERS = {section_type: options | OF_EVERY_LAYER for section_type, options in OF_THE_SECTIONS.items()}

# Darknet's others, which are not supported
OTHER_SECTIONS = {
    "activation", "batchnorm", "contrastive", "conv_lstm", "crnn", "deconv", "deconvolutional", "detection", "empty",
    "gru", "history", "iseg", "l2norm", "local", "logistic", "lrn", "lstm", "normalization", "reorg3d", "reorg_old",
    "rnn", "silence",
}  # fmt: skip

ALIASES = {
    "network": "net",
    "conv": "convolutional",
    "max": "maxpool",
    "avg": "avgpool",
    "local_avg": "local_avgpool",
    "conn": "connected",
    "soft": "softmax",
}


def options_of(section_type: str) -> dict[str, Option]:
    """The options that a section of this long name may have, by name."""
    return NET if section_type == "net" else LAYERS[section_type]
