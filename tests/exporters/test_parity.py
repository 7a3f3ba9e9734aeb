"""The gate: a file that differs from PyTorch does not come to be, and nothing else is touched."""

import pytest
import torch

from detect.errors import UserError
from detect.exporters.graph import description, reference, write_onnx
from detect.exporters.parity import TOLERANCES, Agreement, agreeing, require
from detect.exporters.photos import to_compare
from detect.inference.engines import open_exported
from detect.weights.files import Weights


@pytest.fixture
def wrong(weights):
    """Weights of which one number in the last scale's prediction is another."""
    import copy

    network = copy.deepcopy(weights.network)
    with torch.no_grad():
        network.head.predictions[2].bias[4] += 3
    return Weights.of(network, weights.settings, weights.categories, "wrong.pt")


@pytest.mark.parametrize("suffix", [".onnx", ".xml"])
def test_a_wrong_file_is_refused_and_says_where(weights, wrong, request_on, tmp_path, suffix):
    from detect.exporters.openvino import as_openvino, save

    path = tmp_path / f"net{suffix}"
    path.write_text("an older file")
    runtime, other = (reference(of, request_on()) for of in (weights, wrong))
    exported = description(weights, runtime, request_on(), "f32")
    with (
        pytest.raises(UserError, match=r"differs from PyTorch by .* maps of stride 32 .*no file was written"),
        agreeing(path, weights, runtime, request_on()) as made,
    ):
        if suffix == ".onnx":
            write_onnx(made, other, exported)
        else:
            save(made, as_openvino(made, other, exported), exported)
    assert path.read_text() == "an older file"
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_a_stop_leaves_nothing(weights, request_on, tmp_path):
    with (
        pytest.raises(KeyboardInterrupt),
        agreeing(tmp_path / "net.onnx", weights, reference(weights, request_on()), request_on()) as made,
    ):
        made.write_bytes(b"half a file")
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_without_an_engine_the_file_is_written_and_that_is_said(weights, request_on, tmp_path, monkeypatch):
    monkeypatch.setattr("detect.exporters.parity.find_spec", lambda name: None)
    said = []
    request = request_on(log=said.append)
    runtime = reference(weights, request)
    with agreeing(tmp_path / "net.onnx", weights, runtime, request) as made:
        write_onnx(made, runtime, description(weights, runtime, request, "f32"))
    assert said == ["not compared with PyTorch: no engine that runs it is installed"]
    assert (tmp_path / "net.onnx").is_file()


def test_a_folder_that_is_none_is_one_sentence(weights, request_on, tmp_path):
    (tmp_path / "taken").write_text("")
    with (
        pytest.raises(UserError, match="cannot be written"),
        agreeing(tmp_path / "taken" / "net.onnx", weights, reference(weights, request_on()), request_on()),
    ):
        pass


def test_numbers_of_another_file_are_not_replaced(weights, request_on, tmp_path):
    (tmp_path / "net.bin").write_bytes(b"somebody's")
    with (
        pytest.raises(UserError, match=r"net\.bin: is there already and belongs to something else"),
        agreeing(tmp_path / "net.xml", weights, reference(weights, request_on()), request_on()),
    ):
        pass
    assert (tmp_path / "net.bin").read_bytes() == b"somebody's"


@pytest.mark.parametrize(
    ("precision", "sure", "found", "passes"),
    [("f32", 3, 3, True), ("f32", 3, 2, False), ("bf16", 3, 2, True), ("bf16", 3, 1, False), ("bf16", 100, 84, False)],
)
def test_sure_detections_must_be_found_again(weights, request_on, tmp_path, precision, sure, found, passes):
    runtime = reference(weights, request_on())
    write_onnx(tmp_path / "net.onnx", runtime, description(weights, runtime, request_on(), "f32"))
    tested = open_exported(tmp_path / "net.onnx", "onnx")
    agreement = Agreement((0.0,) * 3, sure, found)
    if passes:
        require(agreement, TOLERANCES[precision], tested)
    else:
        with pytest.raises(UserError, match=f"finds {found} of PyTorch's {sure} detections"):
            require(agreement, TOLERANCES[precision], tested)


def test_what_holds_no_images_to_compare_with_is_one_sentence(tmp_path):
    (tmp_path / "clip.mp4").write_bytes(b"0")
    with pytest.raises(UserError, match=r"clip\.mp4: holds no images to compare with; give photos"):
        to_compare(tmp_path / "clip.mp4")
