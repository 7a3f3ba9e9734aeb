"""The formats that data sets are written in, by name."""

from detect.data.writing.set_writers import CocoWriter, SetWriter, VocWriter, YoloWriter
from detect.data.writing.tar_shard_writer import TarShardWriter

WRITERS: dict[str, type[SetWriter]] = {
    "coco": CocoWriter,
    "yolo": YoloWriter,
    "voc": VocWriter,
    "webdataset": TarShardWriter,
}
