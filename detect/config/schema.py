"""The settings of a run as pure data: every key a configuration file may hold, its default, its range and what it does.

`Settings` describe a detector, `ClassifierSettings` a classifier. `read` fills these classes from YAML and refuses
everything else, `build` makes models of them, and docs/configuration.md is written from the help texts.
"""

from dataclasses import MISSING, dataclass, field
from typing import Any, NamedTuple


class Origin(NamedTuple):
    """Where a value was written: a line of a file, or an override."""

    text: str  # "configs/x.yaml:12", "--set train.lr"
    folder: str  # what a relative path written there is relative to


def setting(
    help: str,
    default: Any = MISSING,
    *,
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    choices: tuple[str, ...] | None = None,
    path: bool = False,
    words: tuple[str, ...] = (),
) -> Any:
    """A field with its help text and limits: `low <= value <= high`, `value > above`, one of `choices`, or a path.

    `words` may stand for a number.
    """
    about = {"help": help, "low": low, "high": high, "above": above, "choices": choices, "path": path, "words": words}
    if isinstance(default, (list, dict)):
        return field(default_factory=lambda: type(default)(default), metadata=about)
    return field(default=default, metadata=about)


def section(settings: type) -> Any:
    """A field that holds a section of settings, all of them at their defaults where it is left out."""
    return field(default_factory=settings)


class Part(dict[str, Any]):
    """A part of the model or of the loss, or an augmentation, by name with its options: `{name: EFM, sam: true}`."""


@dataclass
class ModelSettings:
    """The parts that the detector is put together from, each by its name with its options."""

    backbone: Part = setting("what makes a pyramid of maps from the image")
    neck: Part = setting("what fuses the pyramid")
    head: Part = setting("what predicts boxes and classes from the fused maps")


@dataclass
class DarknetModelSettings:
    """A detector described by a .cfg of Darknet."""

    cfg: list[str] = setting("lines of the .cfg")
    header: list[int] = setting(
        "header of its .weights file: version in three numbers, images seen", [0, 2, 5, 0], low=0
    )


@dataclass
class ClassifierModelSettings:
    """The backbone that is trained as a classifier."""

    backbone: Part = setting("what makes a pyramid of maps from the image")


@dataclass
class InputSettings:
    """The square that images are letterboxed into."""

    size: int = setting("side of the square input, px", 416, low=32, high=4096)
    train_sizes: list[int] | None = setting(
        "[smallest, largest] side in multi-scale training, px; without it, `size` always", None
    )


@dataclass
class ClassifierInputSettings(InputSettings):
    """The square that a classifier sees of an image."""

    resize: int | None = setting(
        "evaluation: side in px that the image's central square is scaled to, of which the middle `size` is seen (256 "
        "where `size` is 224); without it, all of the square",
        None,
        low=32,
        high=4096,
    )


@dataclass
class SplitSettings:
    """Where a split of the data lies."""

    images: str = setting("folder of the images, relative to data.root")
    annotations: str = setting("COCO JSON file, relative to data.root")


@dataclass
class PseudoSettings:
    """What becomes of boxes with a `score`, which a detector found and nobody checked."""

    learn: float = setting("score from which on they are learned as objects", 0.5, low=0, high=1)
    ignore: float = setting(
        "score from which on they are ignore regions: finding something there is not punished; the others are left out",
        0.2,
        low=0,
        high=1,
    )
    weighted: bool = setting("what is learned of them counts by their score", False)


@dataclass
class SetSettings:
    """A set of images with boxes."""

    root: str = setting(
        "folder of the data, or the file that describes them, relative to the file it is written in; or the address "
        "of shards (http://, https://, s3://, gs://)",
        path=True,
    )
    format: str = setting(
        "COCO's JSON, Pascal VOC's XML, YOLO's text files, a CSV, shards of webdataset; auto: "
        "what lies at the root says",
        "auto",
        choices=("auto", "coco", "voc", "yolo", "csv", "webdataset"),
    )
    splits: dict[str, SplitSettings] = setting("places of splits that are laid out as none of data/README.md", {})
    bad_boxes: str = setting(
        "what a box without area or off its image does: stop the training, or be dropped",
        "stop",
        choices=("stop", "drop"),
    )
    accept: list[str] = setting(
        "ids of docs/check.md that are no mistake in this set: [split.duplicates] lets a training be evaluated on its "
        "own images",
        [],
    )
    pseudo: PseudoSettings = section(PseudoSettings)
    share: float | None = setting(
        "how often its images are taken beside those of other sets: 3 and 1 mean three of four; for all sets or none "
        "(each by its size)",
        None,
        above=0,
        high=1e6,
    )


@dataclass
class DataSettings(SetSettings):
    """Images with boxes: a mapping, a YAML file that holds it, a folder, or a list of such (all are learned from; the
    first gives the classes and is evaluated on)."""

    repeat_rare: float = setting(
        "share of the images; classes that fewer hold are rare, images with them are taken sqrt(this / theirs) times "
        "as often (LVIS: 0.001); 0: all as often",
        0.0,
        low=0,
        high=1,
    )
    cache: str = setting(
        "where images are kept while training, shrunk to the largest input size (at their own size with augment.tile), "
        "so that they are decoded once: in RAM, in files that the next training uses too, or not at all",
        "none",
        choices=("none", "ram", "disk"),
    )
    beside: list[SetSettings] = setting("the others of a list of sets, mappings like this one", [])


@dataclass
class ImageFolderSettings:
    """Images in class folders."""

    root: str = setting("folder that holds SPLIT/CLASS/image.jpg, relative to the file it is written in", path=True)


@dataclass
class ColourSettings:
    """What both tasks do to a training image: a flip and other colours."""

    flip: float = setting("probability of a left-right flip", 0.5, low=0, high=1)
    hue: float = setting("largest shift of the hue, as share of the colour circle", 0.1, low=0, high=0.5)
    saturation: float = setting("largest factor on the saturation, also its inverse", 1.5, low=1)
    exposure: float = setting("largest factor on the brightness, also its inverse", 1.5, low=1)


@dataclass
class AugmentSettings(ColourSettings):
    """Random changes of a training image: a list of [augmentations by name](#augmentations-by-name), or these keys,
    which are the short form of one."""

    tile: float = setting(
        "probability of a part of the image, as large as the network's input and not scaled, instead of all of it: for "
        "small objects in large images",
        0.0,
        low=0,
        high=1,
    )
    mosaic: float = setting("probability of four images in one", 0.0, low=0, high=1)
    mosaic_off: float = setting("last share of the training that sees no mosaics", 0.1, low=0, high=1)
    jitter: float = setting("share of a side by which it is cut or padded at the most", 0.3, low=0, high=0.49)
    zoom: float = setting(
        "by how much the image is cut or padded beside jitter, each edge by its own (Darknet's resize): at the most by "
        "what would zoom in or out by this factor",
        1.0,
        low=1,
        high=4,
    )


@dataclass
class CropSettings(ColourSettings):
    """Random crops of a classifier's training image."""

    short_side: list[int] = setting(
        "[least, most] px of the short side of the image that is cut from", [128, 448], low=1, high=8192
    )
    angle: float = setting("largest turn, degrees", 7.0, low=0, high=180)
    aspect: float = setting("largest stretch of the width, also its inverse", 1.333, low=1, high=10)


@dataclass
class LossSettings:
    """The YOLOv3 loss, by default as Darknet trains it. [losses.md](losses.md) says what each name is."""

    box: str = setting(
        "box term: squared errors, or 1 - overlap of that form",
        "mse",
        choices=("mse", "iou", "giou", "diou", "ciou", "eiou"),
    )
    assign: Part = setting(
        "which predictions learn which objects: best_anchor, iou_threshold, atss, simota or task_aligned",
        Part(name="best_anchor"),
    )
    objectness: str = setting(
        "what objects pull objectness to: 1 (task_aligned: their alignment), or the IoU of the predicted box",
        "one",
        choices=("one", "iou"),
    )
    ignore_iou: float = setting(
        "a prediction that overlaps an object by more than this IoU is not pulled to 0", 0.7, low=0, high=1
    )
    obj_loss: Part = setting("loss of objectness: bce, focal, quality_focal or varifocal", Part(name="bce"))
    cls_loss: Part = setting("loss of the classes: one of the same", Part(name="bce"))
    label_smoothing: float = setting("e: class targets are e / 2 and 1 - e / 2 instead of 0 and 1", 0.0, low=0, high=1)
    class_balance: float = setting(
        "objects count by (boxes of their class)^-x, scaled to 1 on the average box; 0: all the same",
        0.0,
        low=0,
        high=1,
    )
    box_weight: float = setting("weight of the box term", 0.75, low=0)
    obj_weight: float = setting("weight of the objectness term", 1.0, low=0)
    cls_weight: float = setting("weight of the class term", 1.0, low=0)


@dataclass
class TrainSettings:
    """How long and how to train. `burn_in` and `milestones` count in the unit of the length."""

    epochs: float | None = setting("length of the training in epochs; give this or steps", None, above=0)
    steps: int | None = setting("length of the training in optimizer steps", None, low=1)
    batch: int = setting(
        "images per optimizer step; auto: as many as there is memory for, at most 64", 64, low=1, words=("auto",)
    )
    accumulate: int = setting("backward passes per step: the batch goes through in so many parts", 1, low=1)
    lr: float = setting("peak learning rate, for loss terms averaged over the batch", 0.001, above=0)
    lr_scale: dict[str, float] = setting(
        'factors on the learning rate of parts by name with wildcards: {"backbone.*": 0.1}', {}, above=0, high=1000
    )
    optimizer: str = setting("what makes steps of gradients", "sgd", choices=("sgd", "adamw"))
    momentum: float = setting("momentum of SGD", 0.9, low=0, high=0.9999)
    nesterov: bool = setting("Nesterov's momentum, for SGD", False)
    betas: list[float] = setting(
        "AdamW: decay of the averages of gradient and square", [0.9, 0.999], low=0, high=0.99999
    )
    weight_decay: float = setting("weight decay of the convolutions' weights", 0.0005, low=0)
    burn_in: float = setting("length of the warm-up: lr * (progress / burn_in)^4", 0.0, low=0)
    schedule: str = setting("how the learning rate falls after the warm-up", "step", choices=("step", "cosine", "poly"))
    milestones: list[float] = setting("schedule step: where the learning rate is multiplied by 0.1", [])
    power: float = setting("schedule poly: lr * (1 - progress)^power", 4.0, above=0)
    final_lr: float = setting("schedule cosine: last learning rate as share of the peak", 0.01, low=0, high=1)
    clip_norm: float | None = setting("largest norm of the gradient", None, above=0)
    ema: float = setting("decay of the weights' moving average; 0: none", 0.9998, low=0, high=0.999999)
    average_last: float = setting(
        "last share of the training over whose steps the weights are averaged, instead of `ema`", 0.0, low=0, high=1
    )
    norm_momentum: float = setting(
        "share of the new batch in the norms' running statistics (Darknet: 0.01)", 0.01, above=0, high=1
    )
    sync_norms: bool = setting(
        "norms take the statistics of all processes' images, instead of each process's part of the batch", False
    )
    precision: str = setting(
        "number format of the forward pass; auto: bf16 or fp16 on CUDA, else fp32; fp16 needs CUDA",
        "auto",
        choices=("auto", "fp32", "bf16", "fp16"),
    )
    channels_last: bool = setting("keep maps channels last in memory, which is faster", True)
    workers: int = setting("loader processes, at most one per core", 2, low=0, high=256)
    seed: int = setting("of the initial weights, the order of images and their changes", 0, low=0)
    evaluate_every: float = setting("epochs between evaluations on split val", 1.0, above=0)
    patience: int | None = setting("evaluations without a better one after which the training ends", None, low=1)
    tensorboard: bool = setting("write the numbers of the run for TensorBoard too (extra log)", False)
    save_minutes: float = setting("longest time between two checkpoints", 10.0, above=0)
    init: str | None = setting("weights to start from; tensors that fit are taken", None, path=True)
    teacher: str | None = setting(
        "weights of a detector of the same classes; its predictions are learned beside the labels, at scales whose "
        "stride and anchors are the teacher's, or half of the teacher's (which then sees the images twice as large)",
        None,
        path=True,
    )
    teacher_weight: float = setting("weight of what the teacher teaches beside the labels", 1.0, above=0)
    freeze: list[str] = setting('parts that stay as they are, by name with wildcards: backbone, "*.norm"', [])


@dataclass
class PredictSettings:
    """Which detections are kept."""

    min_score: float = setting("detections at or below it are left out", 0.25, low=0, high=1)
    nms: str = setting("overlap measure of the NMS", "iou", choices=("iou", "diou", "diou_beta"))
    nms_threshold: float = setting("overlap above which a lower-scored detection goes", 0.45, low=-1, high=1)
    nms_beta: float = setting("exponent of the distance term of diou_beta", 0.6, above=0)
    nms_vote: bool = setting(
        "each detection's box becomes the mean, by score, of those that overlap it above nms_threshold", False
    )
    per_class: bool = setting("NMS within a class only", True)
    max_detections: int = setting("detections kept of an image at the most", 100, low=1, high=10_000)

    def nms_options(self) -> dict[str, Any]:
        """Keyword arguments for `detect.ops.nms.nms`."""
        options = {"overlap": self.nms, "threshold": self.nms_threshold, "beta": self.nms_beta}
        return options | {"per_class": self.per_class, "vote": self.nms_vote}


@dataclass
class _Run:
    """What both kinds of settings have, and what is no key of a file.

    `origins`, by dotted name, are for error messages; `notes` are sentences for the user about the file.
    """

    origins: dict[str, Origin] = field(default_factory=dict, init=False, repr=False, compare=False)
    notes: tuple[str, ...] = field(default=(), init=False, repr=False, compare=False)


@dataclass
class Settings(_Run):
    """A detector: what it is, what it learns from, and how."""

    model: ModelSettings
    input: InputSettings = section(InputSettings)
    data: DataSettings | None = None
    augment: AugmentSettings | list[Part] = section(AugmentSettings)
    loss: LossSettings = section(LossSettings)
    train: TrainSettings = section(TrainSettings)
    predict: PredictSettings = section(PredictSettings)


@dataclass
class DarknetSettings(Settings):
    """`Settings` of a detector that a .cfg describes."""

    model: DarknetModelSettings  # type: ignore[assignment]


@dataclass
class ClassifierSettings(_Run):
    """A classifier: a backbone trained on images in class folders."""

    model: ClassifierModelSettings
    input: ClassifierInputSettings = section(ClassifierInputSettings)
    data: ImageFolderSettings | None = None
    augment: CropSettings = section(CropSettings)
    train: TrainSettings = section(TrainSettings)
