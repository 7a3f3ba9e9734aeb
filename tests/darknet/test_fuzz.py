"""Damaged cfgs and weights: one sentence or success, never a crash, a hang or much memory."""

import random
import time
import tracemalloc

import numpy as np
import pytest
import torch

from detect.darknet.cfg import parse
from detect.darknet.network import DarknetNetwork, load
from detect.errors import UserError
from tests.small_nets import conv, images_for, make, net, section, yolo

SEED_CFG = (
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
OTHER_CFG = (
    net(64, 32)
    + section("crop", crop_height=32, crop_width=64, flip=1, noadjust=1)
    + conv(8, stride=4, stopbackward=800)
    + conv(24, 1, "linear", 0)
    + section("Gaussian_yolo", classes=3, num=2, anchors="10,14, 23,27, 37,58", mask="1,0", max_delta=5)
)
ODD = (
    "0", "-1", "1", "2", "3", "7", "64", "65536", "2147483647", "2147483648", "-2147483649", "1e9", "nan", "inf",
    "1e-300", "0x10", "", " ", "a", "leaky", "999999999999999999999999", "1,", ",", "1,2,3", "-1,-2", "0.5", "\x00",
    "é", "=", "[", "1" * 3000,
)  # fmt: skip
MEMORY = 64 << 20  # bytes that a refused or small network may take
SECONDS = 2.0  # of one attempt, with plenty to spare


def mutated(text, rng):
    """The text with one or two things changed: values, lines, sections or single characters."""
    lines = text.split("\n")
    for _ in range(rng.randint(1, 2)):
        at = rng.randrange(len(lines))
        line = lines[at]
        action = rng.randrange(7)
        if action <= 1 and "=" in line:
            lines[at] = line.split("=")[0] + "=" + rng.choice(ODD)
        elif action == 2:
            del lines[at]
        elif action == 3:
            lines.insert(rng.randrange(len(lines) + 1), line)
        elif action == 4:
            other = rng.randrange(len(lines))
            lines[at], lines[other] = lines[other], line
        elif action == 5:
            characters = list(line)
            characters.insert(
                rng.randint(0, len(line)), chr(rng.choice([0, 9, 10, 35, 44, 45, 48, 57, 61, 91, 93, 233, 0x661]))
            )
            lines[at] = "".join(characters)
        else:
            lines = lines[: rng.randrange(len(lines)) + 1] + lines[rng.randrange(len(lines)) :]
        lines = lines or [""]
    return "\n".join(lines)


def bounded(attempt):
    """Run `attempt` and return its result, or None for a `UserError` of one line; its time and memory are bounded.

    Tensors are not seen by tracemalloc; networks are built where they take none, or are small.
    """
    tracemalloc.start()
    start = time.perf_counter()
    try:
        return attempt()
    except UserError as error:
        assert "\n" not in str(error)
        assert str(error).isprintable()
        assert len(str(error)) < 1000
        return None
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert time.perf_counter() - start < SECONDS
        assert peak < MEMORY


def test_the_undamaged_cfg_is_fine(tmp_path):
    network = load(*make(tmp_path, SEED_CFG))
    assert network.region_outputs(torch.from_numpy(images_for(network)))[0].shape == (2 * 8 * 16, 8)


@pytest.mark.parametrize("seed", range(4))
def test_mutated_cfgs(seed):
    rng = random.Random(seed)

    def build(text):
        with torch.device("meta"):
            return DarknetNetwork(parse(text, "my.cfg"))

    built = 0
    for _ in range(150):
        text = mutated(SEED_CFG, rng)
        network = bounded(lambda text=text: build(text))
        if network is not None:
            built += 1
            # what can be built can be run: all shapes fit; on the meta device they take neither time nor memory
            network.eval()(torch.empty(1, network.cfg.net["channels"], *network.input_size, device="meta"))
    assert 10 < built < 140


def test_mutated_weights(tmp_path):
    cfg, path = make(tmp_path, SEED_CFG)
    data = path.read_bytes()
    rng = random.Random(0)
    loaded = 0
    for _ in range(200):
        damaged = bytearray(data)
        for _ in range(rng.randint(1, 3)):
            action = rng.randrange(4)
            if action == 0:
                damaged = damaged[: rng.randrange(len(damaged) + 1)]
            elif action == 1:
                damaged += rng.randbytes(rng.randrange(64))
            elif action == 2 and damaged:
                damaged[rng.randrange(min(len(damaged), 24))] = rng.randrange(256)  # in the header
            elif damaged:
                at = rng.randrange(len(damaged))
                damaged[at : at + 8] = rng.randbytes(len(damaged[at : at + 8]))
        path.write_bytes(damaged)
        network = bounded(lambda: load(cfg, path))
        if network is not None:
            loaded += 1
            assert len(damaged) == len(data)
            assert all(parameter.isfinite().all() for parameter in network.parameters())
    assert loaded > 5


def test_random_bytes_are_no_cfg(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "a.cfg"
    for size in (0, 1, 10, 1000, 100_000):
        path.write_bytes(rng.bytes(size))
        assert bounded(lambda: load(path)) is None


def test_many_layers_that_all_refer_to_all_are_refused_soon():
    count = 400
    routes = "".join(section("route", layers=",".join(str(-i) for i in range(1, n + 1))) for n in range(1, count))
    assert bounded(lambda: DarknetNetwork(parse(net() + conv(64, 1) + routes))) is None
