"""The texts of annotations in each format that can be written: COCO JSON, YOLO's text files, Pascal VOC's XML."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple
from xml.sax.saxutils import escape

import yaml

SHARE_DIGITS = 12  # of a share of a side: px of the largest images come back to 1e-7
PX_DIGITS = 4  # of a number in XML


class Box(NamedTuple):
    """An annotation to write: label, box [left, top, width, height] in image px, area px², crowd, score or None."""

    label: int
    box: Sequence[float]
    area: float
    crowd: bool
    score: float | None


class Item(NamedTuple):
    """An image to write: its id, the name that it has in its folder, its size in px and its boxes."""

    id: int
    name: str
    width: int
    height: int
    boxes: Sequence[Box]


def coco_json(items: Sequence[Item], categories: Sequence[dict[str, Any]]) -> str:
    """A split as COCO JSON; ids of images and categories stay, annotations are numbered from 1 on."""
    annotations = []
    for item in items:
        for one in item.boxes:
            annotation = {
                "id": len(annotations) + 1, "image_id": item.id, "category_id": categories[one.label]["id"],
                "bbox": list(one.box), "area": one.area, "iscrowd": int(one.crowd),
            }  # fmt: skip
            annotations.append(annotation if one.score is None else annotation | {"score": one.score})
    images = [{"id": i.id, "file_name": i.name, "width": i.width, "height": i.height} for i in items]
    return json.dumps({"images": images, "categories": list(categories), "annotations": annotations})


def yolo_text(item: Item) -> str:
    """The label file of an image."""
    lines = []
    for one in item.boxes:
        x, y, w, h = one.box
        middles = (x + w / 2) / item.width, (y + h / 2) / item.height, w / item.width, h / item.height
        lines.append(" ".join([str(one.label), *(_number(share, SHARE_DIGITS) for share in middles)]))
    return "".join(f"{line}\n" for line in lines)


def yolo_yaml(names: Sequence[str], splits: Sequence[str]) -> str:
    """Ultralytics' data.yaml, with the images of a split in images/SPLIT."""
    return yaml.safe_dump(
        {split: f"images/{split}" for split in splits} | {"nc": len(names), "names": dict(enumerate(names))},
        sort_keys=False,
        allow_unicode=True,
    )


def voc_xml(item: Item, names: Sequence[str]) -> str:
    """The XML file of an image; its numbers are edges, as labelling tools write them."""
    lines = [
        "<annotation>",
        f"\t<filename>{escape(item.name)}</filename>",
        f"\t<size><width>{item.width}</width><height>{item.height}</height><depth>3</depth></size>",
    ]
    for one in item.boxes:
        x, y, w, h = one.box
        edges = {"xmin": x, "ymin": y, "xmax": x + w, "ymax": y + h}
        box = "".join(f"<{side}>{_number(value, PX_DIGITS)}</{side}>" for side, value in edges.items())
        lines += [
            "\t<object>",
            f"\t\t<name>{escape(names[one.label])}</name>",
            f"\t\t<difficult>{int(one.crowd)}</difficult>",
            f"\t\t<bndbox>{box}</bndbox>",
            "\t</object>",
        ]
    return "\n".join([*lines, "</annotation>", ""])


def name_lines(names: Sequence[str]) -> str:
    """One class a line."""
    return "".join(f"{name}\n" for name in names)


def _number(value: float, digits: int) -> str:
    """A number with so many decimals at the most."""
    text = f"{value:.{digits}f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
