"""What OpenVINO leaves in the process that it runs in."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from detect.errors import UserError
from detect.inference.openvino_runtime import compiled, import_openvino

SIGNAL = """
import gc, signal
from pathlib import Path
from detect.inference.openvino_runtime import compiled, read_model, the_core

def network(path):
    core = the_core()
    return compiled(core, read_model(core, path), path, "f32", threads=1)

first, second = network(Path({path!r})), network(Path({path!r}))
del first
gc.collect()
del second
gc.collect()
signal.signal(signal.SIGINT, lambda *_: print("handled"))
signal.raise_signal(signal.SIGINT)
"""


FIRST_CALLS = """
import os, sys, threading
from pathlib import Path
import numpy as np
from detect.inference.openvino_runtime import compiled, read_model, the_core

path, threads = Path({path!r}), 8
model = read_model(the_core(), path)
requests = [compiled(the_core(), model, path, "f32", threads=1).create_infer_request() for _ in range(threads)]
at_once = threading.Barrier(threads)
sys.setswitchinterval(1e-6)

def call(request):
    at_once.wait()
    request.start_async([np.zeros((1, 3, 8, 8), np.float32)])
    request.wait()
    assert request.output_tensors[0].data.shape == (1, 3, 8, 8)

calls = [threading.Thread(target=call, args=(request,)) for request in requests]
[call.start() for call in calls]
[call.join() for call in calls]
print("done")
"""
ONE_CORE = """
import sys, threading
from concurrent.futures import ThreadPoolExecutor
from detect.inference.openvino_runtime import the_core

sys.setswitchinterval(1e-6)
at_once = threading.Barrier(8)
with ThreadPoolExecutor(8) as pool:
    cores = list(pool.map(lambda _: at_once.wait() and None or the_core(), range(8)))
print(len(set(map(id, cores))))
"""


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    """The path of a small network."""
    path = tmp_path_factory.mktemp("net") / "net.xml"
    openvino = import_openvino()
    from openvino import opset13 as ops

    images = ops.parameter([1, 3, 8, 8])
    openvino.save_model(openvino.Model([ops.relu(images)], [images]), path)
    return path


def fresh(code):
    """What a process of its own prints, which is to end by itself."""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_a_signal_is_handled_after_networks_came_and_went(net):
    assert fresh(SIGNAL.format(path=str(net))) == "handled\n"


def test_first_calls_in_several_threads_do_not_wait_for_each_other_for_ever(net):
    """Of processes that were not prepared for it one in five hung."""
    codes = [FIRST_CALLS.format(path=str(net))] * 6
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(fresh, codes)) == ["done\n"] * 6


def test_threads_that_begin_at_once_share_one_core():
    assert fresh(ONE_CORE) == "1\n"


class BusyFolder:
    """A Core that fails where compiled networks are kept, as when two processes write the same one at once."""

    def __init__(self, fails_always=False):
        self.fails_always, self.calls = fails_always, []

    def compile_model(self, model, device, options):
        self.calls.append(dict(options))
        if self.fails_always or "CACHE_DIR" in options:
            raise RuntimeError("Exception from core.cpp:117:\ncannot set permissions: No such file or directory")
        return "network"


def test_a_compiled_network_that_cannot_be_kept_is_done_without():
    core = BusyFolder()
    assert compiled(core, None, Path("a.xml"), "f32", threads=1, streams=2, CACHE_DIR="kept") == "network"
    assert [("CACHE_DIR" in options, options["NUM_STREAMS"]) for options in core.calls] == [(True, 2), (False, 2)]
    with pytest.raises(UserError, match=r"a\.xml: OpenVINO cannot run it .*cannot set permissions"):
        compiled(BusyFolder(fails_always=True), None, Path("a.xml"), "f32", CACHE_DIR="kept")
