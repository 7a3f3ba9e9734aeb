"""A small .pt of a stranger takes no more memory than its size says."""

import io
import pickle
import resource
import signal
import struct
import tracemalloc
from collections import Counter, OrderedDict
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

import pytest
import torch
from torch.testing import assert_close

from detect.errors import UserError
from detect.weights.checkpoint import MAX_PICKLE, read_checkpoint, write_checkpoint
from detect.weights.files import MAX_HEADER, MAX_TENSORS, read
from detect.weights.fit import misfit

DAMAGED = "not a checkpoint of this framework, or a damaged one; give a run folder or another file"


def state_of(**tensors):
    return {"model": tensors, "config": {}, "categories": []}


def error_of(path, reader=read_checkpoint):
    tracemalloc.start()
    try:
        with pytest.raises(UserError) as caught:
            reader(path)
        assert tracemalloc.get_traced_memory()[1] < 40e6
    finally:
        tracemalloc.stop()
    return str(caught.value)


def repacked(path, compression=ZIP_STORED, replaced=None):
    """The archive at `path` written anew, compressed or with another pickle."""
    with ZipFile(io.BytesIO(path.read_bytes())) as old, ZipFile(path, "w", compression) as new:
        for member in old.infolist():
            is_pickle = replaced is not None and member.filename.endswith("data.pkl")
            new.writestr(member.filename, replaced if is_pickle else old.read(member))


def test_what_is_written_is_read(tmp_path):
    tensors = {"a": torch.arange(6.0).reshape(2, 3).t(), "b": torch.tensor(3), "c": torch.ones(2, dtype=torch.bfloat16)}
    tensors |= {"again": tensors["a"], "u": torch.zeros(0, dtype=torch.uint8), "d": torch.ones(3, dtype=torch.float64)}
    write_checkpoint(tmp_path / "last.pt", state_of(**tensors) | {"extra": OrderedDict(x=[1, (2.5, None)])})
    found = read_checkpoint(tmp_path / "last.pt")
    assert_close(found["model"], tensors, rtol=0, atol=0)
    assert found["extra"] == {"x": [1, (2.5, None)]}


def test_expanded_tensors_are_a_sentence(tmp_path):
    path = tmp_path / "bomb.pt"
    write_checkpoint(path, state_of(**{f"x{i}": torch.zeros(1).expand(40_000_000) for i in range(20)}))
    assert error_of(path) == (
        f"{path}: its tensors stand for 3200 MB, more than the file holds (expanded ones?); save copies of them"
    )
    one = torch.zeros(10_000)
    write_checkpoint(path, state_of(**{f"x{i}": one.as_strided((5000 + i, 2), (1, 1)) for i in range(20)}))
    assert "more than the file holds" in error_of(path)


def test_a_compressed_one_is_a_sentence(tmp_path):
    path = tmp_path / "bomb.pt"
    write_checkpoint(path, state_of(x=torch.zeros(5_000_000)))
    repacked(path, ZIP_DEFLATED)
    assert error_of(path).startswith(f"{path}: is compressed, 20 MB in 0.0, which no checkpoint is; unpack it")


class Call:
    def __init__(self, function, *arguments):
        self.called = function, arguments

    def __reduce__(self):
        return self.called


@pytest.mark.parametrize(
    "call",
    [Call(bytearray, 3_000_000_000), Call(torch.Tensor, 50_000, 50_000), Call(Counter, "a"), Call(set, [1])],
    ids=["bytearray", "Tensor", "Counter", "set"],
)
def test_calls_that_torch_lets_pass_are_refused(tmp_path, call):
    path = tmp_path / "bomb.pt"
    write_checkpoint(path, state_of())
    for protocol in (2, 4):
        repacked(path, replaced=pickle.dumps(state_of(x=call), protocol))
        assert error_of(path) == f"{path}: {DAMAGED}"


def test_a_pickle_of_megabytes_is_refused(tmp_path):
    path = tmp_path / "bomb.pt"
    write_checkpoint(path, state_of() | {"x": "x" * MAX_PICKLE})
    assert error_of(path) == f"{path}: {DAMAGED}"


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
@pytest.mark.parametrize("kind", [torch.float32, torch.float16])
def test_numbers_that_are_not_finite_do_not_fit(number, kind):
    network = torch.nn.Linear(2, 2)
    tensors = {name: tensor.to(kind) for name, tensor in network.state_dict().items()}
    assert misfit(tensors, network) == ""
    tensors["weight"][1, 0] = number
    assert misfit(tensors, network) == "'weight' holds numbers that are not finite"


def safetensors_of(count):
    entries = ",".join(f'"{i:x}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}' for i in range(count))
    header = f"{{{entries}}}".encode()
    return struct.pack("<Q", len(header)) + header


def test_a_long_header_of_safetensors_is_a_sentence(tmp_path):
    path = tmp_path / "bomb.safetensors"
    path.write_bytes(struct.pack("<Q", 78_000_000) + b"{" + bytes(78_000_000))
    assert error_of(path, read) == f"{path}: its header has 78 MB, as that of no model here has"
    content = safetensors_of(MAX_TENSORS + 1)
    assert len(content) < MAX_HEADER
    path.write_bytes(content)
    assert error_of(path, read) == f"{path}: lists {MAX_TENSORS + 1} tensors, as no model here has"


def test_a_full_disk_is_named_as_what_it_is(tmp_path):
    path = tmp_path / "last.pt"
    path.write_text("old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, before[1]))
    try:
        with pytest.raises(UserError) as caught:
            write_checkpoint(path, state_of(**{f"x{i}": torch.zeros(10_000) for i in range(20)}))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert str(caught.value) == (
        f"{path}: cannot be written (File too large); check the folder, its permissions and free space"
    )
    assert path.read_text() == "old"
