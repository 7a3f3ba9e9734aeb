"""What OpenVINO leaves in the process that it runs in."""

import subprocess
import sys

from detect.inference.openvino_runtime import import_openvino

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
    openvino = import_openvino()
    from openvino import opset13 as ops

    images = ops.parameter([1, 3, 8, 8])
    openvino.save_model(openvino.Model([ops.relu(images)], [images]), tmp_path / "net.xml")
    code = SIGNAL.format(path=str(tmp_path / "net.xml"))
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (0, "handled\n"), ran.stderr
