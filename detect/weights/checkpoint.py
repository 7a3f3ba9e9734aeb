""".pt files of trainings: mappings of tensors and plain values, whole or not at all, read as files of strangers.

They are read with `weights_only=True`, which runs no code, but is not enough against a small file that takes gigabytes:
what it holds is counted before, and what its tensors stand for after.
"""

import os
import pickletools
from collections.abc import Iterator, Mapping
from typing import Any
from zipfile import ZIP_STORED, ZipFile

import torch
from torch import Tensor

from detect.errors import UserError
from detect.files import cannot_read, cannot_write, missing, printable, replacing

MAX_PICKLE = 8 << 20  # bytes of all that is no number; 100,000 classes need 5 MB, a usual detector 40 kB
# what our checkpoints are made of; `weights_only` lets more pass, `bytearray(3_000_000_000)` for one
GLOBALS = {"collections OrderedDict", "torch._utils _rebuild_tensor_v2"} | {
    f"torch {kind}Storage"
    for kind in (
        "Float",
        "Double",
        "Half",
        "BFloat16",
        "Long",
        "Int",
        "Short",
        "Char",
        "Byte",
        "Bool",
        "ComplexFloat",
        "ComplexDouble",
    )
}


def read_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The mapping in a `.pt` file, on the CPU.  Raises UserError."""
    try:
        _check_archive(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
        _check_tensors(path, state)
    except UserError:
        raise
    except FileNotFoundError as error:
        raise missing(path) from error
    except PermissionError as error:
        raise cannot_read(path, error) from error
    except Exception as error:  # a stranger's file fails in many ways: unpickling, zip, end of file, ...
        raise _damaged(path) from error
    if not isinstance(state, dict) or not {"model", "config", "categories"} <= state.keys():
        raise UserError(
            f"{printable(path)}: holds no detector of this framework and no classifier (no model, config, categories)"
        )
    return state


def write_checkpoint(path: str | os.PathLike[str], state: Mapping[str, Any]) -> None:
    """Write a mapping of tensors and plain values as `.pt`, whole or not at all.  Raises UserError."""
    try:
        with replacing(path) as temporary, open(temporary, "wb") as file:
            torch.save(state, file)
    except RuntimeError as error:  # PyTorch's own, after an OSError of the file
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, OSError):
            cause = cause.__context__
        raise cannot_write(path, cause or error) from error


def _damaged(path: str | os.PathLike[str]) -> UserError:
    return UserError(
        f"{printable(path)}: not a checkpoint of this framework, or a damaged one; give a run folder or another file"
    )


def _check_archive(path: str | os.PathLike[str]) -> None:
    """Raise `UserError` unless the file is a zip archive as torch.save writes it, of what `GLOBALS` name."""
    with open(path, "rb") as file, ZipFile(file) as archive:
        members = archive.infolist()
        unpacked, size = sum(member.file_size for member in members), file.seek(0, os.SEEK_END)
        if unpacked > size or any(member.compress_type != ZIP_STORED for member in members):
            raise UserError(
                f"{printable(path)}: is compressed, {unpacked / 1e6:.0f} MB in {size / 1e6:.1f}, which no checkpoint "
                "is; unpack it and save it again with torch.save"
            )
        pickles = [member for member in members if member.filename.endswith(".pkl")]
        if len(pickles) != 1 or pickles[0].file_size > MAX_PICKLE:
            raise _damaged(path)
        for operation, argument, _ in pickletools.genops(archive.read(pickles[0])):
            if operation.name == "STACK_GLOBAL" or (operation.name == "GLOBAL" and argument not in GLOBALS):
                raise _damaged(path)


def _check_tensors(path: str | os.PathLike[str], state: object) -> None:
    """Raise `UserError` where the tensors, each counted once, hold more numbers than the file has bytes for them."""
    views = {(t.data_ptr(), t.dtype, tuple(t.shape), t.stride()): t.nbytes for t in _tensors(state)}
    if sum(views.values()) > os.path.getsize(path):
        raise UserError(
            f"{printable(path)}: its tensors stand for {sum(views.values()) / 1e6:.0f} MB, more than the file holds "
            "(expanded ones?); save copies of them"
        )


def _tensors(state: object) -> Iterator[Tensor]:
    """All tensors in mappings and lists, each of which is entered once, however often it is referred to."""
    waiting, seen = [state], set()
    while waiting:
        value = waiting.pop()
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, dict | list | tuple) and id(value) not in seen:
            seen.add(id(value))
            waiting += value.values() if isinstance(value, dict) else value
