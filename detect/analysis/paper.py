"""What the CSPNet paper and its neighbours print of their models, beside what ours count.

Every number has a status:

- established: a published cfg or source says what the layers are;
- recovered: no cfg was published, but the layers follow from figures and totals, which they meet;
- inferred: only totals are published, and our layers are a stand-in that comes near them, not the authors' design.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from detect.analysis.profile import Profile, profile
from detect.analysis.table import aligned
from detect.models.classifier import Classifier
from detect.models.detector import Detector, build_detector
from detect.models.registry import BACKBONES

# nets in Tables 3 and 4 that belong to other works and are not built here
NOT_COUNTED = (
    "EfficientNet-B0", "HarDNet-138s", "DenseNet-264-32", "ResNet-152", "Res2Net-50", "Res2NeXt-50", "LRF", "SSD",
    "M2Det", "PFPNet", "DAFS", "RFBNet", "RefineDet", "CenterNet", "TTFNet", "Pelee (SSD)", "ThunderNet",
)  # fmt: skip


@dataclass(frozen=True)
class Published:
    """A model with the numbers that are printed of it. Without a neck it is a classifier of 1,000 classes."""

    name: str
    table: str
    size: int  # side of the input, px
    backbone: dict[str, Any]
    status: str
    neck: dict[str, Any] | None = None
    parameters: float | None = None  # millions
    convention: str = "conv_weights"  # what `parameters` counts: conv_weights, floats or parameters
    bflops: float | None = None
    operations: str = "darknet"  # how `bflops` is counted: a key of OPERATIONS
    anchors: str = "coco9"
    note: str = ""

    def model(self) -> Classifier | Detector:
        """The model on the meta device."""
        with torch.device("meta"):
            if self.neck is None:
                return Classifier(BACKBONES.build(self.backbone), 1000)
            parts = {"backbone": self.backbone, "neck": self.neck, "head": {"name": "YOLOv3", "anchors": self.anchors}}
            return build_detector(parts, num_classes=80)


def _of_convolutions(counted: Profile) -> float:
    return sum(layer.bflops for layer in counted.layers if layer.is_convolution)


def _with_elementwise(counted: Profile) -> float:
    """`_with_norms`, and for every element one operation of ReLU, one of average pooling, both doubled."""
    pooled = sum(math.prod(layer.input) for layer in counted.layers if layer.type == "avgpool 2x2/2")
    return _with_norms(counted) + 2 * (_normalised(counted) + pooled) / 1e9


def _with_norms(counted: Profile) -> float:
    """Convolutions, and for every normalised element two operations, doubled as multiply-adds are."""
    return _of_convolutions(counted) + 2 * 2 * _normalised(counted) / 1e9


def _normalised(counted: Profile) -> int:
    """Elements that go through a norm, alone or behind its convolution: only norms hold what is not learned."""
    return sum(math.prod(layer.output) for layer in counted.layers if layer.floats > layer.parameters)


OPERATIONS: dict[str, Callable[[Profile], float]] = {
    "darknet": lambda counted: counted.bflops,
    "convolutions": _of_convolutions,
    "norms": _with_norms,
    "elementwise": _with_elementwise,
    "ten crops": lambda counted: 10 * counted.bflops,
}


def _classifier(
    name: str,
    table: str,
    status: str,
    parameters: float | None,
    bflops: float | None,
    size: int = 224,
    backbone: dict[str, Any] | None = None,
    **more: Any,
) -> Published:
    """A classifier as a table prints it; its backbone is by default the one of its name."""
    backbone = {"name": name} if backbone is None else backbone
    return Published(name, table, size, backbone, status, parameters=parameters, bflops=bflops, **more)


def _detector(
    name: str,
    table: str,
    status: str,
    backbone: str | dict[str, Any],
    neck: dict[str, Any],
    bflops: float,
    parameters: float | None = None,
    size: int = 416,
    **more: Any,
) -> Published:
    """A detector as a table prints it; its floats are counted unless `more` says otherwise."""
    backbone = {"name": backbone} if isinstance(backbone, str) else backbone
    options = {"convention": "floats"} | more
    if neck["name"] in ("PRN", "CEM", "TinyFPN") and len(neck.get("widths", (0, 0))) == 2:
        options["anchors"] = "coco6_tiny"
    return Published(name, table, size, backbone, status, neck, parameters, bflops=bflops, **options)


PRN, PRN_3L = {"name": "PRN"}, {"name": "PRN", "widths": (128, 128, 256)}
EFM_SAM = {"name": "EFM", "sam": True}
PANET = {"name": "PANet"}
SWISH = {"activation": "swish"}
MISPRINT = (
    "0.886 is a misprint: PRN's 2.01 and EFM(SAM)'s 2.89 on this net, and CSPDenseNetb Ref.'s 0.631, ask for 0.836"
)
RESNET_50 = "9.74 is the figure of Darknet's author, which the authors' README repeats; the cfg beside it counts 9.999"
ESE = "the authors' code, counted: eSE in every block, whatever it is told; nobody prints this number"
TIMM = "timm's variant, with eSE in the last block of a stage only: attention: last"
PADDLE = "PaddleClas counts the norms: their running statistics, and two operations for each element"


def _table_1() -> Iterator[Published]:
    for name, status, bflops in (
        ("PeleeNet", "established", 1.017), ("SPeleeNet", "recovered", 0.904), ("PeleeNeXt", "recovered", 0.837),
    ):  # fmt: skip
        yield _classifier(name, "Table 1", status, None, bflops)
    for fusion, name, status, numbers in (
        ("first", "CSP (fusion first)", "inferred", (0.649, 0.755, 0.861)),
        ("last", "CSP (fusion last)", "inferred", (0.716, 0.804, 0.902)),
        ("both", "CSPPeleeNet", "recovered", (0.800, 0.888, 0.986)),
    ):
        for ratio, bflops in zip((0.75, 0.5, 0.25), numbers, strict=True):
            backbone = {"name": "CSPPeleeNet", "fusion": fusion, "partial_ratio": ratio}
            yield _classifier(f"{name}, ratio {ratio}", "Table 1", status, None, bflops, backbone=backbone)


def _table_2() -> Iterator[Published]:
    csp = {"name": "CSPPeleeNet"}
    for name, status, backbone, neck, bflops in (
        ("PRN", "recovered", csp, PRN, 3.590),
        ("PRN (swish)", "recovered", csp | SWISH, PRN | SWISH, 3.590),
        ("PRN-3l", "recovered", csp, PRN_3L, 4.586),
        ("CEM", "inferred", csp, {"name": "CEM"}, 4.049),
        ("CEM (SAM)", "inferred", csp, {"name": "CEM", "sam": True}, 4.165),
        ("GFM", "inferred", csp, {"name": "GFM"}, 4.605),
        ("EFM", "recovered", csp, {"name": "EFM"}, 4.868),
        ("EFM (GIoU)", "recovered", csp, {"name": "EFM"}, 4.868),
        ("EFM (SAM)", "recovered", csp, EFM_SAM, 5.068),
        ("EFM (SPP)", "inferred", csp, {"name": "EFM", "spp": True}, 4.863),
    ):
        yield _detector(f"CSPPeleeNet-{name}", "Table 2", status, backbone, neck, bflops)


def _table_3() -> Iterator[Published]:
    def row(
        name: str, status: str, parameters: float, bflops: float, backbone: dict[str, Any] | None = None, **more: Any
    ) -> Published:
        backbone = {"name": name} if backbone is None else backbone
        return _classifier(name, "Table 3", status, parameters, bflops, backbone=backbone, **more)

    pelee, csp, se = {"name": "PeleeNet"}, {"name": "CSPPeleeNet"}, {"squeeze_excite": True}
    yield row("PeleeNet", "established", 2.79, 1.017)
    yield row("PeleeNet-swish", "established", 2.79, 1.017, pelee | SWISH)
    yield row("SEPeleeNet-swish", "inferred", 2.81, 1.017, pelee | SWISH | se)
    yield row("CSPPeleeNet", "recovered", 2.83, 0.888)
    yield row("CSPPeleeNet-swish", "recovered", 2.83, 0.888, csp | SWISH)
    yield row("SECSPPeleeNet-swish", "inferred", 2.85, 0.888, csp | SWISH | se)
    yield row("SparsePeleeNet", "recovered", 2.39, 0.904, {"name": "SPeleeNet"})
    convolutions = {"operations": "convolutions", "note": "0.96 is of convolutions alone, as the cfg's authors count"}
    yield row("Darknet Ref.", "established", 7.31, 0.96, {"name": "DarknetRef"}, size=256, **convolutions)
    yield row("CSPDenseNet Ref.", "inferred", 3.48, 0.886, {"name": "CSPDenseNetRef"}, note=MISPRINT)
    yield row("CSPPeleeNet Ref.", "inferred", 4.10, 1.103, {"name": "CSPPeleeNetRef"})
    yield row("ResNet-10", "established", 5.24, 2.273, {"name": "ResNet10"}, size=256)
    yield row("CSPResNet-10", "inferred", 2.73, 1.905, {"name": "CSPResNet10"}, size=256)
    yield row("ResNeXt-50", "established", 22.19, 10.11, {"name": "ResNeXt50"}, size=256)
    yield row("CSPResNeXt-50", "established", 20.50, 7.93, {"name": "CSPResNeXt50"}, size=256)
    ten = {"operations": "ten crops", "note": "7.9x10: one image is ten crops"}
    yield row("CSPResNeXt-50 (10 crop)", "established", 20.50, 79.0, {"name": "CSPResNeXt50"}, size=256, **ten)
    yield row(
        "DenseNet-201-Elastic", "recovered", 19.48, 8.77, {"name": "DenseNet201", "elastic": True},
        convention="parameters", operations="elementwise",
        note="19.48 and 8.77 agree with learned parameters and with operations that include norm, ReLU and pooling, as "
        "counters for PyTorch have it; Darknet's rule gives 8.556",
    )  # fmt: skip
    yield row("CSPDenseNet-201-Elastic", "inferred", 20.17, 7.13, {"name": "CSPDenseNet201", "elastic": True})


def _table_4() -> Iterator[Published]:
    def row(
        name: str, status: str, backbone: str, neck: dict[str, Any], size: int, bflops: float, parameters: float,
        **more: Any,
    ) -> Published:  # fmt: skip
        return _detector(name, "Table 4", status, backbone, neck, bflops, parameters, size, **more)

    yield row("YOLOv3", "established", "Darknet53", {"name": "FPN"}, 608, 140.7, 62.3)
    yield row("YOLOv3 (SPP)", "established", "Darknet53", {"name": "FPN", "spp": True}, 608, 141.5, 62.9)
    yield row("YOLOv3", "established", "Darknet53", {"name": "FPN"}, 416, 65.9, 62.3)
    yield row("YOLOv3", "established", "Darknet53", {"name": "FPN"}, 320, 39.0, 62.3)
    for size, bflops in ((608, 100.6), (512, 71.3), (416, 47.1), (320, 27.9)):
        name = "CSPResNeXt50-PANet-SPP"
        yield row(name, "established", "CSPResNeXt50", PANET, size, bflops, 56.9, convention="conv_weights")
    yield row("CSPPeleeNet-EFM (SAM)", "recovered", "CSPPeleeNet", EFM_SAM, 512, 7.68, 4.31)
    yield row("CSPPeleeNet-EFM (SAM)", "recovered", "CSPPeleeNet", EFM_SAM, 416, 5.07, 4.31)
    yield row("PeleeNet-PRN", "established", "PeleeNet", PRN, 416, 4.04, 3.16)
    yield row("CSPPeleeNet Ref.-EFM (SAM)", "inferred", "CSPPeleeNetRef", EFM_SAM, 320, 3.43, 5.67)
    yield row("CSPDenseNet Ref.-EFM (SAM)", "inferred", "CSPDenseNetRef", EFM_SAM, 320, 2.89, 5.05)
    yield row("CSPPeleeNet Ref.-PRN (3l)", "inferred", "CSPPeleeNetRef", PRN_3L, 320, 3.15, 4.79)
    yield row("CSPPeleeNet Ref.-PRN", "inferred", "CSPPeleeNetRef", PRN, 320, 2.56, 4.59)
    yield row("YOLOv3-tiny", "established", "DarknetTiny", {"name": "TinyFPN"}, 416, 5.57, 8.86)
    yield row("CSPDenseNet Ref.-PRN", "inferred", "CSPDenseNetRef", PRN, 320, 2.01, 3.97)
    yield row("YOLOv3-tiny-PRN", "established", "DarknetTinyPRN", PRN, 416, 3.47, 4.96)
    yield row("CSPDenseNetb Ref.-PRN", "inferred", "CSPDenseNetbRef", PRN, 320, 1.59, 1.87)


def _cfgs() -> Iterator[Published]:
    """Nets whose cfgs the authors published, counted from those."""

    def row(name: str, parameters: float, bflops: float, **options: bool) -> Published:
        backbone = {"name": name} | options
        label = name + "-elastic" * bool(options)
        more = {"size": 256, "operations": "convolutions"}
        more["note"] = RESNET_50 if name == "ResNet50" else ""
        return _classifier(label, "cfg", "established", parameters, bflops, backbone=backbone, **more)

    for name, parameters, bflops in (
        ("Darknet53", 41.573, 18.570), ("CSPDarknet53", 27.606, 13.067), ("ResNet50", 22.734, 9.74),
        ("CSPResNet50", 21.567, 8.967), ("ResNeXt50", 22.191, 10.110), ("CSPResNeXt50", 20.499, 7.929),
        ("DarknetRef", 7.314, 0.965), ("ResNet10", 5.240, 2.272),
    ):  # fmt: skip
        yield row(name, parameters, bflops)
    for name, parameters, bflops in (
        ("CSPDarknet53", 19.045, 7.741), ("CSPResNet50", 29.796, 9.362), ("CSPResNeXt50", 16.858, 5.447),
    ):  # fmt: skip
        yield row(name, parameters, bflops, elastic=True)
    lateral = {"name": "FPN", "spp": True, "lateral": True}
    for name, backbone, neck, parameters, bflops in (
        ("yolov3-tiny", "DarknetTiny", {"name": "TinyFPN"}, 8.859, 5.571),
        ("yolov3-tiny-prn", "DarknetTinyPRN", PRN, 4.940, 3.467),
        ("yolov4-tiny", "CSPDarknet53Tiny", {"name": "TinyFPN"}, 6.063, 6.9),
        ("yolov3", "Darknet53", {"name": "FPN"}, 62.002, 65.86),
        ("csresnext50-panet-spp", "CSPResNeXt50", PANET, 57.031, 47.1),
        ("csdarknet53-panet-spp", "CSPDarknet53", PANET, 64.429, 60.1),
        ("csresnet50-panet-spp", "CSPResNet50", PANET, 58.400, 49.3),
        ("csresnext50-fpn-spp", "CSPResNeXt50", lateral, 41.769, 38.86),
        ("csresnext50-yolo-spp", "CSPResNeXt50", {"name": "FPN", "spp": True}, 41.686, 38.68),
    ):
        yield _detector(name, "cfg", "established", backbone, neck, bflops, parameters)


def _readmes() -> Iterator[Published]:
    """Nets of the authors' READMEs whose cfgs are not published."""
    yield _classifier("CSPPeleeNetb Ref.", "README", "inferred", 2.01, 0.897, backbone={"name": "CSPPeleeNetbRef"})
    yield _classifier("CSPDenseNetb Ref.", "README", "inferred", 1.38, 0.631, backbone={"name": "CSPDenseNetbRef"})
    fpn = {"name": "TinyFPN", "widths": (128, 256)}
    yield _detector("PeleeNet-YOLO", "README", "recovered", "PeleeNet", fpn | {"joined": True}, 5.06, 3.91)
    yield _detector("PeleeNet-FPN", "README", "recovered", "PeleeNet", fpn, 4.84, 3.75)


def _neighbours() -> Iterator[Published]:
    for name, parameters, bflops in (
        ("VoVNet27Slim", 3.526, 4.354), ("VoVNet39", 22.600, 14.144), ("VoVNet57", 36.640, 17.860),
        ("VoVNet99", 61.231, 32.972), ("VoVNetV2-19SlimDW", 1.898, 0.796), ("VoVNetV2-19DW", 6.543, 2.666),
        ("VoVNetV2-19Slim", 3.166, 3.360), ("VoVNetV2-19", 11.205, 8.244),
    ):  # fmt: skip
        yield _vovnet(name, parameters, bflops)
    for name, parameters, last, bflops in (
        ("VoVNetV2-39", 26.209, 24.569, 14.148), ("VoVNetV2-57", 42.480, 38.609, 17.864),
        ("VoVNetV2-99", 70.549, 63.199, 32.976),
    ):  # fmt: skip
        yield _vovnet(name, parameters, None, note=ESE)
        yield _vovnet(f"{name} (timm)", last, bflops, backbone={"name": name, "attention": "last"}, note=TIMM)
    for scale, parameters, millions in (
        (0.25, 1.52, 18), (0.35, 1.65, 29), (0.5, 1.89, 47), (0.75, 2.37, 99), (1.0, 2.96, 161), (1.5, 4.52, 342),
        (2.0, 6.54, 590), (2.5, 9.04, 906),
    ):  # fmt: skip
        yield _classifier(
            f"PP-LCNet x{scale}", "PP-LCNet", "established", parameters, 2 * millions / 1e3,
            backbone={"name": "PPLCNet", "scale": scale}, convention="floats", operations="norms", note=PADDLE,
        )  # fmt: skip


def _vovnet(name: str, parameters: float, bflops: float | None, **more: Any) -> Published:
    """A VoVNet; its multiply-adds, which timm counts of convolutions, count twice."""
    more = {"convention": "parameters", "operations": "convolutions"} | more
    return _classifier(name, "VoVNet", "established", parameters, bflops, **more)


def published() -> list[Published]:
    """Every `Published` model, table by table."""
    return [*_table_1(), *_table_2(), *_table_3(), *_table_4(), *_cfgs(), *_readmes(), *_neighbours()]


def rows(models: Iterable[Published] | None = None) -> Iterator[dict[str, Any]]:
    """Yield a row per published number of `models` (all), as a mapping.

    name, table, size (px), quantity (`BFLOPs`, or `M` and what is counted), published, counted, difference (relative),
    status, note.
    """
    for model in published() if models is None else models:
        for quantity, number, counted in _numbers(model):
            yield {
                "name": model.name,
                "table": model.table,
                "size": model.size,
                "quantity": quantity,
                "published": number,
                "counted": round(counted, 6),
                "difference": counted / number - 1,
                "status": model.status,
                "note": model.note,
            }


def _numbers(model: Published) -> Iterator[tuple[str, float, float]]:
    """(quantity, published, counted) of each number that is printed of a model."""
    counted = profile(model.model(), model.size)
    if model.parameters is not None:
        yield f"M {model.convention}", model.parameters, getattr(counted, model.convention) / 1e6
    if model.bflops is not None:
        yield "BFLOPs", model.bflops, OPERATIONS[model.operations](counted)


def table(found: Sequence[Mapping[str, Any]]) -> str:
    """Aligned plain text of `rows`, notes below."""
    heading = ("table", "model", "size", "quantity", "published", "counted", "difference", "status")
    notes = list(dict.fromkeys(row["note"] for row in found if row["note"]))
    lines = [
        (
            row["table"],
            row["name"],
            str(row["size"]),
            row["quantity"],
            f"{row['published']:g}",
            f"{row['counted']:.4f}",
            f"{row['difference']:+.2%}",
            row["status"] + (f" [{notes.index(row['note']) + 1}]" if row["note"] else ""),
        )
        for row in found
    ]
    text = [*aligned([heading, *lines], left=(0, 1, 3, 7))]
    text += [f"[{number}] {note}" for number, note in enumerate(notes, start=1)]
    return "\n".join([*text, f"not built here: {', '.join(NOT_COUNTED)}"])
