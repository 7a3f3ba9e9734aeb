"""Damaged files of every kind: a result or one sentence, in bounded time and memory; never a crash.

A run of the tests reads the same few thousand damaged files each time. `make fuzz` goes on for FUZZ_SECONDS with each
kind, from other random numbers each time. What fails is kept in the folder `fuzz-failures`.
"""

import os
import random
import resource
import time
import traceback
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest

from detect.darknet.cfg import parse
from detect.darknet.network import DarknetNetwork, load
from detect.errors import UserError
from tests.fuzz.kinds import KINDS
from tests.small_nets import conv, net, section

LONG = float(os.environ.get("FUZZ_SECONDS", 0))  # of each kind
SECONDS = 5.0  # of the processor, for one file, with plenty to spare
FAILURES = Path("fuzz-failures")
MOST_FAILURES = 5

pytestmark = pytest.mark.usefixtures("one_thread")


def refuses(read, path, most_memory=256 << 20):
    """Read a file; whether it is refused, by a `UserError` of one line. Time and memory are bounded."""
    memory, start = _most_memory(), time.process_time()
    try:
        read(path)
    except UserError as error:
        assert len(str(error).splitlines()) == 1
        assert not {unicodedata.category(character) for character in str(error)} & {"Cc", "Cs"}
        assert len(str(error)) < 1000
        return True
    finally:
        assert time.process_time() - start < SECONDS
        assert _most_memory() - memory < most_memory
    return False


def _most_memory() -> int:
    """Bytes that this process has taken at the most, so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def _seeds(attempts: int) -> Iterator[int]:
    if not LONG:
        yield from range(attempts)
        return
    end, seed = time.monotonic() + LONG, random.SystemRandom().randrange(1 << 48)
    while time.monotonic() < end:
        yield seed
        seed += 1


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", KINDS)
def test_a_damaged_file_gives_a_result_or_one_sentence(name, tmp_path):
    if name == "onnx":
        for module in ("onnxruntime", "onnxscript"):
            pytest.importorskip(module, reason="needs the extra onnx")
    kind = KINDS[name]
    good, path = kind.good(tmp_path), tmp_path / f"damaged{kind.suffix}"
    path.write_bytes(good)
    if name != "labels":  # a set that was not made by our tool is refused as it is
        kind.read(path)
    refused, failures = [], []
    for seed in _seeds(kind.attempts):
        rng = random.Random(f"{name} {seed}")
        damaged = rng.choice(kind.mutations)(good, rng)
        path.write_bytes(damaged)
        try:
            refused.append(refuses(kind.read, path, kind.memory))
        except Exception:
            FAILURES.mkdir(exist_ok=True)
            kept = FAILURES / f"{name.replace(' ', '_')}-{seed}{kind.suffix}"
            kept.write_bytes(damaged)
            failures.append(f"{kept}\n{traceback.format_exc()}")
        if len(failures) == MOST_FAILURES:
            break
    assert not failures, f"{len(failures)} of {len(refused) + len(failures)}:\n" + "\n".join(failures)
    assert any(refused)  # the damage is done


# ---- what no random damage finds -----------------------------------------------------------------------------------


def test_random_bytes_are_no_cfg(tmp_path):
    path = tmp_path / "a.cfg"
    for size in (0, 1, 10, 1000, 100_000):
        path.write_bytes(random.Random(size).randbytes(size))
        assert refuses(load, path)


def test_many_layers_that_all_refer_to_all_are_refused_soon():
    count = 400
    routes = "".join(section("route", layers=",".join(str(-i) for i in range(1, n + 1))) for n in range(1, count))
    assert refuses(lambda text: DarknetNetwork(parse(text)), net() + conv(64, 1) + routes)
