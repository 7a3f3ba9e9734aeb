"""The formats that data sets are written in, by name."""

from detect.data.set_writers import CocoWriter, SetWriter, VocWriter, YoloWriter
from detect.data.shard_writer import ShardWriter

WRITERS: dict[str, type[SetWriter]] = {
    "coco": CocoWriter,
    "yolo": YoloWriter,
    "voc": VocWriter,
    "webdataset": ShardWriter,
}
