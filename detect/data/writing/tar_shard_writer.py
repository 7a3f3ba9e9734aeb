"""Shards as `detect.data.formats.tar_shards` reads them, written by webdataset's own writer."""

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detect.data.formats.tar_shards import FORM, INDEX
from detect.data.writing.annotation_texts import Box, Item
from detect.data.writing.set_writers import SetWriter
from detect.extras import not_installed
from detect.files import read_bounded
from detect.members import open_binary

if TYPE_CHECKING:
    from webdataset import TarWriter

SHARD_BYTES = 256 << 20  # of images, from which on a shard is full
IMAGE_BYTES = 1 << 30  # of one: it is taken into memory


class TarShardWriter(SetWriter):
    """SPLIT-000000.tar, ... and shards.json: all is held but outlines and the ids of annotations.

    An image is a sample of webdataset: NAME.jpg with the bytes of its file, NAME.json with `id`, `width`, `height` and
    `annotations` as of COCO. A point in NAME becomes "_", as it would end a sample's key.
    """

    name = "webdataset"
    first_id = None

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._shards: dict[str, list[dict[str, Any]]] = {}  # the records of the index, by split
        self._ids: dict[str, set[int]] = {}
        self._open: tuple[str, Path, TarWriter] | None = None  # split, file and writer of the shard in the making
        self._count = self._bytes = 0  # in it

    def finish(self) -> None:
        self._close()
        splits = {split: self._shards.get(split, []) for split in self.splits}
        self._write(INDEX, json.dumps({"form": FORM, "categories": self.categories, "splits": splits}, indent=1) + "\n")

    def _held(self, boxes: list[Box]) -> list[Box]:
        return boxes

    def _place(self, split: str, path: Path, item: Item) -> Item:
        item = item._replace(id=self._free_id(split, item.id))
        stem, suffix = os.path.splitext(item.name)
        key, extension = os.path.splitext(self._free_name(split, stem.replace(".", "_") + suffix))
        content = read_bounded(path, IMAGE_BYTES, "is this an image?", open_binary)
        sample = {"__key__": key, extension[1:]: content, "json": json.dumps(self._record(item)).encode()}
        self._writer(split).write(sample)
        self._count, self._bytes = self._count + 1, self._bytes + len(content)
        if self._bytes >= SHARD_BYTES:
            self._close()
        return item._replace(name=key + extension)

    def _record(self, item: Item) -> dict[str, Any]:
        annotations = []
        for one in item.boxes:
            annotation = {"category_id": self.categories[one.label]["id"], "bbox": list(one.box), "area": one.area}
            annotation |= {"iscrowd": int(one.crowd)} | ({} if one.score is None else {"score": one.score})
            annotations.append(annotation)
        return {"id": item.id, "width": item.width, "height": item.height, "annotations": annotations}

    def _free_id(self, split: str, wanted: int) -> int:
        """`wanted`, or another where an image of the split has it already."""
        taken = self._ids.setdefault(split, set())
        free = max(taken) + 1 if wanted in taken else wanted
        taken.add(free)
        self._told["images with a new id, as several had the same"] += free != wanted
        return free

    def _writer(self, split: str) -> "TarWriter":
        """Of the shard that the next image of a split goes into."""
        if self._open and self._open[0] != split:
            self._close()
        if self._open is None:
            try:
                from webdataset import TarWriter
            except ImportError as error:
                raise not_installed(error) or error from error
            path = self.folder / f"{split}-{len(self._shards.get(split, [])):06d}.tar"
            self._open = split, path, TarWriter(str(path), encoder=False, mtime=0, compress=False)
        return self._open[2]

    def _close(self) -> None:
        """End the shard in the making, if there is one."""
        if self._open is None:
            return
        split, path, writer = self._open
        writer.close()
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        about = {"file": path.name, "count": self._count, "bytes": path.stat().st_size, "sha256": digest}
        self._shards.setdefault(split, []).append(about)
        self._open, self._count, self._bytes = None, 0, 0
