"""Files of other tools and a detector of few layers, for the benchmarks."""

import numpy as np
import pytest

from detect.inference.openvino_runtime import import_openvino
from tests.small_nets import conv, net, yolo


@pytest.fixture
def foreign_onnx(tmp_path):
    """Writes an .onnx as another tool would: a mean over an input of the given shape and type."""
    onnx = pytest.importorskip("onnx")
    helper, types = onnx.helper, onnx.TensorProto

    def write(shape=(1, 3, 32, 48), dtype="FLOAT", name="foreign.onnx"):
        images = helper.make_tensor_value_info("images", getattr(types, dtype), shape)
        out = helper.make_tensor_value_info("out", types.FLOAT, None)
        nodes = [
            helper.make_node("Cast", ["images"], ["floats"], to=types.FLOAT),
            helper.make_node("ReduceMean", ["floats"], ["out"], keepdims=0),
        ]
        model = helper.make_model(
            helper.make_graph(nodes, "foreign", [images], [out]),
            opset_imports=[helper.make_opsetid("", 17)],
            ir_version=8,
        )
        onnx.save(model, tmp_path / name)
        return str(tmp_path / name)

    return write


@pytest.fixture
def foreign_xml(tmp_path):
    """Writes an .xml with its .bin: a convolution in floats, or of a FakeQuantize as NNCF's files have it."""
    openvino = import_openvino()
    from openvino import opset13 as ops

    def write(quantised=False, name="foreign.xml"):
        images = ops.parameter([1, 3, 32, 32], np.float32, name="images")
        last = images
        if quantised:
            low, high = ops.constant(np.float32(0)), ops.constant(np.float32(1))
            last = ops.fake_quantize(images, low, high, low, high, 256)
        kernel = ops.constant(np.ones((4, 3, 3, 3), np.float32))
        last = ops.convolution(last, kernel, [1, 1], [1, 1], [1, 1], [1, 1], name="the_convolution")
        openvino.save_model(openvino.Model([ops.relu(last)], [images]), tmp_path / name, compress_to_fp16=False)
        return str(tmp_path / name)

    return write


@pytest.fixture
def small_cfg(tmp_path):
    """Path of a .cfg with two layers and 3 classes, 32 px."""
    path = tmp_path / "small.cfg"
    path.write_text(net(32, 32) + conv(8, stride=2) + conv(32, size=1, activation="linear", batch_normalize=0) + yolo())
    return str(path)
