"""Peak memory, of a process of its own."""

import numpy as np
import pytest

from detect.analysis.contenders import Contender
from detect.analysis.memory import peak_memory


def test_it_is_that_of_a_fresh_process(foreign_onnx, tmp_path):
    pytest.importorskip("onnxruntime")
    ballast = np.ones(5 * 10**8, np.uint8)  # of this process: must not count
    of = Contender("f", foreign_onnx(), "onnx", "f32", threads=1)
    measured = peak_memory(of, tmp_path)
    if measured is None:
        pytest.skip("this system does not tell")
    assert ballast[-1] == 1 and 20 < measured < 400
    large = Contender("f", foreign_onnx((1, 40, 1024, 1024)), "onnx", "f32", threads=1)  # 168 MB of input
    assert peak_memory(large, tmp_path) > measured + 160


def test_a_process_that_fails_tells_nothing(tmp_path):
    assert peak_memory(Contender("f", str(tmp_path / "none.onnx"), "onnx", "f32", threads=1), tmp_path) is None
