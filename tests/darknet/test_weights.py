""".weights come back byte for byte, and files that do not fit are refused with what was expected and found."""

import resource
import struct

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from detect.darknet import weights
from detect.darknet.cfg import parse
from detect.darknet.network import DarknetNetwork, load
from detect.darknet.weights import Header
from detect.errors import UserError
from tests.small_nets import conv, images_for, make, net, section, yolo

EVERY_KIND = (  # of layer with numbers
    net(8, 8)
    + conv(4)
    + conv(4, batch_normalize=0)
    + section("shortcut", from_=-2, weights_type="per_channel", weights_normalization="relu")
    + section("connected", output=5, batch_normalize=1)
    + section("connected", output=3)
)
FLOATS = (4 * 4 + 4 * 3 * 9, 4 + 4 * 4 * 9, 2 * 4, 4 * 5 + 5 * 4 * 64, 3 + 3 * 5)
CASES = 22  # of damage that `wrong` does


def header_of(major, minor, revision=0, seen=12345):
    return struct.pack("<iiiQ" if major * 10 + minor >= 2 else "<iiiI", major, minor, revision, seen)


@pytest.mark.parametrize("name", ["yolo-fastest-1.1", "MobileNetV2-YOLOv3-Nano-voc"])
def test_real_weights_come_back_byte_for_byte(shared, tmp_path, name):
    folder = shared / "darknet"
    network = load(folder / f"{name}.cfg", folder / f"{name}.weights")
    weights.write(tmp_path / "copy.weights", network)
    assert (tmp_path / "copy.weights").read_bytes() == (folder / f"{name}.weights").read_bytes()


@pytest.mark.parametrize("version", [(0, 1), (0, 2), (0, 2, 5), (2, 0), (0, 1001), (1001, 0)], ids=str)
def test_every_header_comes_back(tmp_path, version):
    cfg, path = make(tmp_path, EVERY_KIND)
    floats = path.read_bytes()[20:]
    path.write_bytes(header_of(*version) + floats)
    network = load(cfg, path)
    assert network.header == Header(*(version + (0,))[:3], seen=12345)
    weights.write(tmp_path / "copy.weights", network)
    assert (tmp_path / "copy.weights").read_bytes() == path.read_bytes()


def test_seen_has_32_bits_before_version_0_2_and_64_from_then_on(tmp_path):
    cfg, path = make(tmp_path, EVERY_KIND)
    floats = path.read_bytes()[20:]
    for version, seen in (((0, 1), 2**32 - 1), ((0, 2), 2**40)):
        path.write_bytes(header_of(*version, seen=seen) + floats)
        assert load(cfg, path).header.seen == seen


def test_transposed_weights_of_connected_layers(tmp_path):
    """Versions above 1000 keep them [in][out]; nothing else changes."""
    cfg, path = make(tmp_path, EVERY_KIND)
    plain = load(cfg, path)
    weights.write(path, plain, Header(1001, 0, 0, 7))
    turned = load(cfg, path)
    for name, tensor in plain.state_dict().items():
        assert_close(turned.state_dict()[name], tensor, rtol=0, atol=0)
    count = FLOATS[0] + FLOATS[1] + FLOATS[2] + 5  # the biases of the connected layer come first
    stored = np.fromfile(path, dtype="<f4", offset=20)[count : count + 5 * 4 * 64]
    assert_close(torch.from_numpy(stored.reshape(4 * 64, 5).T.copy()), plain.layers[3].linear.weight.detach())


def test_order_of_the_numbers(tmp_path):
    """Numbers 0, 1, 2, ... show where each goes."""
    cfg = tmp_path / "a.cfg"
    cfg.write_text(net(4, 4, channels=2) + conv(2, 1) + section("connected", output=1, batch_normalize=1))
    numbers = np.arange(2 * 4 + 4 + 4 + 2 * 16, dtype="<f4")
    (tmp_path / "a.weights").write_bytes(header_of(0, 2) + numbers.tobytes())
    convolution, connected = load(cfg, tmp_path / "a.weights").layers
    for tensor, first in (
        (convolution.norm.bias, 0),
        (convolution.norm.weight, 2),
        (convolution.norm.running_mean, 4),
        (convolution.norm.running_var, 6),
        (convolution.conv.weight, 8),
        (connected.norm.bias, 12),
        (connected.linear.weight, 13),
        (connected.norm.weight, 45),
        (connected.norm.running_mean, 46),
        (connected.norm.running_var, 47),
    ):
        assert_close(tensor.detach().flatten(), torch.arange(first, first + tensor.numel(), dtype=torch.float32))


def test_first_layers_only(tmp_path):
    cfg, path = make(tmp_path, EVERY_KIND)
    whole = load(cfg, path)
    weights.write(tmp_path / "net.conv.2", whole, cutoff=2)
    assert (tmp_path / "net.conv.2").stat().st_size == 20 + 4 * sum(FLOATS[:2])
    for source in (tmp_path / "net.conv.2", path):  # a file of these layers, or of all
        part = load(cfg, source, cutoff=2)
        for name, tensor in whole.state_dict().items():
            if name.startswith(("layers.0.", "layers.1.")):
                assert_close(part.state_dict()[name], tensor, rtol=0, atol=0)
        assert not torch.equal(part.layers[3].linear.weight, whole.layers[3].linear.weight)
        assert all(parameter.isfinite().all() for parameter in part.parameters())
    assert weights.cutoff_of(tmp_path / "net.conv.2", whole) == 2
    assert weights.cutoff_of(path, whole) is None
    for cutoff in (0, -1, 6):
        with pytest.raises(UserError, match=f"cutoff is {cutoff}; .* has layers 1 to 5"):
            load(cfg, path, cutoff=cutoff)


def wrong(data):
    """What may happen to the bytes of a .weights file of EVERY_KIND, and what is said."""
    total = sum(FLOATS)
    names = ("convolutional", "convolutional", "shortcut", "connected", "connected")
    yield data[:0], "holds 0 bytes, too few for a .weights file"
    yield data[:15], "holds 15 bytes"
    yield data[:18], "ends within its header"
    yield data[:20], f"expected {total} floats for .*, found 0; it ends in layer 0, .convolutional. at .*cfg:5, which"
    for layer, name in enumerate(names):
        before = sum(FLOATS[:layer])
        found = (
            f"expected {total} floats for .*, found {before + 1}; it ends in layer {layer}, .{name}. at .*cfg:[0-9]+"
        )
        yield data[: 20 + 4 * before + 4], f"{found}, which needs {FLOATS[layer]} floats and finds 1: cut off"
    yield data[: 20 + 4 * sum(FLOATS[:2])], "weights of the first layers.* cutoff=2"
    yield data[:-2], f"expected {total} floats for .*, found {total - 1} and 2 bytes"
    yield data + b"\0" * 4, f"expected {total} floats for .*, found {total + 1}; the rest is left over"
    yield data + b"\0", f"expected {total} floats for .*, found {total} and 1 bytes"
    yield data + data, "left over after the last layer"
    yield np.frombuffer(data, "<i4").byteswap().tobytes(), "big-endian"
    yield b"\x89PNG\r\n\x1a\n" + data[8:], "begins with version .* it is another kind of file"
    yield struct.pack("<iii", -1, 2, 5) + data[12:], "begins with version -1.2.5"
    yield struct.pack("<iii", 2**31 - 1, 2, 5) + data[12:], "begins with version 2147483647.2.5"
    yield header_of(0, 1) + data[20:-4], f"found {total - 1}"
    yield data[:20] + struct.pack("<f", float("nan")) + data[24:], "layer 0, .convolutional. at .*:5, .* not finite"
    yield data[:-4] + struct.pack("<f", float("inf")), "layer 4, .connected. at .* not finite"
    yield data[:20] + data[:19:-1], "negative variances|not finite"


@pytest.mark.parametrize("case", range(CASES))
def test_files_that_do_not_fit_are_refused(tmp_path, case):
    cfg, path = make(tmp_path, EVERY_KIND)
    cases = list(wrong(path.read_bytes()))
    assert len(cases) == CASES
    data, sentence = cases[case]
    path.write_bytes(data)
    with pytest.raises(UserError, match=sentence) as error:
        load(cfg, path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


def test_a_refused_file_leaves_the_network_as_it_was(tmp_path):
    cfg, path = make(tmp_path, EVERY_KIND)
    network = load(cfg, path)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    path.write_bytes(path.read_bytes()[:-4] + struct.pack("<f", float("nan")))
    with pytest.raises(UserError):
        weights.read(path, network)
    for name, tensor in network.state_dict().items():
        assert_close(tensor, before[name], rtol=0, atol=0)


def test_weights_swapped_between_two_cfgs_are_refused(shared):
    folder = shared / "darknet"
    names = "yolo-fastest-1.1", "MobileNetV2-YOLOv3-Nano-voc"
    for cfg, other in (names, names[::-1]):
        with pytest.raises(UserError, match=r"expected [0-9]+ floats for .*, found [0-9]+"):
            load(folder / f"{cfg}.cfg", folder / f"{other}.weights")


def test_missing_files_and_folders_are_named(tmp_path):
    cfg, path = make(tmp_path, EVERY_KIND)
    with pytest.raises(UserError, match=r"no\.weights: no such file"):
        load(cfg, tmp_path / "no.weights")
    with pytest.raises(UserError, match="cannot be read"):
        load(cfg, tmp_path)
    with pytest.raises(UserError, match="cannot be written"):
        weights.write(tmp_path / "no folder" / "a.weights", load(cfg, path))


def test_a_file_too_small_for_its_cfg_takes_no_memory(tmp_path):
    """The network needs 1.7 GB; only the file's size is looked at."""
    (tmp_path / "a.cfg").write_text(net(64, 64, channels=1024) + conv(16384, 5, batch_normalize=0, stride=32))
    (tmp_path / "a.weights").write_bytes(header_of(0, 2) + b"\0" * 400)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB, the most this process ever had
    with pytest.raises(UserError, match=r"expected 419446784 floats for .*, found 100"):
        load(tmp_path / "a.cfg", tmp_path / "a.weights")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10


def test_written_weights_are_those_of_the_trained_network(tmp_path):
    cfg, path = make(tmp_path, net(32, 32) + conv(4, stride=8) + conv(32, 1, "linear", 0) + yolo())
    network = load(cfg, path).train()
    sum(level.square().sum() for level in network(torch.from_numpy(images_for(network)))).backward()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter -= 0.01 * parameter.grad
    weights.write(tmp_path / "new.weights", network)
    again = load(cfg, tmp_path / "new.weights")
    images = torch.from_numpy(images_for(network))
    with torch.no_grad():
        assert_close(again(images), network.eval()(images), rtol=0, atol=0)
    assert DarknetNetwork(parse(cfg.read_text())).header is None
