"""Every kind of file that a user may give: an undamaged one, how it gets damaged, and what the product makes of it."""

import io
import json
import random
import shutil
import struct
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from PIL import Image

from detect import config
from detect.config.schema import ClassifierSettings, DataSettings, Settings, SplitSettings
from detect.darknet.cfg import read as read_cfg
from detect.darknet.names import read_names
from detect.darknet.network import DarknetNetwork, load
from detect.data.dataset import Dataset
from detect.data.formats.coco import read_image_list
from detect.data.formats.coco_json import CocoReader, read_object
from detect.data.formats.opening import open_split, splits_of
from detect.data.formats.reader import Reader
from detect.data.formats.voc_reader import VocReader
from detect.data.formats.yolo_labels import YoloReader
from detect.data.writing.writers import WRITERS
from detect.doctor import examine as doctor
from detect.doctor.fix import write_copy
from detect.doctor.page import page
from detect.doctor.table import as_values, lines
from detect.engine.classification import ClassificationTask
from detect.engine.detection import DetectionTask
from detect.engine.train import Trainer
from detect.exporters.formats import Request
from detect.exporters.graph import description, reference, write_onnx
from detect.inference.annotate import draw_counts
from detect.inference.counting import Counter, read_zones
from detect.inference.exported import Exported
from detect.inference.labels import checked_out
from detect.inference.reading import read_frames
from detect.inference.sources import find_items
from detect.inference.thresholds import Thresholds
from detect.models.registry import BACKBONES
from detect.ops.image import read_image
from detect.ops.image_cost import MAX_MEMORY, MAX_PIXELS
from detect.weights.checkpoint import write_checkpoint
from detect.weights.files import Weights, read, write_safetensors
from detect.weights.pplcnet import read_folded
from tests.fuzz.mutations import VALUES, Mutation, of_bytes, of_json, of_lines, of_tree, of_yaml
from tests.small_nets import conv, make, net, section, yolo

FRAME = 12 * MAX_PIXELS  # bytes that a frame of a video may take by what its header says


class Kind(NamedTuple):
    """A kind of file.

    `good(folder)` is the content of an undamaged one, and puts what else is needed into the folder; `read(path)` is
    what the product makes of a file there. `attempts`: how many damaged ones a run of the tests reads.
    """

    suffix: str
    good: Callable[[Path], bytes]
    read: Callable[[Path], Any]
    mutations: tuple[Mutation, ...]
    attempts: int
    memory: int = 256 << 20  # bytes that reading it may take


# ---- Darknet's -----------------------------------------------------------------------------------------------------

CFG = (
    net(64, 32)
    + conv(8, stride=2)
    + section("maxpool", size=2, stride=2)
    + conv(8, groups=4)
    + section("shortcut", from_=-2, activation="leaky", weights_type="per_channel", weights_normalization="softmax")
    + section("maxpool", maxpool_depth=1, out_channels=4)
    + section("local_avgpool", size=3, stride=1)
    + section("avgpool")
    + conv(8, 1, "logistic", 0)
    + section("scale_channels", from_=-6)
    + conv(8, 1, "logistic")
    + section("sam", from_=-2)
    + section("dropout", probability=0.5)
    + section("reorg", stride=2)
    + section("upsample", stride=2)
    + conv(16, 1, "linear", 0)
    + yolo("3,1", scale_x_y=1.1)
    + section("route", layers="-3,-3", groups=2, group_id=1)
    + section("connected", output=32)
    + section("softmax", groups=2)
)
GAUSSIAN = (
    net(64, 32)
    + section("crop", crop_height=32, crop_width=64, flip=1, noadjust=1)
    + conv(8, stride=4, stopbackward=800)
    + conv(24, 1, "linear", 0)
    + section("Gaussian_yolo", classes=3, num=2, anchors="10,14, 23,27, 37,58", mask="1,0", max_delta=5)
)
RECIPE = """\
batch=8
subdivisions=2
learning_rate=0.001
momentum=0.9
decay=0.0005
burn_in=10
max_batches=100
policy=steps
steps=40,80
scales=.1,.1
hue=.1
saturation=1.5
exposure=1.5
mosaic=1
angle=0
"""
TRAINED = (
    net(64, 64) + RECIPE + conv(8, stride=8, stopbackward=1) + conv(32, 1, "linear", 0)
    + yolo(jitter=0.3, random=1, resize=1.5, iou_loss="ciou", nms_kind="greedynms", truth_thresh=1)
)  # fmt: skip


def run_on_meta(path: Path) -> None:
    """What can be built can be run: all shapes fit. On the meta device it takes neither time nor memory."""
    with torch.device("meta"):
        network = DarknetNetwork(read_cfg(path))
    network.eval()(torch.empty(1, network.cfg.net["channels"], *network.input_size, device="meta"))


def darknet_weights(folder: Path) -> bytes:
    return make(folder, CFG)[1].read_bytes()


def run_weights(path: Path) -> None:
    network = load(path.parent / "net0.cfg", path)
    assert all(parameter.isfinite().all() for parameter in network.parameters())


# ---- configurations ------------------------------------------------------------------------------------------------

DETECTOR_YAML = """\
# a comment
model:
  backbone:
    {name: CSPPeleeNet, partial_ratio: 0.5, fusion: both, activation: leaky_relu, conv: {name: CompConv, c0: 128}}
  neck: {name: EFM, widths: [8, 16, 32], sam: true}
  head: {name: YOLOv3, anchors: [[[1, 2], [3, 4]], [[5, 6]], [[7, 8]]], scale_x_y: [1.2, 1.1, 1.05]}
input: {size: 416, train_sizes: [320, 608]}
data:
  - {root: ., share: 3, pseudo: {learn: 0.5, ignore: 0.2}}
  - {root: ., share: 1, splits: {train: {images: a, annotations: b.json}}}
augment:
  - {name: Mosaic, p: 0.5, off: 0.1}
  - {name: RandomAffine, degrees: 5, scale: 1.5}
  - {name: CopyPaste, objects: 3}
loss: {box: ciou, box_weight: 0.07}
train:
  steps: 500
  batch: 64
  milestones: [400, 450]
  freeze: ["*.norm"]
predict: {nms: diou}
"""
CLASSIFIER_YAML = """\
model:
  backbone: {name: PPLCNet, scale: 0.25, large_kernel: [7, 8, 13], squeeze_excite: [12], wide_classifier: true}
input: {size: 224, resize: 256}
data: .
augment: {short_side: [128, 448], angle: 7}
train: {epochs: 10, batch: 64, accumulate: 2, schedule: cosine}
"""


DATA_YAML = """\
root: .
bad_boxes: drop
splits:
  train: {images: a, annotations: b.json}
pseudo: {learn: 0.4}
"""


def build_config(path: Path) -> None:
    config.check_model(config.load(path, needs_data=False, settings_type=None))


# ---- weights -------------------------------------------------------------------------------------------------------

MODEL = {
    "backbone": {"name": "PPLCNet", "scale": 0.05},
    "neck": {"name": "PRN", "widths": [8, 8]},
    "head": {"name": "YOLOv3", "anchors": "coco6_tiny"},
}
CATEGORIES = [{"id": 3, "name": "cat"}, {"id": 17, "name": "großer Hund"}]
TENSORS = (
    torch.zeros(0), torch.zeros(()), torch.zeros(3), torch.zeros(1, 2, 3, 4, 5), torch.zeros(8, dtype=torch.complex64),
    torch.zeros(8, dtype=torch.int8), torch.full((8,), float("nan")), torch.zeros(8, dtype=torch.bool),
    torch.zeros(8, dtype=torch.bfloat16), torch.zeros(8).to_sparse(), torch.zeros(1).expand(1 << 40),
)  # fmt: skip


def trained() -> Weights:
    settings = config.from_dict({"model": MODEL, "input": {"size": 64}})
    weights = Weights.of(config.build_model(settings, 2).eval(), settings, CATEGORIES, Path("run"))
    return replace(weights, thresholds=Thresholds((0.25, 0.5), 0.5, "9 images of val.json"))


def checkpoint(folder: Path) -> bytes:
    weights = trained()
    state = {"model": weights.network.state_dict(), "config": config.to_dict(weights.settings)}
    state |= {"categories": CATEGORIES, "metrics": None, "ema": None, "thresholds": weights.thresholds.to_dict()}
    write_checkpoint(folder / "good.pt", state)
    return (folder / "good.pt").read_bytes()


def of_checkpoint(data: bytes, rng: random.Random) -> bytes:
    """A checkpoint with some of its values or tensors replaced."""
    state = torch.load(io.BytesIO(data), weights_only=True)
    part = rng.choice(("model", "config", "categories", "thresholds", None))
    odd = VALUES + TENSORS
    if part is None:
        state = of_tree(state, rng, odd)
    elif part == "model":  # an ordered mapping of a hundred tensors
        state["model"] = of_tree(dict(state["model"]), rng, odd)
    else:
        state[part] = of_tree(state[part], rng, odd)
    file = io.BytesIO()
    torch.save(state, file)
    return file.getvalue()


def safetensors(folder: Path) -> bytes:
    write_safetensors(folder / "good.safetensors", trained())
    return (folder / "good.safetensors").read_bytes()


def of_safetensors_header(data: bytes, rng: random.Random) -> bytes:
    """A .safetensors with some values of its header replaced: shapes, types, places, config, class names."""
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    about = header["__metadata__"]
    what = rng.choice(("config", "categories", "thresholds", "header"))
    if what == "header":
        header = of_tree(header, rng)
    else:
        about[what] = json.dumps(of_tree(json.loads(about[what]), rng))
    text = json.dumps(header).encode("utf-8", "surrogatepass")
    return struct.pack("<Q", len(text)) + text + data[8 + length :]


def read_weights(path: Path) -> None:
    network = read(path, settings_type=None).network
    assert all(parameter.ndim and parameter.dtype.is_floating_point for parameter in network.parameters())


def folded(folder: Path) -> bytes:
    file, backbone = io.BytesIO(), BACKBONES.build({"name": "PPLCNet", "scale": 0.05})
    convolutions = [module for module in backbone.modules() if isinstance(module, torch.nn.Conv2d)]
    arrays = {f"conv2d_{i}_w_0.weight": c.weight.detach().numpy() for i, c in enumerate(convolutions)}
    biases = {f"conv2d_{i}_w_0.bias": np.zeros(len(c.weight), np.float32) for i, c in enumerate(convolutions)}
    np.savez(file, **arrays, **biases)
    return file.getvalue()


def said(_: Path) -> bytes:
    """What an exported file says of itself."""
    weights = trained()
    return description(weights, reference(weights, Request()), Request(), "f32").to_json().encode()


def hear(path: Path) -> None:
    exported = Exported.from_json(path.read_text(encoding="utf-8", errors="replace"), path)
    maps = [np.zeros((1, *shape), np.float32) for shape in exported.map_shapes]
    if sum(level.size for level in maps) < 1 << 20:
        exported.decoder([np.moveaxis(level, -1, 1) for level in maps], 0.5)


def onnx(folder: Path) -> bytes:
    weights = trained()
    runtime = reference(weights, Request())
    write_onnx(folder / "good.onnx", runtime, description(weights, runtime, Request(), "f32"))
    return (folder / "good.onnx").read_bytes()


def run_onnx(path: Path) -> None:
    from detect.inference.onnx_runtime import ONNXRuntime

    engine = ONNXRuntime(path, threads=1)
    for _ in engine.infer([np.zeros((1, engine.size, engine.size, 3), np.uint8)]):
        pass


# ---- data ----------------------------------------------------------------------------------------------------------

COCO = {
    "info": {"description": "a set"},
    "images": [{"id": i, "file_name": f"{i}.png", "width": 64, "height": 48, "license": 1} for i in (4, 2, 9)],
    "annotations": [
        {"id": 1, "image_id": 4, "category_id": 17, "bbox": [1, 2, 30, 20.5], "area": 615, "iscrowd": 0},
        {"id": 2, "image_id": 4, "category_id": 3, "bbox": [0, 0, 64, 48], "area": 3072.0, "iscrowd": 1},
        {"id": 7, "image_id": 2, "category_id": 5, "bbox": [5, 5, 9, 9], "area": 81, "iscrowd": 0, "score": 0.4},
        {"id": 8, "image_id": 2, "category_id": 3, "bbox": [5, 5, 80, 9], "segmentation": [[5, 5, 85, 14]]},
    ],
    "categories": [*CATEGORIES, {"id": 5, "name": "tea pot", "supercategory": "kitchen"}],
}


def coco(folder: Path) -> bytes:
    for image in COCO["images"]:
        Image.new("RGB", (64, 48)).save(folder / image["file_name"])
    return json.dumps(COCO).encode()


def read_set(path: Path) -> None:
    go_through(lambda: CocoReader.of_file(path, path.parent))


def go_through(open_reader: Callable[[], Reader]) -> None:
    """Read a set, with bad boxes dropped and not, and write it in every format."""
    for bad_boxes in ("drop", "stop"):
        dataset = Dataset(open_reader(), bad_boxes=bad_boxes)
        dataset.ground_truth()
        for index in range(len(dataset)):
            sample = dataset.sample(index)
            assert sample.boxes.shape == (len(sample.labels), 4) and np.isfinite(sample.boxes).all()
    for writer in WRITERS.values():
        reader = open_reader()
        assert all(fault.is_bad_box for fault in reader.faults())
        with tempfile.TemporaryDirectory() as folder:
            written = writer(Path(folder))
            written.add("train", reader)
            written.finish()


VOC = """<?xml version="1.0" encoding="UTF-8"?>
<annotation>
  <filename>4.png</filename>
  <source><database>The VOC2007 Database</database></source>
  <size><width>64</width><height>48</height><depth>3</depth></size>
  <object><name>tea pot</name><difficult>0</difficult>
    <bndbox><xmin>3</xmin><ymin>4</ymin><xmax>30.5</xmax><ymax>20</ymax></bndbox>
  </object>
  <object><name>cup</name><difficult>1</difficult>
    <bndbox><xmin>1</xmin><ymin>1</ymin><xmax>64</xmax><ymax>48</ymax></bndbox>
  </object>
</annotation>
"""
YOLO = "0 0.5 0.5 0.25 0.5\n1 0.1 0.1 0.6 0.2 0.3 0.9\n1 0.25 0.25 0.125 0.1 0.9\n"
DATA_YAML = "path: .\ntrain: images\nval: [images, list.txt]\nnc: 2\nnames: {0: cup, 1: tea pot}\nkpt_shape: [2, 3]\n"
CSV = """filename,width,height,class,xmin,ymin,xmax,ymax
4.png,64,48,cup,1,2,30.5,40
4.png,64,48,pot,,,,
2.png,64,48,a,1,2,3,4
"""


def in_format(content: str) -> Callable[[Path], bytes]:
    """What makes a file of annotations beside the images 4.png and 2.png and all that the other kinds refer to."""

    def make_set(folder: Path) -> bytes:
        (folder / "images").mkdir()
        (folder / "names.txt").write_text("cup\ntea pot\n")
        (folder / "list.txt").write_text("images/2.png\n")
        (folder / "images" / "4.txt").write_text(YOLO)
        for name in ("4.png", "2.png", "images/4.png", "images/2.png"):
            Image.new("RGB", (64, 48)).save(folder / name)
        return content.encode()

    return make_set


def read_voc(path: Path) -> None:
    go_through(lambda: VocReader(path.parent, [path], [path], [path.parent]))


def read_yolo(path: Path) -> None:
    image = str(path.parent / "4.png")
    go_through(lambda: YoloReader(path.parent, [image], [str(path)], ["cup", "tea pot"]))


def read_described(path: Path) -> None:
    data = config.read_data(path)
    for split in splits_of(data):
        go_through(lambda split=split: open_split(data, split))


def shard_set(folder: Path) -> Path:
    """A set of three images in one shard, in a folder of its own."""
    annotations = folder / "set.json"
    annotations.write_bytes(coco(folder))
    reader = CocoReader.of_file(annotations, folder)
    list(reader.faults())
    (folder / "shards").mkdir()
    writer = WRITERS["webdataset"](folder / "shards")
    writer.add("train", reader)
    writer.finish()
    return folder / "shards"


def read_shards(path: Path) -> None:
    """Read a set of which `path` is the index, or the only shard."""
    folder = path.parent / "shards"
    if path.suffix == ".json":
        shutil.copy(path, folder / "shards.json")
    else:
        shutil.copy(path, folder / "train-000000.tar")
        index = json.loads((folder / "shards.json").read_text())
        index["splits"]["train"][0]["bytes"] = path.stat().st_size
        (folder / "shards.json").write_text(json.dumps(index))
    data = DataSettings(root=str(folder), format="webdataset")
    for split in splits_of(data):
        go_through(lambda split=split: open_split(data, split))


def read_list(path: Path) -> None:
    (path.parent / "data.yaml").write_text(f"train: {path.name}\nnames: [cup, tea pot]\n")
    read_described(path.parent / "data.yaml")


def examine_set(path: Path) -> None:
    """All that the doctor does; what it can copy can be trained on."""
    splits = {"train": SplitSettings(images=".", annotations=path.name)}
    data = doctor.read_set(DataSettings(root=str(path.parent), splits=splits), np.array([[9.0, 9.0], [30, 20]]), 64)
    findings = doctor.examine(data)
    assert "\x1b" not in "".join([*lines(data, findings), json.dumps(as_values(data, findings))])
    page(data, findings, "x")
    with tempfile.TemporaryDirectory() as out:
        write_copy(data, out)
        annotations = Path(out, "annotations", "train.json")
        if all(read_object(annotations)[key] for key in ("images", "categories")):
            Dataset.of_coco(annotations, Path(out, "images", "train"))


def encoded(suffix: str, mode: str = "RGB", **options: Any) -> Callable[[Path], bytes]:
    """What makes a small image with edges and noise in that format."""

    def make_image(folder: Path) -> bytes:
        pixels = np.random.default_rng(0).integers(0, 255, (40, 56, 3), np.uint8)
        pixels[10:30, 10:40] = (250, 20, 20)
        image = Image.fromarray(pixels).convert("L" if mode == "I;16" else mode)
        file = io.BytesIO()
        (Image.fromarray(np.asarray(image) * np.uint16(250)) if mode == "I;16" else image).save(file, suffix, **options)
        return file.getvalue()

    return make_image


TURNED = b"Exif\0\0II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0\0\0\0\0\0\0"  # orientation 6


def video(suffix: str, codec: str) -> Callable[[Path], bytes]:
    """What makes a video of five small frames."""

    def make_video(folder: Path) -> bytes:
        path = folder / f"good{suffix}"
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), 10, (48, 32))
        for level in range(5):
            writer.write(np.full((32, 48, 3), 50 * level, np.uint8))
        writer.release()
        return path.read_bytes()

    return make_video


def watch(path: Path) -> None:
    for _ in zip(range(100), read_frames(find_items(path)), strict=False):
        pass


def zones(folder: Path) -> bytes:
    return json.dumps({"door": [[0, 0], [20, 0], [20, 30.5]], "hall": [[5, 5], [30, 5], [30, 30], [5, 30]]}).encode()


def in_zones(path: Path) -> None:
    """Count in the zones of a file, and draw them."""
    found = Counter(zones=read_zones(path)).count(np.array([[1, 1, 9, 9]], np.float32), None, 0.0)
    draw_counts(np.zeros((32, 48, 3), np.uint8), found, 1.0)
    json.dumps(found.to_dict(), allow_nan=False)


def run_state(folder: Path) -> bytes:
    """The last.pt of a run that has just begun."""
    (folder / "train.json").write_bytes(coco(folder))
    (folder / "net.cfg").write_text(TRAINED)
    split = {"images": str(folder), "annotations": str(folder / "train.json")}
    data = {"root": str(folder), "bad_boxes": "drop", "splits": {"train": split}}
    settings = config.load(folder / "net.cfg", [f"data={json.dumps(data)}", "train.workers=0", "train.freeze=[]"])
    Trainer(DetectionTask(settings), folder).save()
    return (folder / "last.pt").read_bytes()


def of_run_state(data: bytes, rng: random.Random) -> bytes:
    """A run's state with some of its values or tensors replaced."""
    state = torch.load(io.BytesIO(data), weights_only=True)
    part = rng.choice([None, *state])
    odd = VALUES + TENSORS
    if part is not None and isinstance(state[part], (dict, list)):
        of_tree(state[part], rng, odd)
    else:
        state = of_tree(state, rng, odd)
    file = io.BytesIO()
    torch.save(state, file)
    return file.getvalue()


def resume(path: Path) -> None:
    weights = read(path, settings_type=None)
    task = ClassificationTask if isinstance(weights.settings, ClassifierSettings) else DetectionTask
    list(Trainer(task(weights.settings), path.parent, state=weights.training).summary())


KINDS = {
    "cfg": Kind(".cfg", lambda _: CFG.encode(), run_on_meta, (of_lines, of_lines, of_lines, of_bytes), 300),
    "cfg of Gaussian": Kind(".cfg", lambda _: GAUSSIAN.encode(), run_on_meta, (of_lines, of_bytes), 150),
    "cfg to train": Kind(".cfg", lambda _: TRAINED.encode(), build_config, (of_lines, of_lines, of_bytes), 150),
    "weights": Kind(".weights", darknet_weights, run_weights, (of_bytes,), 150),
    "names": Kind(".names", lambda _: b"cat\ndog\ntea pot\n", lambda p: read_names(p, 3), (of_lines, of_bytes), 150),
    "detector": Kind(
        ".yaml", lambda _: DETECTOR_YAML.encode(), build_config, (of_lines, of_yaml, of_yaml, of_bytes), 80
    ),
    "classifier": Kind(".yaml", lambda _: CLASSIFIER_YAML.encode(), build_config, (of_lines, of_yaml, of_bytes), 120),
    "data": Kind(
        ".yaml",
        lambda _: (
            b"root: .\nbad_boxes: drop\nsplits:\n  train: {images: a, annotations: b.json}\npseudo: {learn: 0.4}\n"
        ),
        lambda path: config.read_data(path, Settings),
        (of_lines, of_yaml, of_bytes),
        150,
    ),
    "class folders": Kind(
        ".yaml",
        lambda _: b"root: .\n",
        lambda path: config.read_data(path, ClassifierSettings),
        (of_lines, of_yaml, of_bytes),
        60,
    ),
    "checkpoint": Kind(".pt", checkpoint, read_weights, (of_checkpoint, of_checkpoint, of_bytes), 80),
    "run": Kind(".pt", run_state, resume, (of_run_state, of_run_state, of_run_state, of_bytes), 120),
    "released": Kind(".safetensors", safetensors, read_weights, (of_safetensors_header, of_bytes), 120),
    "exported": Kind(".json", said, hear, (of_json, of_json, of_bytes), 200),
    "onnx": Kind(".onnx", onnx, run_onnx, (of_bytes,), 60),
    "folded": Kind(".npz", folded, read_folded, (of_bytes,), 100),
    "annotations": Kind(".json", coco, read_set, (of_json, of_json, of_bytes), 400),
    "index of shards": Kind(
        ".json",
        lambda folder: (shard_set(folder) / "shards.json").read_bytes(),
        read_shards,
        (of_json, of_json, of_bytes),
        150,
    ),
    "shard": Kind(
        ".tar", lambda folder: (shard_set(folder) / "train-000000.tar").read_bytes(), read_shards, (of_bytes,), 120
    ),
    "voc": Kind(".xml", in_format(VOC), read_voc, (of_lines, of_bytes), 200),
    "yolo": Kind(".txt", in_format(YOLO), read_yolo, (of_lines, of_bytes), 150),
    "data.yaml": Kind(".yaml", in_format(DATA_YAML), read_described, (of_lines, of_yaml, of_bytes), 150),
    "list of images": Kind(".txt", in_format("images/4.png\n./images/2.png\n"), read_list, (of_lines, of_bytes), 100),
    "darknet data": Kind(
        ".data",
        in_format("classes = 2\ntrain = list.txt\nnames = names.txt\n"),
        read_described,
        (of_lines, of_bytes),
        100,
    ),
    "csv": Kind(".csv", in_format(CSV), read_described, (of_lines, of_bytes), 150),
    "examined": Kind(".json", coco, examine_set, (of_json, of_json, of_bytes), 150),
    "image list": Kind(".json", coco, lambda p: read_image_list(p, p.parent), (of_json, of_bytes), 200),
    "labels": Kind(".json", coco, lambda p: checked_out(p, overwrite=False), (of_json, of_bytes), 60),
    "zones": Kind(".json", zones, in_zones, (of_json, of_bytes), 200),
    "png": Kind(".png", encoded("png"), read_image, (of_bytes,), 120, MAX_MEMORY),
    "png of 16 bits": Kind(".png", encoded("png", "I;16"), read_image, (of_bytes,), 80, MAX_MEMORY),
    "png with a palette": Kind(".png", encoded("png", "P"), read_image, (of_bytes,), 80, MAX_MEMORY),
    "jpg": Kind(".jpg", encoded("jpeg", exif=TURNED), read_image, (of_bytes,), 120, MAX_MEMORY),
    "bmp": Kind(".bmp", encoded("bmp"), read_image, (of_bytes,), 80, MAX_MEMORY),
    "tif": Kind(".tif", encoded("tiff", compression="tiff_lzw"), read_image, (of_bytes,), 120, MAX_MEMORY),
    "webp": Kind(".webp", encoded("webp"), read_image, (of_bytes,), 80, MAX_MEMORY),
    "gif": Kind(".gif", encoded("gif", "P"), read_image, (of_bytes,), 80, MAX_MEMORY),
    "avi": Kind(".avi", video(".avi", "MJPG"), watch, (of_bytes,), 60, FRAME),
    "mp4": Kind(".mp4", video(".mp4", "mp4v"), watch, (of_bytes,), 60, FRAME),
}
