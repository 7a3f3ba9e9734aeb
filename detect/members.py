"""Files that lie in tar files, by paths that go on into them: `train-000000.tar/a.jpg` is read where it lies."""

import io
import os
import tarfile
from collections.abc import Mapping
from errno import ENOENT
from functools import lru_cache
from pathlib import Path
from typing import IO, BinaryIO, NamedTuple, cast

from detect.errors import UserError
from detect.files import cannot_read, name_problem, printable

MAX_HEADER = 1 << 20  # bytes of a name and what else stands before a member
LISTS = 4096  # tar files whose lists of members a process keeps


class Member(NamedTuple):
    """Where the bytes of a file lie in its tar file."""

    start: int
    size: int


def open_binary(path: str | os.PathLike[str]) -> io.BufferedReader:
    """The file `path`, or the one within a tar file that it leads to, open for reading.

    Raises:
        OSError: it is not there, or cannot be read.
        UserError: the tar file is none or damaged.
    """
    try:
        return open(path, "rb")
    except OSError:
        found = _within(path)
        if found is None:
            raise
    tar, name = found
    if name not in (listed := members(tar)):
        raise FileNotFoundError(ENOENT, os.strerror(ENOENT), os.fspath(path))
    return io.BufferedReader(_Part(open(tar, "rb", buffering=0), listed[name]))


def is_file(path: str | os.PathLike[str]) -> bool:
    """Whether `path` is a file, or one within a tar file.  Raises UserError: the tar file is none or damaged."""
    if os.path.isfile(path):
        return True
    found = _within(path)
    return found is not None and found[1] in members(found[0])


def stamp(path: str | os.PathLike[str]) -> tuple[int, int]:
    """(size in bytes, time of the last change in ns) of a file, or of one within a tar file.  Raises OSError."""
    if (found := _within(path)) and (member := members(found[0]).get(found[1])):
        return member.size, os.stat(found[0]).st_mtime_ns
    about = os.stat(path)
    return about.st_size, about.st_mtime_ns


def members(tar: str | os.PathLike[str]) -> Mapping[str, Member]:
    """The plain files in a tar file by their names, in its order; links and folders are none.

    Raises:
        UserError: it cannot be read, is no tar file or a damaged or compressed one, or a name leads out of it.
    """
    try:
        about = os.stat(tar)
        return _listed(os.fspath(tar), about.st_size, about.st_mtime_ns)
    except OSError as error:
        raise cannot_read(tar, error) from error


@lru_cache(LISTS)
def _listed(tar: str, size: int, changed: int) -> Mapping[str, Member]:
    """`members` of the file as it is at a size and a time."""
    found: dict[str, Member] = {}
    try:
        with open(tar, "rb") as file, tarfile.open(fileobj=cast(IO[bytes], _Careful(file)), mode="r:") as archive:
            while (info := archive.next()) is not None:
                archive.members = []  # type: ignore[attr-defined]  # else it keeps them all, ten times as large
                if info.size < 0 or info.offset_data + info.size > size:
                    raise tarfile.ReadError("it ends before its last file does")
                if info.isreg() and not info.issparse():
                    _check_name(info.name, found)
                    found[info.name] = Member(info.offset_data, info.size)
    except (tarfile.TarError, ValueError, OverflowError, RecursionError) as error:  # ValueError: numbers that are none
        reason = printable(str(error).split("\n")[0])
        raise UserError(
            f"{printable(tar)}: no tar file that can be read ({reason}); was it cut off or compressed? Copy or write "
            "it anew"
        ) from error
    return found


def _check_name(name: str, taken: Mapping[str, Member]) -> None:
    if problem := name_problem(name):
        raise tarfile.ReadError(f"the name of a file in it {problem}")
    if name.startswith("/") or ".." in name.split("/"):
        raise tarfile.ReadError(f"the name '{name}' leads out of it")
    if name in taken:
        raise tarfile.ReadError(f"it holds '{name}' twice")


def _within(path: str | os.PathLike[str]) -> tuple[Path, str] | None:
    """(tar file, name in it) of a path that leads into one."""
    path = Path(path)
    for tar in path.parents:
        if tar.suffix == ".tar" and tar.is_file():
            return tar, path.relative_to(tar).as_posix()
    return None


class _Careful:
    """A file that `tarfile` reads headers from: it takes the length of a name for granted."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.seek, self.tell = file, file.seek, file.tell

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= MAX_HEADER:
            raise tarfile.ReadError("what stands before a file in it is no header")
        return self._file.read(size)


class _Part(io.RawIOBase):
    """A part of a file as a file."""

    def __init__(self, file: io.FileIO, member: Member) -> None:
        self._file, self._member, self._place = file, member, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._member.size}[whence]
        if base + offset < 0:
            raise OSError(22, "a place before the beginning")
        self._place = base + offset
        return self._place

    def tell(self) -> int:
        return self._place

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        left = max(self._member.size - self._place, 0)
        self._file.seek(self._member.start + self._place)
        count = self._file.readinto(memoryview(buffer)[:left]) or 0
        self._place += count
        return count

    def close(self) -> None:
        self._file.close()
        super().close()
