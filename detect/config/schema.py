"""The settings of a run, typed: every key a configuration file may hold, its default and its range.

`Settings` describe a detector, `ClassifierSettings` a classifier. `detect.config` reads YAML into these classes and
refuses everything else.
"""

from dataclasses import MISSING, dataclass, field


def setting(default=MISSING, *, low=None, high=None, above=None, choices=None, path=False):
    """A field with its limits: `low <= value <= high`, `value > above`, one of `choices`, or a file-system path."""
    limits = {"low": low, "high": high, "above": above, "choices": choices, "path": path}
    if isinstance(default, (list, dict)):
        return field(default_factory=lambda: type(default)(default), metadata=limits)
    return field(default=default, metadata=limits)


class Part(dict):
    """A part of the model by name, with its options: `{name: EFM, sam: true}`."""


@dataclass
class ModelSettings:
    backbone: Part
    neck: Part
    head: Part

    def build(self, num_classes):
        """The untrained `Detector`.  Raises UserError: a part or an option is unknown or does not fit."""
        from detect.models.detector import build_detector

        return build_detector(vars(self), num_classes)

    @property
    def title(self):
        return " + ".join(part["name"] for part in vars(self).values())


@dataclass
class DarknetModelSettings:
    """A detector described by a .cfg of Darknet."""

    cfg: list[str]  # its lines
    header: list[int] = setting([0, 2, 5, 0], low=0)  # of its .weights: version in three numbers, images seen

    def build(self, num_classes):
        """The `DarknetNetwork`, whatever `num_classes`: the cfg says how many there are.  Raises UserError."""
        from detect.darknet.cfg import parse
        from detect.darknet.network import DarknetNetwork

        return DarknetNetwork(parse("\n".join(self.cfg), "the .cfg"))

    @property
    def title(self):
        return "Darknet's .cfg"


@dataclass
class ClassifierModelSettings:
    backbone: Part

    def build(self, num_classes):
        """The untrained `Classifier`.  Raises UserError: the backbone or an option is unknown or does not fit."""
        from detect.models.classifier import Classifier
        from detect.models.registry import BACKBONES

        return Classifier(BACKBONES.build(self.backbone), num_classes)

    @property
    def title(self):
        return self.backbone["name"]


@dataclass
class InputSettings:
    size: int = setting(416, low=32, high=4096)  # side of the square input, px
    train_sizes: list[int] | None = None  # [smallest, largest] side in multi-scale training; none: `size` always


@dataclass
class SplitSettings:
    images: str  # folder, relative to data.root
    annotations: str  # COCO JSON, relative to data.root


@dataclass
class DataSettings:
    root: str = setting(path=True)  # relative to the file it is written in
    splits: dict[str, SplitSettings] = setting({})  # only where the layout is none of data/README.md
    bad_boxes: str = setting("stop", choices=("stop", "drop"))  # what a box without area or off the image does


@dataclass
class ImageFolderSettings:
    root: str = setting(path=True)  # holds SPLIT/CLASS/image.jpg; relative to the file it is written in


@dataclass
class ColourSettings:
    """What both tasks do to a training image: a flip and other colours."""

    flip: float = setting(0.5, low=0, high=1)  # probability of a left-right flip
    hue: float = setting(0.1, low=0, high=0.5)  # largest shift, as share of the colour circle
    saturation: float = setting(1.5, low=1)  # largest factor, also its inverse
    exposure: float = setting(1.5, low=1)  # largest factor on the brightness, also its inverse


@dataclass
class AugmentSettings(ColourSettings):
    mosaic: float = setting(0.0, low=0, high=1)  # probability of four images in one
    mosaic_off: float = setting(0.1, low=0, high=1)  # last share of the training that sees whole images only
    jitter: float = setting(0.3, low=0, high=0.49)  # each side is cut or padded by up to this share


@dataclass
class CropSettings(ColourSettings):
    short_side: list[int] = setting([128, 448], low=1, high=8192)  # [least, most] px of the image that is cut from
    angle: float = setting(7.0, low=0, high=180)  # largest turn, degrees
    aspect: float = setting(1.333, low=1, high=10)  # largest stretch of the width, also its inverse


@dataclass
class LossSettings:
    box: str = setting("mse", choices=("mse", "iou", "giou", "diou", "ciou"))
    objectness: str = setting("one", choices=("one", "iou"))  # what objects pull it to: 1, or the predicted box's IoU
    ignore_iou: float = setting(0.7, low=0, high=1)
    iou_thresh: float = setting(
        1.0, low=0, high=1
    )  # below 1: also anchors with more size IoU than this learn an object
    box_weight: float = setting(0.75, low=0)
    obj_weight: float = setting(1.0, low=0)
    cls_weight: float = setting(1.0, low=0)


@dataclass
class TrainSettings:
    epochs: float | None = setting(None, above=0)  # length of the training: epochs, or
    steps: int | None = setting(None, low=1)  # optimizer steps; milestones and burn_in count in the same unit
    batch: int = setting(64, low=1)  # images per optimizer step
    accumulate: int = setting(1, low=1)  # backward passes per step: the batch goes through in so many parts
    lr: float = setting(0.001, above=0)  # peak learning rate, for loss terms averaged over the batch
    momentum: float = setting(0.9, low=0, high=0.9999)
    nesterov: bool = False
    weight_decay: float = setting(0.0005, low=0)
    burn_in: float = setting(0.0, low=0)  # warm-up: lr * (progress / burn_in)^4
    schedule: str = setting("step", choices=("step", "cosine", "poly"))
    milestones: list[float] = setting([])  # step: where lr is multiplied by 0.1
    power: float = setting(4.0, above=0)  # poly: lr * (1 - progress)^power
    final_lr: float = setting(0.01, low=0, high=1)  # cosine: last lr as share of the peak
    clip_norm: float | None = setting(None, above=0)  # largest norm of the gradient
    ema: float = setting(0.9998, low=0, high=0.999999)  # decay of the weights' moving average; 0: none
    norm_momentum: float = setting(
        0.01, above=0, high=1
    )  # share of the new batch in running statistics (Darknet: 0.01)
    precision: str = setting("auto", choices=("auto", "fp32", "bf16", "fp16"))  # auto: bf16 or fp16 on CUDA, else fp32
    channels_last: bool = True
    workers: int = setting(2, low=0, high=256)  # loader processes, at most one per core
    seed: int = setting(0, low=0)
    evaluate_every: float = setting(1.0, above=0)  # epochs between evaluations on split val
    save_minutes: float = setting(10.0, above=0)  # longest time between two checkpoints
    init: str | None = setting(None, path=True)  # weights to start from; tensors that fit are taken
    freeze: list[str] = setting([])  # parts that stay as they are, by name with wildcards: backbone, "*.norm"


@dataclass
class PredictSettings:
    min_score: float = setting(0.25, low=0, high=1)
    nms: str = setting("iou", choices=("iou", "diou", "diou_beta"))
    nms_threshold: float = setting(0.45, low=-1, high=1)
    nms_beta: float = setting(0.6, above=0)
    per_class: bool = True
    max_detections: int = setting(100, low=1, high=10_000)

    def nms_options(self):
        """Keyword arguments for `detect.ops.nms.nms`."""
        return {
            "overlap": self.nms,
            "threshold": self.nms_threshold,
            "beta": self.nms_beta,
            "per_class": self.per_class,
        }


@dataclass
class Settings:
    model: ModelSettings
    input: InputSettings = field(default_factory=InputSettings)
    data: DataSettings | None = None
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    loss: LossSettings = field(default_factory=LossSettings)
    train: TrainSettings = field(default_factory=TrainSettings)
    predict: PredictSettings = field(default_factory=PredictSettings)


@dataclass
class DarknetSettings(Settings):
    """`Settings` of a detector that a .cfg describes."""

    model: DarknetModelSettings


@dataclass
class ClassifierSettings:
    model: ClassifierModelSettings
    input: InputSettings = field(default_factory=InputSettings)
    data: ImageFolderSettings | None = None
    augment: CropSettings = field(default_factory=CropSettings)
    train: TrainSettings = field(default_factory=TrainSettings)
