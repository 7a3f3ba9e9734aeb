"""Small sets written as labelling tools export them, with their quirks: what the readers must take as it comes."""

import csv
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
from PIL import Image

CLASSES = ["Platelets", "RBC", "WBC"]


@dataclass
class Photo:
    """An image of a set: its file, size, and (class, [left, top, width, height] in px) of its objects."""

    path: Path
    width: int
    height: int
    boxes: list = field(default_factory=list)

    @property
    def stem(self):
        return self.path.stem

    @property
    def name(self):
        return self.path.name


def made_up(folder):
    """Four photos of three sizes; the last has no objects."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    photos = []
    for number, (width, height) in enumerate([(60, 40), (40, 60), (64, 48), (60, 40)]):
        path = folder / ("a cell.jpg" if number == 1 else f"cell_{number}.jpg")
        Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(path)
        boxes = [(CLASSES[(number + k) % 3], [2 + 5 * k, 3 + number, 20 + k, 11]) for k in range(3)]
        photos.append(Photo(path, width, height, boxes if number < 3 else []))
    return photos


def of_coco(annotations, images):
    """The photos of a COCO JSON file."""
    content = json.loads(Path(annotations).read_text())
    names = {category["id"]: category["name"] for category in content["categories"]}
    photos = {
        image["id"]: Photo(Path(images, image["file_name"]), image["width"], image["height"])
        for image in content["images"]
    }
    for one in content["annotations"]:
        photos[one["image_id"]].boxes.append((names[one["category_id"]], one["bbox"]))
    return list(photos.values())


def copy(photo, folder, name=None):
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(photo.path, folder / (name or photo.name))


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())


# ---- COCO ----------------------------------------------------------------------------------------------------------


def coco_content(photos, classes=CLASSES, first=1, name_of=lambda photo: photo.name, **more):
    """COCO JSON's object; image ids, category ids and annotation ids begin with `first`."""
    ids = {name: number for number, name in enumerate(classes, first)}
    annotations = [
        {"image_id": i, "category_id": ids[name], "bbox": box, "area": box[2] * box[3], "iscrowd": 0} | more
        for i, photo in enumerate(photos, first)
        for name, box in photo.boxes
    ]
    return {
        "info": {"description": ""},
        "licenses": [{"name": "", "id": 0, "url": ""}],
        "images": [
            {"id": i, "width": photo.width, "height": photo.height, "file_name": name_of(photo), "license": 0}
            for i, photo in enumerate(photos, first)
        ],
        "categories": [{"id": number, "name": name, "supercategory": ""} for name, number in ids.items()],
        "annotations": [{"id": n} | one for n, one in enumerate(annotations, first)],
    }


def cvat_coco(root, photos):
    """CVAT 'COCO 1.0': annotations/instances_default.json and images/."""
    for photo in photos:
        copy(photo, root / "images")
    more = {"segmentation": [], "attributes": {"occluded": False, "rotation": 0.0}}
    write(root / "annotations" / "instances_default.json", json.dumps(coco_content(photos, **more)))


def cvat_coco_subset(root, photos):
    """The same of a task with the subset 'train': images in a folder of that name."""
    for photo in photos:
        copy(photo, root / "images" / "train")
    write(root / "annotations" / "instances_train.json", json.dumps(coco_content(photos)))


def label_studio_coco(root, photos):
    """Label Studio 'COCO': result.json with ids from 0 on; image files with a hash before their names."""
    hashed = {photo.name: f"{i + 0x1F6D2C3A:08x}-{photo.name.replace(' ', '_')}" for i, photo in enumerate(photos)}
    for photo in photos:
        copy(photo, root / "images", hashed[photo.name])
    content = coco_content(photos, first=0, name_of=lambda p: f"images\\{hashed[p.name]}", segmentation=[], ignore=0)
    content["categories"] = [{"id": one["id"], "name": one["name"]} for one in content["categories"]]
    write(root / "result.json", json.dumps(content, indent=2))


def label_studio_coco_without_images(root, photos):
    """The same with the user's own images, which have no hash, and names as the server's URLs."""
    for photo in photos:
        copy(photo, root / "images")
    names = {
        p.name: f"/data/local-files/?d=photos/{p.name}"
        if i % 2
        else f"https://host:8080/data/upload/1/0a1b2c3d-{p.name}"
        for i, p in enumerate(photos)
    }
    write(root / "result.json", json.dumps(coco_content(photos, first=0, name_of=lambda p: names[p.name])))


def roboflow_name(photo):
    return f"{photo.stem.replace(' ', '-')}_jpg.rf.{hash_of(photo)}.jpg"


def hash_of(photo):
    return f"{sum(map(ord, photo.stem)):032x}"


def roboflow_coco(root, photos):
    """Roboflow 'COCO': train/_annotations.coco.json beside the images, with a root class of the project's name."""
    for photo in photos:
        copy(photo, root / "train", roboflow_name(photo))
    content = coco_content(photos, name_of=roboflow_name)
    categories = [{"id": 0, "name": "cells-x", "supercategory": "none"}]
    categories += [{"id": i, "name": name, "supercategory": "cells-x"} for i, name in enumerate(CLASSES, 1)]
    write(root / "train" / "_annotations.coco.json", json.dumps(content | {"categories": categories}))
    write(root / "README.roboflow.txt", "x")


# ---- Pascal VOC ----------------------------------------------------------------------------------------------------


def voc_xml(photo, filename, boxes=None, size=True, extra="", path="", database="Unknown"):
    """An annotation as labelImg writes it."""
    lines = ["<annotation>", "\t<folder>images</folder>", f"\t<filename>{escape(filename)}</filename>"]
    lines += [f"\t<path>{escape(path)}</path>"] if path else []
    lines += [f"\t<source>\n\t\t<database>{database}</database>\n\t</source>"]
    if size:
        lines += [f"\t<size><width>{photo.width}</width><height>{photo.height}</height><depth>3</depth></size>"]
    lines += ["\t<segmented>0</segmented>"]
    for name, (x, y, w, h) in photo.boxes if boxes is None else boxes:
        edges = (("xmin", x), ("ymin", y), ("xmax", x + w), ("ymax", y + h))
        bndbox = "".join(f"<{side}>{value}</{side}>" for side, value in edges)
        lines += [
            "\t<object>", f"\t\t<name>{escape(name)}</name>", "\t\t<pose>Unspecified</pose>",
            "\t\t<truncated>0</truncated>", f"\t\t<difficult>0</difficult>{extra}", f"\t\t<bndbox>{bndbox}</bndbox>",
            "\t</object>",
        ]  # fmt: skip
    return "\n".join([*lines, "</annotation>", ""])


def labelimg_voc(root, photos):
    """labelImg: an XML file beside each image, with the path on the labeller's machine; none for unlabelled images."""
    for photo in photos:
        copy(photo, root)
        write(root / f"{photo.stem}.xml", voc_xml(photo, photo.name, path=f"C:\\Users\\me\\{photo.name}"))


def cvat_voc(root, photos):
    """CVAT 'PASCAL VOC 1.1': floats, attributes with names of their own, ImageSets/Main/default.txt, labelmap.txt."""
    attributes = "\n<attributes><attribute><name>rotation</name><value>0.0</value></attribute></attributes>"
    for photo in photos:
        copy(photo, root / "JPEGImages")
        boxes = [(name, [float(side) for side in box]) for name, box in photo.boxes]
        write(root / "Annotations" / f"{photo.stem}.xml", voc_xml(photo, photo.name, boxes, extra=attributes))
    write(root / "ImageSets" / "Main" / "default.txt", "".join(f"{photo.stem}\n" for photo in photos))
    colours = "".join(f"{name}:{i},0,0::\n" for i, name in enumerate(CLASSES, 1))
    write(root / "labelmap.txt", f"# label:color_rgb:parts:actions\n{colours}background:0,0,0::\n")


def label_studio_voc(root, photos):
    """Label Studio 'Pascal VOC XML': Annotations/ and images/, names with a hash, filename without its suffix."""
    for i, photo in enumerate(photos):
        name = f"{i + 0x2B:08x}-{photo.stem.replace(' ', '_')}"
        copy(photo, root / "images", f"{name}.jpg")
        write(root / "Annotations" / f"{name}.xml", voc_xml(photo, name, database="MyDatabase"))


def roboflow_voc(root, photos):
    """Roboflow 'Pascal VOC': XML beside images in train/."""
    for photo in photos:
        name = roboflow_name(photo)
        copy(photo, root / "train", name)
        text = voc_xml(photo, name, path=name, database="roboflow.com").replace("\t", "    ")
        write(root / "train" / f"{name[:-4]}.xml", text)


# ---- YOLO ----------------------------------------------------------------------------------------------------------


def yolo_lines(photo, end="\n", digits=8):
    lines = []
    for name, (x, y, w, h) in photo.boxes:
        shares = ((x + w / 2) / photo.width, (y + h / 2) / photo.height, w / photo.width, h / photo.height)
        lines.append(f"{CLASSES.index(name)} " + " ".join(f"{share:.{digits}f}" for share in shares))
    return end.join(lines)


def ultralytics(root, photos):
    """data.yaml with a path of another machine and names by number; CRLF, a BOM and spaces at the ends of lines."""
    for photo in photos:
        copy(photo, root / "images" / "train")
        if photo.boxes:
            text = "\ufeff" + yolo_lines(photo, " \r\n") + "\r\n\r\n"
            write(root / "labels" / "train" / f"{photo.stem}.txt", text)
    names = "".join(f"  {i}: {name}\n" for i, name in enumerate(CLASSES))
    write(root / "data.yaml", f"# my set\npath: /content/datasets/cells\ntrain: images/train\nval:\nnames:\n{names}")


def ultralytics_list(root, photos):
    """data.yaml whose train is a list of files, with ./ before them."""
    for photo in photos:
        copy(photo, root / "images")
        write(root / "labels" / f"{photo.stem}.txt", yolo_lines(photo))
    write(root / "train.txt", "".join(f"./images/{photo.name}\n" for photo in photos))
    write(root / "data.yaml", f"train: train.txt\nnc: 3\nnames: {json.dumps(CLASSES)}\n")


def roboflow_yolo(root, photos):
    """Roboflow 'YOLOv8': data.yaml that looks for its images one folder above."""
    for photo in photos:
        name = roboflow_name(photo)
        copy(photo, root / "train" / "images", name)
        write(root / "train" / "labels" / f"{name[:-4]}.txt", yolo_lines(photo))
    names = "', '".join(CLASSES)
    lines = "train: ../train/images\n\nnc: 3\nnames: ['" + names + "']\n\nroboflow:\n  workspace: me\n  version: 1\n"
    write(root / "data.yaml", lines)


def cvat_yolo(root, photos):
    """CVAT 'YOLO 1.1': obj.data that names files below a folder data/ which the archive has not."""
    for photo in photos:
        copy(photo, root / "obj_train_data")
        write(root / "obj_train_data" / f"{photo.stem}.txt", yolo_lines(photo, digits=6))
    write(root / "obj.data", "classes = 3\ntrain = data/train.txt\nnames = data/obj.names\nbackup = backup/\n")
    write(root / "obj.names", "".join(f"{name}\n" for name in CLASSES))
    write(root / "train.txt", "".join(f"data/obj_train_data/{photo.name}\n" for photo in photos))


def label_studio_yolo(root, photos):
    """Label Studio 'YOLO': images/, labels/, classes.txt, notes.json."""
    for i, photo in enumerate(photos):
        name = f"{i + 0x9C:08x}-{photo.stem.replace(' ', '_')}"
        copy(photo, root / "images", f"{name}.jpg")
        write(root / "labels" / f"{name}.txt", yolo_lines(photo, digits=16))
    write(root / "classes.txt", "\n".join(CLASSES))
    notes = {"categories": [{"id": i, "name": name} for i, name in enumerate(CLASSES)], "info": {"year": 2026}}
    write(root / "notes.json", json.dumps(notes))


def labelimg_yolo(root, photos):
    """labelImg 'YOLO': text files and classes.txt beside the images; none for unlabelled images."""
    for photo in photos:
        copy(photo, root)
        if photo.boxes:
            write(root / f"{photo.stem}.txt", yolo_lines(photo, digits=6) + "\n")
    write(root / "classes.txt", "".join(f"{name}\n" for name in CLASSES))


def yolo_polygons(root, photos):
    """Outlines in place of boxes: the corners and a point between."""
    for photo in photos:
        copy(photo, root / "images")
        lines = []
        for name, (x, y, w, h) in photo.boxes:
            points = [(x, y), (x + w, y), (x + w, y + h), (x + w / 2, y + h / 2), (x, y + h)]
            shares = " ".join(f"{px / photo.width:.9f} {py / photo.height:.9f}" for px, py in points)
            lines.append(f"{CLASSES.index(name)} {shares}")
        write(root / "labels" / f"{photo.stem}.txt", "\n".join(lines))
    write(root / "data.yaml", f"train: images\nnames: {json.dumps(CLASSES)}\n")


# ---- CSV -----------------------------------------------------------------------------------------------------------


def write_table(path, header, rows, delimiter=","):
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows([header, *rows])


def roboflow_csv(root, photos):
    """Roboflow 'Tensorflow Object Detection': train/_annotations.csv; an image without objects is not in it."""
    rows = []
    for photo in photos:
        copy(photo, root / "train", roboflow_name(photo))
        size = (roboflow_name(photo), photo.width, photo.height)
        rows += [[*size, name, x, y, x + w, y + h] for name, (x, y, w, h) in photo.boxes]
    header = ["filename", "width", "height", "class", "xmin", "ymin", "xmax", "ymax"]
    write_table(root / "train" / "_annotations.csv", header, rows)


def sides_csv(root, photos):
    """image,x,y,w,h,label with absolute paths of another machine; an image without objects has a row without a box."""
    rows = []
    for photo in photos:
        copy(photo, root / "images")
        name = f"/home/me/cells/images/{photo.name}"
        rows += [[name, *box, label] for label, box in photo.boxes] or [[name, "", "", "", "", ""]]
    write_table(root / "labels.csv", ["image", "x", "y", "w", "h", "label"], rows, ";")


EXPORTS = {
    "coco": [cvat_coco, cvat_coco_subset, label_studio_coco, label_studio_coco_without_images, roboflow_coco],
    "voc": [labelimg_voc, cvat_voc, label_studio_voc, roboflow_voc],
    "yolo": [
        ultralytics, ultralytics_list, roboflow_yolo, cvat_yolo, label_studio_yolo, labelimg_yolo, yolo_polygons,
    ],
    "csv": [roboflow_csv, sides_csv],
}  # fmt: skip
