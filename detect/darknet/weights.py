"""Darknet's .weights: a header, then the layers' float32 numbers in the cfg's order, little-endian, nothing between.

A convolution has biases, with normalisation scales, means and variances, then weights [out][in/groups][k][k]; a
connected layer has its weights [out][in] before the scales; a weighted shortcut its weights. Nothing says where a
layer begins, so the total must fit to the float. (OpenCV takes a connected layer's scales before its weights.)
"""

import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Self

import numpy as np
import torch
from torch import nn

from detect.darknet.layers import NORM_EPS, Connected, Convolution, Shortcut
from detect.errors import UserError
from detect.files import cannot_read, cannot_write, printable, replacing

if TYPE_CHECKING:
    from detect.darknet.network import DarknetNetwork  # which reads its numbers with this module

MAX_VERSION = 100_000
SHORT, LONG = "<iiiI", "<iiiQ"


@dataclass(frozen=True)
class Header:
    """The beginning of a .weights file. `seen`: images trained on, 64 bits from version 0.2 on, 32 before."""

    major: int = 0
    minor: int = 2
    revision: int = 5
    seen: int = 0

    @classmethod
    def checked(cls, values: Sequence[int]) -> Self:
        """The header of four whole numbers, as settings hold it.  Raises UserError."""
        if len(values) == 4 and max(values[:3]) < MAX_VERSION:
            header = cls(*values)
            if header.seen < 1 << (8 * struct.calcsize(header.layout[-1])):
                return header
        raise UserError(f"model.header is {list(values)}; it must be a version in three numbers and the images seen")

    @property
    def layout(self) -> str:
        """The fields as `struct` has them."""
        return LONG if self.major * 10 + self.minor >= 2 else SHORT

    @property
    def transposed(self) -> bool:
        """Whether connected layers' weights are [in][out]."""
        return self.major > 1000 or self.minor > 1000

    def pack(self) -> bytes:
        """The header as it stands in a file."""
        return struct.pack(self.layout, self.major, self.minor, self.revision, self.seen)


def read(path: str | PathLike[str], network: "DarknetNetwork", cutoff: int | None = None) -> None:
    """Fill `network`, a `DarknetNetwork`, from a .weights file and keep the file's header in it.

    Args:
        cutoff: read only the first `cutoff` layers; the file must end with them, or be one of the whole network.

    Raises:
        UserError: the file is no .weights file, has more or fewer floats than these layers, or numbers that no training
            gives; the network is as it was.
    """
    layers = _layers(network, cutoff)
    header, values = _read_numbers(Path(path), network, layers)
    _check_numbers(path, network, layers, values)
    if any(parameter.is_meta for parameter in network.parameters()):
        network.to_empty(device="cpu")
        for name, buffer in network.named_buffers():
            if name.endswith("num_batches_tracked"):
                buffer.zero_()
    start = 0
    for _, layer in layers:
        start = _fill(layer, values, start, header.transposed)
    network.header = header


def _read_numbers(
    path: Path, network: "DarknetNetwork", layers: Sequence[tuple[int, nn.Module]]
) -> tuple[Header, torch.Tensor]:
    """(`Header`, float32 [n]): the numbers of `layers`, the first of the network's.  Raises UserError."""
    expected = sum(_count(layer) for _, layer in layers)
    whole = floats_in(network)
    try:
        with path.open("rb") as file:
            header, size = _read_header(file, path)
            if size not in (4 * expected, 4 * whole):
                raise _wrong_size(path, network, layers, size)
            numbers = np.fromfile(file, dtype="<f4", count=expected)
    except OSError as error:
        raise cannot_read(path, error) from error
    if len(numbers) != expected:
        raise UserError(f"{printable(path)}: was cut off while it was read; try again")
    return header, torch.from_numpy(numbers.astype(np.float32, copy=False))


def write(
    path: str | PathLike[str], network: "DarknetNetwork", header: Header | None = None, cutoff: int | None = None
) -> None:
    """Write `network` as .weights, whole or not at all; `header` is by default the one it was read with.

    A file that was read comes out byte for byte the same.  Raises UserError.
    """
    header = header or network.header or Header()
    try:
        with replacing(path) as temporary, open(temporary, "wb") as file:
            file.write(header.pack())
            for _, layer in _layers(network, cutoff):
                for tensor in _tensors(layer):
                    if header.transposed and tensor.dim() == 2 and isinstance(layer, Connected):
                        tensor = tensor.t()
                    file.write(tensor.detach().cpu().float().contiguous().numpy().astype("<f4", copy=False).tobytes())
    except OSError as error:
        raise cannot_write(path, error) from error


def floats_of(path: str | PathLike[str]) -> float:
    """How many floats a .weights file holds, no whole number where it ends within one.  Raises UserError."""
    try:
        with Path(path).open("rb") as file:
            return _read_header(file, path)[1] / 4
    except OSError as error:
        raise cannot_read(path, error) from error


def floats_in(network: "DarknetNetwork") -> int:
    """How many floats the .weights file of a network holds."""
    return sum(_count(layer) for _, layer in _layers(network, None))


def cutoff_of(path: str | PathLike[str], network: "DarknetNetwork") -> int | None:
    """How many of the network's first layers a .weights file holds, as `read` wants it; None for all of them.

    A file that ends within a layer gives None as well: `read` says what is wrong with it.  Raises UserError.
    """
    floats = floats_of(path)
    end = 0
    for index, layer in _layers(network, None):
        if floats == end and end:
            return index
        end += _count(layer)
    return None


def _layers(network: "DarknetNetwork", cutoff: int | None) -> list[tuple[int, nn.Module]]:
    """(index, layer) of the first `cutoff` layers that have numbers in the file.  Raises UserError."""
    count = len(network.layers)
    if cutoff is not None and not 0 < cutoff <= count:
        raise UserError(f"cutoff is {cutoff}; {network.cfg.source} has layers 1 to {count}")
    return [(i, layer) for i, layer in enumerate(network.layers[:cutoff]) if _tensors(layer)]


def _tensors(layer: nn.Module) -> list[torch.Tensor]:
    """The layer's tensors in the file's order."""
    if isinstance(layer, Shortcut):
        return [] if layer.weight is None else [layer.weight]
    if not isinstance(layer, (Convolution, Connected)):
        return []
    connected = isinstance(layer, Connected)
    inner = layer.linear if connected else layer.conv
    if isinstance(layer.norm, nn.Identity):
        return [inner.bias, inner.weight]
    norm = layer.norm
    learned = [norm.weight, norm.running_mean, norm.running_var]
    return [norm.bias, inner.weight, *learned] if connected else [norm.bias, *learned, inner.weight]


def _count(layer: nn.Module) -> int:
    """How many floats the layer has in the file."""
    return sum(tensor.numel() for tensor in _tensors(layer))


def _fill(layer: nn.Module, values: torch.Tensor, start: int, transposed: bool) -> int:
    """Copy the layer's numbers from `start` on; returns where the next layer's begin."""
    for tensor in _tensors(layer):
        new = values[start : start + tensor.numel()]
        start += tensor.numel()
        if transposed and isinstance(layer, Connected) and tensor.dim() == 2:
            new = new.view(tensor.shape[::-1]).t()
        with torch.no_grad():
            tensor.copy_(new.reshape(tensor.shape))
    return start


def _read_header(file: BinaryIO, path: str | PathLike[str]) -> tuple[Header, int]:
    """(`Header`, number of bytes after it); the file is left where the floats begin."""
    data = file.read(struct.calcsize(LONG))
    if len(data) < struct.calcsize(SHORT):
        raise UserError(f"{printable(path)}: holds {len(data)} bytes, too few for a .weights file; was it cut off?")
    version = struct.unpack("<iii", data[:12])
    if not all(0 <= part < MAX_VERSION for part in version):
        swapped = all(0 <= part < MAX_VERSION for part in struct.unpack(">iii", data[:12]))
        why = "its bytes are in the other order (big-endian)" if swapped else "it is another kind of file"
        raise UserError(f"{printable(path)}: begins with version {'.'.join(map(str, version))}, no .weights': {why}")
    header = Header(*version)
    length = struct.calcsize(header.layout)
    size = os.fstat(file.fileno()).st_size - length
    if size < 0:
        raise UserError(f"{printable(path)}: ends within its header; was it cut off?")
    file.seek(length)
    return Header(*struct.unpack(header.layout, data[:length])), size


def _wrong_size(
    path: str | PathLike[str], network: "DarknetNetwork", layers: Sequence[tuple[int, nn.Module]], size: int
) -> UserError:
    """The `UserError` for a file of `size` bytes after the header, where `layers` need others."""
    total, floats, rest = sum(_count(layer) for _, layer in layers), size // 4, size % 4
    file, source = printable(path), network.cfg.source
    found = f"expected {total} floats for {source}, found {floats}" + (f" and {rest} bytes" if rest else "")
    if floats >= total:
        return UserError(f"{file}: {found}; the rest is left over after the last layer: weights of another cfg?")
    begin = 0
    for index, layer in layers:  # noqa: B007  used below
        needed = _count(layer)
        if floats < begin + needed:
            break
        begin += needed
    section = network.cfg.layers[index]
    cut = "cut off, or weights of another cfg?"
    if begin and floats == begin and not rest:
        cut = f"weights of the first layers? then read them with cutoff={index}"
    return UserError(
        f"{file}: {found}; it ends in layer {index}, [{section.type}] at {source}:{section.line}, "
        f"which needs {needed} floats and finds {floats - begin}: {cut}"
    )


def _check_numbers(
    path: str | PathLike[str], network: "DarknetNetwork", layers: Sequence[tuple[int, nn.Module]], values: torch.Tensor
) -> None:
    """Raise UserError where numbers are not finite or a variance is negative: files of another cfg show that way."""
    start = 0
    for index, layer in layers:
        for tensor in _tensors(layer):
            wrong = _fault(layer, tensor, values[start : start + tensor.numel()])
            start += tensor.numel()
            if wrong:
                section = network.cfg.layers[index]
                raise UserError(
                    f"{printable(path)}: layer {index}, [{section.type}] at {network.cfg.source}:{section.line}, would "
                    f"get {wrong}; the file is damaged or belongs to another cfg of the same size"
                )


def _fault(layer: nn.Module, tensor: torch.Tensor, numbers: torch.Tensor) -> str:
    """What is wrong with `numbers` for a tensor of the layer, if anything."""
    if not numbers.isfinite().all():
        return "numbers that are not finite"
    norm = getattr(layer, "norm", None)
    is_variance = isinstance(norm, nn.modules.batchnorm._BatchNorm) and tensor is norm.running_var
    return "negative variances" if is_variance and (numbers < -NORM_EPS / 2).any() else ""
