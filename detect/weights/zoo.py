"""Weights by name, as data: our released files and the classics of Darknet. docs/weights.md is the page for people.

A new released file is one line in `RELEASED`, the file itself in `weights/`, and its card in `weights/README.md`.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from detect.errors import UserError
from detect.weights.fetch import Remote, fetched

PACKED = Path(__file__).with_name("released")  # in an installed package; setup.py puts them there
CHECKOUT = Path(__file__).resolve().parents[2] / "weights"


@dataclass(frozen=True)
class Released:
    """Weights of this repository: the file NAME.safetensors in `weights/`. `size`: side of the input, px."""

    name: str
    size: int
    classes: int
    ap: str
    licence: str = "Apache-2.0"

    @property
    def path(self) -> Path:
        """Where the file lies: in the installed package, else in the checkout."""
        packed = PACKED / f"{self.name}.safetensors"
        return packed if packed.is_file() else CHECKOUT / packed.name


@dataclass(frozen=True)
class Classic:
    """Published weights of Darknet, with their .cfg and class names. `size`: side of the input, px.

    `mask`: (what the last [yolo] of the common .cfg says, what the weights were trained with), where the two differ.
    """

    name: str
    size: int
    ap: str
    weights: Remote
    cfg: Remote
    mask: tuple[tuple[int, ...], tuple[int, ...]] | None = None
    classes: ClassVar[int] = 80
    licence: ClassVar[str] = "public domain"


class Files(NamedTuple):
    """The files that a name stands for, on this machine."""

    weights: Path
    cfg: Path | None = None
    names: Path | None = None


# the first is what `detect.load()` takes
RELEASED = (
    Released("yolov4_tiny_coco", 416, 80, "AP 0.219, AP50 0.400 on coco3k val"),
    Released("csptiny_efm_coco3k", 416, 80, "AP 0.180, AP50 0.333 on coco3k val"),
    Released("csppelee_efm_coco3k", 320, 80, "AP 0.074, AP50 0.157 on coco3k val"),
)  # fmt: skip

GITHUB, RAW = "https://github.com", "https://raw.githubusercontent.com"
ALEXEY, REDMON = f"{RAW}/AlexeyAB/darknet/master/cfg", f"{RAW}/pjreddie/darknet/master/cfg"
FASTEST = f"{RAW}/dog-qiuqiu/Yolo-Fastest/master/ModelZoo/yolo-fastest-1.1_coco"
OPTIMAL = f"{GITHUB}/AlexeyAB/darknet/releases/download/darknet_yolo_v3_optimal"
PRE = f"{GITHUB}/AlexeyAB/darknet/releases/download/darknet_yolo_v4_pre"
FILES = "https://data.pjreddie.com/files"

NAMES = Remote(
    f"{RAW}/pjreddie/darknet/master/data/coco.names", "634a1132eb33f8091d60f2c346ababe8b905ae08387037aed883953b7329af84"
)
# AP and AP50 are those that the authors publish
CLASSICS = (
    Classic(
        "yolov4", 608, "AP 0.435 on test-dev",
        Remote(
            f"{OPTIMAL}/yolov4.weights", "e8a4f6c62188738d86dc6898d82724ec0964d0eb9d2ae0f0a9d53d65d108d562", 257_717_640
        ),
        Remote(f"{ALEXEY}/yolov4.cfg", "a6d0f8e5c62cc8378384f75a8159b95fa2964d4162e33351b00ac82e0fc46a34"),
    ),
    Classic(
        "yolov4-tiny", 416, "AP50 0.402 on test-dev",
        Remote(
            f"{PRE}/yolov4-tiny.weights", "cf9fbfd0f6d4869b35762f56100f50ed05268084078805f0e7989efe5bb8ca87", 24_251_276
        ),
        Remote(f"{ALEXEY}/yolov4-tiny.cfg", "f858e3724962eedf3ac44e3b6cb3f0c3d9ed067c306bb831f539c578b924c90e"),
    ),
    Classic(
        "yolov3", 608, "AP50 0.553 at 416 px on test-dev",
        Remote(
            f"{FILES}/yolov3.weights", "523e4e69e1d015393a1b0a441cef1d9c7659e3eb2d7e15f793f060a21b32f297", 248_007_048
        ),
        Remote(f"{REDMON}/yolov3.cfg", "22489ea38575dfa36c67a90048e8759576416a79d32dc11e15d2217777b9a953"),
    ),
    Classic(
        "yolov3-tiny", 416, "AP50 0.331 on test-dev",
        Remote(
            f"{FILES}/yolov3-tiny.weights", "dccea06f59b781ec1234ddf8d1e94b9519a97f4245748a7d4db75d5b7080a42c",
            35_434_956,
        ),
        Remote(f"{REDMON}/yolov3-tiny.cfg", "84eb7a675ef87c906019ff5a6e0effe275d175adb75100dcb47f0727917dc2c7"),
        mask=((0, 1, 2), (1, 2, 3)),
    ),
    Classic(
        "yolov3-spp", 608, "AP50 0.606 on test-dev",
        Remote(
            f"{FILES}/yolov3-spp.weights", "87a1e8c85c763316f34e428f2295e1db9ed4abcec59dd9544f8052f50de327b4",
            252_209_544,  # recorded is 240 MiB; counted from the layers, for 1_050_624 floats more than yolov3's
        ),
        Remote(f"{REDMON}/yolov3-spp.cfg", "7a4ec2d7427340fb12059f2b0ef76d6fcfcac132cc287cbbf0be5e3abaa856fd"),
    ),
    Classic(
        "yolo-fastest-1.1", 320, "AP50 0.244 on COCO",
        Remote(
            f"{FASTEST}/yolo-fastest-1.1.weights", "1c445c42bbd6df63edea2cc69f99667b5650d663ca11e34b116240740cd42890",
            1_384_268,
        ),
        Remote(f"{FASTEST}/yolo-fastest-1.1.cfg", "f6df5775c1e862998cf69046eba9265be3ae84dfe8b2caab7529823f0795bf70"),
    ),
    Classic(
        "yolo-fastest-1.1-xl", 320, "AP50 0.343 on COCO",
        Remote(
            f"{FASTEST}/yolo-fastest-1.1-xl.weights",
            "fac5fb41786c1f38f04972a658443b189f48720d7d117f9a044100e98a35b0c5", 3_693_964,
        ),
        Remote(
            f"{FASTEST}/yolo-fastest-1.1-xl.cfg", "c458427acc4fbeabceff4528ef7b65b066c0308ce599460f8ba299eba63abad3"
        ),
    ),
)  # fmt: skip


def known_names() -> list[str]:
    """The names that stand for weights."""
    return [entry.name for entry in (*RELEASED, *CLASSICS)]


def files_of(name: str | os.PathLike[str]) -> Files | None:
    """The files that `name` stands for, fetched where they are not here; None if it is no name of the zoo.

    A file or folder `name` of the user's comes first: then it is a path, and None as well.

    Raises:
        UserError: they cannot be fetched, or a released file is missing from this installation.
    """
    if os.path.lexists(name):
        return None
    for released in RELEASED:
        if released.name == str(name):
            return Files(released_path(released))
    if classic := classic_of(name):
        names, cfg, weights = fetched(NAMES, classic.cfg, classic.weights)  # small ones first: mistakes show early
        return Files(weights, cfg, names)
    return None


def classic_of(name: str | os.PathLike[str]) -> Classic | None:
    """The classic, a detector always, that `name` means; None if there is none, or a file or folder of the user's."""
    if os.path.lexists(name):
        return None
    return next((classic for classic in CLASSICS if classic.name == str(name)), None)


def released_path(released: Released = RELEASED[0]) -> Path:
    """The file of released weights, by default of those that `detect.load()` takes.  Raises UserError."""
    if not released.path.is_file():
        raise UserError(
            f"{released.name}: its file is neither in this installation ({PACKED}) nor in a checkout; install the "
            "package anew, or name a file of weights"
        )
    return released.path


def rows() -> Iterator[dict[str, Any]]:
    """What there is by name, each as plain values: name, size in px, classes, ap, licence, bytes, here, path, url."""
    for released in RELEASED:
        here = released.path.is_file()
        size = released.path.stat().st_size if here else None
        yield _row(released, size, here, released.path, None)
    for classic in CLASSICS:
        here = all(remote.is_here for remote in (classic.weights, classic.cfg, NAMES))
        yield _row(classic, classic.weights.bytes, here, classic.weights.path, classic.weights.url)


def _row(entry: Released | Classic, size: int | None, here: bool, path: Path, url: str | None) -> dict[str, Any]:
    about = {"name": entry.name, "size": entry.size, "classes": entry.classes, "ap": entry.ap, "licence": entry.licence}
    return about | {"bytes": size, "here": here, "path": str(path), "url": url}


def table() -> str:
    """`rows` for people: name, size in MB, input in px, classes, AP, licence, and whether the files are here."""
    lines = [("name", "MB", "px", "classes", "AP, as published", "licence", "")]
    for row in rows():
        megabytes = "-" if row["bytes"] is None else f"{row['bytes'] / 1e6:.1f}"
        here = "here" if row["here"] else "to fetch" if row["url"] else "missing"
        about = (row["name"], megabytes, str(row["size"]), str(row["classes"]), row["ap"], row["licence"], here)
        lines.append(about)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    right = (1, 2, 3)  # the columns of numbers
    return "\n".join(
        "  ".join(
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
