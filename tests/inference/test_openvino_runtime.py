"""What OpenVINO leaves in the process that it runs in."""

import subprocess
import sys

import pytest

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


def test_a_signal_is_handled_after_networks_came_and_went(tmp_path):
    openvino = pytest.importorskip("openvino")
    images = openvino.opset13.parameter([1, 3, 8, 8])
    openvino.save_model(openvino.Model([openvino.opset13.relu(images)], [images]), tmp_path / "net.xml")
    code = SIGNAL.format(path=str(tmp_path / "net.xml"))
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (0, "handled\n"), ran.stderr
