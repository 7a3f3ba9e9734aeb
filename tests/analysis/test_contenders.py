"""Models as users name them, and what is measured for each."""

import numpy as np
import pytest
import yaml

from detect.analysis.bare import ONNXNetwork, OpenVINONetwork, TorchNetwork
from detect.analysis.contenders import Contender, contender, exported, open_network, open_runtime, weights_of
from detect.errors import UserError

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def recipe(small_backbone, tmp_path):
    path = tmp_path / "recipe.yaml"
    head = {"name": "YOLOv3", "anchors": "coco9"}
    model = {"backbone": {"name": small_backbone}, "neck": {"name": "EFM", "widths": [8, 8, 8]}, "head": head}
    path.write_text(yaml.safe_dump({"model": model, "input": {"size": 64}, "train": {"steps": 1}}))
    return str(path)


@pytest.mark.parametrize(
    ("words", "engine", "precision"),
    [
        ("", "auto", "auto"),
        (":openvino", "openvino", "auto"),
        (":bf16", "auto", "bf16"),
        (":openvino:int8", "openvino", "int8"),
        (":f32:torch", "torch", "f32"),
    ],
)
def test_a_model_is_named_with_its_engine_and_precision(small_cfg, words, engine, precision):
    of = contender(small_cfg + words, threads=1)
    assert (of.name, of.path, of.engine, of.precision, of.threads) == ("small", small_cfg, engine, precision, 1)


def test_what_a_name_says_wins_over_what_is_said_for_all(small_cfg):
    of = contender(f"{small_cfg}:onnx", engine="openvino", precision="f32")
    assert (of.engine, of.precision) == ("onnx", "f32")


def test_a_file_whose_name_has_a_colon_is_that_file(tmp_path):
    (tmp_path / "net:f32").mkdir()
    assert contender(str(tmp_path / "net:f32")).path == str(tmp_path / "net:f32")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("none.xml", "none.xml: no such file"),
        ("none.yaml:f32", "none.yaml: no such file"),
        ("yolov4-tniy", "yolov4-tniy: no such file.*did you mean 'yolov4-tiny'"),
        ("x.pt:bf17", "'bf17' is neither an engine nor a precision; did you mean 'bf16'"),
        ("x.pt:f32:bf16", "x.pt:f32:bf16: says precision twice"),
    ],
)
def test_a_name_that_is_wrong_is_one_sentence(text, words):
    with pytest.raises(UserError, match=words):
        contender(text)


def test_a_configuration_gets_random_weights_that_are_always_the_same(recipe):
    first, second = (weights_of(Contender("r", recipe)).network.state_dict() for _ in range(2))
    assert all((first[name] == second[name]).all() for name in first)
    assert len(weights_of(Contender("r", recipe)).categories) == 80


def test_settings_of_a_configuration_can_be_changed(recipe):
    weights = weights_of(Contender("r", recipe, overrides=("input.size=96",)))
    assert weights.settings.input.size == 96


def test_a_configuration_runs_in_pytorch_by_default(recipe):
    network = open_network(Contender("r", recipe, threads=1, device="cpu"))
    assert isinstance(network, TorchNetwork)
    assert (network.engine, network.precision, network.size, network.threads) == ("torch", "f32", 64, 1)
    assert [level.shape for level in network.run()] == [(1, 255, 8, 8), (1, 255, 4, 4), (1, 255, 2, 2)]
    assert open_network(Contender("r", recipe, size=96, device="cpu")).size == 96


@pytest.mark.parametrize(
    ("engine", "network_type", "suffix"), [("openvino", OpenVINONetwork, ".xml"), ("onnx", ONNXNetwork, ".onnx")]
)
def test_a_configuration_is_exported_for_another_engine(small_cfg, engine, network_type, suffix, tmp_path):
    (tmp_path / "made").mkdir()
    of = exported(Contender("small", small_cfg, engine, "f32", threads=1), tmp_path / "made")
    assert of.path.endswith(suffix) and of.name == "small"
    network = open_network(of)
    assert isinstance(network, network_type) and network.size == 32 and network.precision == "f32"
    ours = open_network(Contender("small", small_cfg, device="cpu")).run()
    theirs = list(network.run().values() if engine == "openvino" else network.run())
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b.transpose(0, 3, 1, 2), atol=1e-3)
    runtime, predict = open_runtime(of)
    assert len(runtime.names) == 3 and predict.keys() >= {"min_score", "nms"}


def test_a_configuration_is_quantised_where_int8_is_asked_for(small_cfg, tmp_path, capsys):
    pytest.importorskip("nncf")
    (tmp_path / "made").mkdir()
    of = exported(Contender("small", small_cfg, "openvino", "int8", threads=1), tmp_path / "made")
    assert open_network(of).precision.startswith("int8+")
    assert not capsys.readouterr().out


def test_what_needs_no_export_stays_as_it_is(recipe, foreign_xml, tmp_path):
    for of in (Contender("r", recipe), Contender("r", recipe, "torch"), Contender("f", foreign_xml(), "openvino")):
        assert exported(of, tmp_path) is of


@pytest.mark.parametrize(
    ("engine", "precision", "words"),
    [
        ("auto", "bf16", "r:bf16: PyTorch computes in f32; add :openvino"),
        ("torch", "int8", "r:int8: PyTorch computes in f32"),
        ("onnx", "int8", "int8 is computed by OpenVINO here"),
    ],
)
def test_a_precision_that_an_engine_lacks_is_one_sentence(recipe, engine, precision, words, tmp_path):
    with pytest.raises(UserError, match=words):
        open_network(exported(Contender("r", recipe, engine, precision), tmp_path))


def test_int8_of_a_file_in_floats_is_refused(foreign_xml):
    of = Contender("f", foreign_xml(), precision="int8", threads=1)
    with pytest.raises(UserError, match="f:int8: holds no int8"):
        open_network(of)


def test_an_engine_that_does_not_run_a_file_is_one_sentence(foreign_xml):
    with pytest.raises(UserError, match=r"onnx: does not run \.xml files"):
        open_network(Contender("f", foreign_xml(), "onnx"))


def test_a_file_of_another_tool_has_no_stages(foreign_xml):
    with pytest.raises(UserError, match="was not exported by this package"):
        open_runtime(Contender("f", foreign_xml()))
