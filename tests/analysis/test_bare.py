"""Networks alone: what they are fed, what they say of themselves, and what they refuse."""

from pathlib import Path

import numpy as np
import pytest

from detect.analysis import bare
from detect.analysis.bare import ONNXNetwork, OpenVINONetwork, random_input
from detect.errors import UserError

NETWORKS = pytest.mark.parametrize("network_type", [OpenVINONetwork, ONNXNetwork])


def mean_of(network):
    """What the foreign .onnx computes: the mean of the network's input."""
    outputs = network.run()
    return float(np.asarray(outputs[0]))


@pytest.mark.parametrize(
    ("dtype", "low", "high"), [("uint8", 100, 155), ("float32", 0.3, 0.7), ("float16", 0.3, 0.7), ("int64", 1, 1)]
)
def test_an_input_is_noise_as_of_an_image_of_its_type(dtype, low, high):
    made = random_input((1, 3, 32, 32), np.dtype(dtype))
    assert made.dtype == dtype and made.shape == (1, 3, 32, 32) and low <= made.mean() <= high
    np.testing.assert_array_equal(made, random_input((1, 3, 32, 32), np.dtype(dtype)))


@NETWORKS
@pytest.mark.parametrize(
    ("shape", "dtype", "size", "mean"),
    [((1, 3, 32, 48), "FLOAT", 32, 0.5), ((1, 64, 64, 3), "UINT8", 64, 127.5), (("n", 3, 64, 64), "FLOAT", 64, 0.5)],
)
def test_a_file_of_another_tool_gets_an_input_of_its_own_shape_and_type(
    network_type, shape, dtype, size, mean, foreign_onnx
):
    network = network_type(foreign_onnx(shape, dtype), "f32", threads=1)
    assert network.size == size and network.precision == "f32" and network.threads == 1
    assert mean_of(network) == pytest.approx(mean, rel=0.05)


@NETWORKS
def test_an_open_size_is_what_is_asked_for(network_type, foreign_onnx):
    path = foreign_onnx((1, 3, "height", "width"))
    assert network_type(path, "f32", 1, size=96).size == 96
    with pytest.raises(UserError, match=r"foreign\.onnx: leaves the size of its input open"):
        network_type(path, "f32", 1)


@NETWORKS
def test_several_images_at_once_are_refused(network_type, foreign_onnx):
    with pytest.raises(UserError, match="takes 4 images at once"):
        network_type(foreign_onnx((4, 3, 32, 32)), "f32", 1)


@NETWORKS
def test_a_file_that_was_cut_off_is_one_sentence(network_type, foreign_onnx, tmp_path):
    cut = tmp_path / "cut.onnx"
    cut.write_bytes(Path(foreign_onnx()).read_bytes()[:-30])
    with pytest.raises(UserError, match=r"cut\.onnx: .*cut off"):
        network_type(cut, "f32", 1)


def test_whole_numbers_in_a_file_are_seen(foreign_xml):
    assert OpenVINONetwork(foreign_xml(), "f32", 1).precision == "f32"
    network = OpenVINONetwork(foreign_xml(quantised=True), "f32", 1)
    assert network.is_int8 and network.precision == "int8+f32"


def test_auto_takes_the_precision_that_was_measured_fastest(foreign_xml, monkeypatch):
    monkeypatch.setattr(bare, "precisions", lambda core: ["f32", "bf16"])
    for fastest in ("f32", "bf16"):
        monkeypatch.setattr(bare, "measured", lambda runs, fastest=fastest: {of: float(of != fastest) for of in runs})
        assert OpenVINONetwork(foreign_xml(), "auto", 1).precision == fastest


def test_a_precision_that_is_not_there_is_refused(foreign_xml, foreign_onnx, monkeypatch):
    monkeypatch.setattr(bare, "precisions", lambda core: ["f32"])
    with pytest.raises(UserError, match="cannot be computed in bf16 on this machine; it can in f32"):
        OpenVINONetwork(foreign_xml(), "bf16", 1)
    with pytest.raises(UserError, match="ONNX Runtime computes in the numbers of the file"):
        ONNXNetwork(foreign_onnx(), "bf16", 1)


def test_openvino_tells_the_time_of_the_layers_that_it_executed(foreign_xml):
    layers = OpenVINONetwork(foreign_xml(), "f32", 1).layers(rounds=3)
    assert any(layer.kind.startswith("Convolution ") for layer in layers)
    assert all(0 < layer.ms < 1000 for layer in layers)
