"""Shards: tar files with an image and its annotations as JSON side by side, as webdataset reads and writes them.

`shards.json` beside them lists the classes and, for each split, its tar files. They lie in a folder, or at an address;
then those that are not here yet are fetched into the cache when a split is opened. Images are read where they lie in
the tar files (`detect.members`), in any order, so a training on shards takes the same images in the same order as one
on a folder.
"""

import json
import os
import re
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from shutil import disk_usage
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

from detect.data.formats.coco_json import CocoReader
from detect.data.formats.reader import Fault, short
from detect.data.formats.remote import beside, checked, fetch, is_address
from detect.data.formats.splits import named
from detect.errors import UserError
from detect.files import cache_folder, hidden, made_folder, name_problem, printable, read_json
from detect.members import Member, members
from detect.ops.image import IMAGE_SUFFIXES

if TYPE_CHECKING:
    from detect.config.schema import SetSettings

INDEX = "shards.json"
FORM = 1  # of the index
LOOKED_FOR = f"{INDEX} with the tar files that it lists"
MAX_INDEX, MAX_RECORD = 64 << 20, 16 << 20  # bytes of the index, and of the annotations of an image
NEEDED = ("id", "width", "height", "annotations")  # of an image's annotations
LOCK = ".lock"  # in the cache of shards: who holds it fetches
AT_ONCE = 4  # shards that are fetched at once
SHA256 = re.compile(r"[0-9a-f]{64}")


class TarShard(NamedTuple):
    """A tar file: its name, number of images, bytes and SHA-256."""

    file: str
    images: int
    bytes: int
    sha256: str


class Place(NamedTuple):
    """A split. source: its index, a path or an address;  categories: as of COCO JSON, unchecked."""

    source: str
    categories: Any
    shards: list[TarShard]


def found(root: Path) -> bool:
    """Whether the folder `root` looks like data in this format; an address always does (`format_of`)."""
    return os.path.isfile(root / INDEX)


def places(data: "SetSettings") -> dict[str, Place]:
    """The shards of each split.  Raises UserError: the index cannot be read, or is none."""
    source, content = read_index(data.root)
    shown = printable(hidden(source))
    try:
        if content["form"] != FORM:
            form = short(content["form"])
            raise UserError(f"{shown}: is of form {form}, this version reads {FORM}; write the shards anew")
        splits = {split: [_shard(record) for record in records] for split, records in content["splits"].items()}
        return named({split: Place(source, content["categories"], shards) for split, shards in splits.items()})
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise UserError(f"{shown}: is no list of shards ({printable(error)}); write the shards anew") from error


def open_place(data: "SetSettings", place: Place) -> "TarShardReader":
    """The reader of a split; shards at an address are fetched now.  Raises UserError."""
    if is_address(place.source):
        return TarShardReader(place, fetched(place))
    return TarShardReader(place, [Path(place.source).parent / shard.file for shard in place.shards])


def read_index(root: str) -> tuple[str, Any]:
    """(where it is, what it holds, unchecked) of the index in a folder or at an address.  Raises UserError."""
    if is_address(root):
        source = checked(root if root.endswith(".json") else f"{root.rstrip('/')}/{INDEX}")
        try:
            return source, json.loads(_fetched_index(source))
        except (ValueError, RecursionError):
            raise UserError(f"{printable(hidden(source))}: is no JSON; is this the address of {INDEX}?") from None
    path = Path(root, INDEX)
    return str(path), read_json(path)


@lru_cache
def _fetched_index(address: str) -> str:
    """The JSON at an address, fetched once by a process."""
    with TemporaryDirectory() as folder:
        path = Path(folder, INDEX)
        fetch(address, path, MAX_INDEX)
        return path.read_text(encoding="utf-8")


def _shard(record: dict[str, Any]) -> TarShard:
    """A checked record of the index.  Raises ValueError, KeyError, TypeError."""
    name = record["file"]
    if name_problem(name) or Path(name).name != name or "\\" in name or not name.endswith(".tar"):
        raise ValueError(f"{name!r} is no name of a tar file beside it")
    if any(type(record[key]) is not int or record[key] < 1 for key in ("count", "bytes")):
        raise ValueError(f"count and bytes of {name} must be whole numbers from 1 on")
    if not SHA256.fullmatch(record["sha256"]):
        raise ValueError(f"sha256 of {name} must be 64 hexadecimal digits")
    return TarShard(name, record["count"], record["bytes"], record["sha256"])


def fetched(place: Place) -> list[Path]:
    """The paths in the cache of the shards of a place at an address; what is not there is fetched.

    A shard appears whole or not at all, so where a fetch was stopped the next one goes on. Processes that want the same
    one wait for each other.

    Raises:
        UserError: one cannot be fetched, or the disk has no room for all.
    """
    folder = made_folder(cache_folder() / "shards", "data")
    paths = [folder / f"{Path(shard.file).stem}-{shard.sha256[:16]}.tar" for shard in place.shards]
    missing = [pair for pair in zip(place.shards, paths, strict=True) if not _is_whole(*pair)]
    needed, free = sum(shard.bytes for shard, _ in missing), disk_usage(folder).free
    if needed > free:
        raise UserError(
            f"{printable(hidden(place.source))}: its shards need {needed / 1e9:.2f} GB in {printable(folder)}, where "
            f"{free / 1e9:.2f} GB are free; make room, or set CSP_DETECT_CACHE to a folder on a larger disk"
        )
    if missing:
        _fetch_missing(place.source, missing, folder)
    return paths


def _is_whole(shard: TarShard, path: Path) -> bool:
    return path.is_file() and path.stat().st_size == shard.bytes


def _fetch_missing(source: str, wanted: list[tuple[TarShard, Path]], folder: Path) -> None:
    """Fetch the shards that are not whole at their paths in the cache, one process at a time."""
    from filelock import FileLock
    from tqdm import tqdm

    def one(pair: tuple[TarShard, Path]) -> int:
        shard, path = pair
        fetch(beside(source, shard.file), path, shard.bytes, shard.sha256, stop)
        return shard.bytes

    stop = threading.Event()
    with FileLock(folder / LOCK):
        missing = [pair for pair in wanted if not _is_whole(*pair)]
        total = sum(shard.bytes for shard, _ in missing)
        often = 0.1 if sys.stderr.isatty() else 20  # s; a log gets a line now and then
        bar = tqdm(total=total, unit="B", unit_scale=True, desc="shards", mininterval=often, disable=not missing)
        with ThreadPoolExecutor(AT_ONCE) as pool, bar:
            try:
                for size in pool.map(one, missing):
                    bar.update(size)
            except BaseException:
                stop.set()
                pool.shutdown(cancel_futures=True)
                raise


class TarShardReader(CocoReader):
    """The annotations in the tar files of a split, checked as a COCO file's.

    Args:
        place: the split.
        tars: its tar files, in the order of the index.
    """

    def __init__(self, place: Place, tars: list[Path]) -> None:
        content = {"categories": place.categories, "images": [], "annotations": []}
        super().__init__(content, Path(), hidden(place.source))
        self.place, self.tars = place, tars
        self.files = _MemberPaths()  # type: ignore[assignment]

    def message(self, fault: Fault) -> str:
        source = printable(hidden(self.place.source))
        return f"{fault.where}: {fault.sentence}" if fault.id.startswith("shard.") else f"{source}: {fault.sentence}"

    def _read(self) -> Iterator[Fault]:
        for shard, tar in zip(self.place.shards, self.tars, strict=True):
            yield from self._read_shard(shard, tar)
        yield from super()._read()

    def _read_shard(self, shard: TarShard, tar: Path) -> Iterator[Fault]:
        """Add the records of a tar file to the content, yielding what is wrong with it as a whole."""
        try:
            listed = members(tar)
            size = tar.stat().st_size
        except UserError as error:
            yield Fault("shard.form", str(tar), str(error).removeprefix(f"{printable(tar)}: "))
            return
        if size != shard.bytes:
            sentence = f"has {size} bytes, but {INDEX} says {shard.bytes}; copy it again, or write the shards anew"
            yield Fault("shard.size", str(tar), sentence)
            return
        images = {name.rpartition(".")[0]: name for name in listed if Path(name).suffix.lower() in IMAGE_SUFFIXES}
        if len(images) != shard.images:
            sentence = f"holds {len(images)} images, but {INDEX} says {shard.images}; write the shards anew"
            yield Fault("shard.images", str(tar), sentence)
        with open(tar, "rb") as file:
            for key, name in images.items():
                yield from self._read_record(str(tar / name), _record(file, listed.get(f"{key}.json")))

    def _read_record(self, path: str, record: Any) -> Iterator[Fault]:
        wrong = not isinstance(record, dict) or any(key not in record for key in NEEDED)
        if wrong or not isinstance(record["annotations"], list):
            sentence = f"has no JSON beside it with {', '.join(NEEDED)}; write the shards anew"
            yield Fault("shard.annotations", path, sentence)
            return
        image = {key: record[key] for key in ("id", "width", "height")}
        self.content["images"].append(image | {"file_name": path})
        for one in record["annotations"]:
            self.content["annotations"].append(one | {"image_id": record["id"]} if isinstance(one, dict) else one)


def _record(file: Any, member: Member | None) -> Any:
    """The JSON of a member of an open tar file; None where there is none, or it is too large."""
    if member is None or member.size > MAX_RECORD:
        return None
    file.seek(member.start)
    try:
        return json.loads(file.read(member.size))
    except (ValueError, RecursionError):
        return None


class _MemberPaths:
    """The paths that `TarShardReader` gives its images, which need no finding."""

    folder = Path()

    def find(self, name: object) -> Path:
        return Path(str(name))

    def hint(self, name: object) -> str:
        return ""

    def notes(self, source: Path) -> list[str]:
        return []
