"""Stages of detecting: what is measured; how fast it is, is nobody's claim here."""

import numpy as np
import pytest
import torch

from detect.analysis.contenders import Contender
from detect.analysis.stages import STAGES, benchmark_postprocess, benchmark_stages, generated_image
from detect.config.read import load
from detect.errors import UserError
from detect.models.detector import build_detector
from detect.weights.files import Weights, write_safetensors
from tests.cli.command_line import answer, detect

pytestmark = pytest.mark.usefixtures("one_thread")


def assert_are_stages(measured, model):
    assert measured["model"] == model and measured["detections"] >= 0
    assert all(0 < measured[stage] < 60_000 for stage in STAGES)
    around = sum(measured[stage] for stage in set(STAGES) - {"forward"})
    assert measured["overhead"] == pytest.approx(around / measured["forward"])
    assert measured["images_per_second"] == pytest.approx(1000 / (around + measured["forward"]))


def test_decoding_and_nms_are_measured_alone():
    measured = benchmark_postprocess(rounds=1)
    assert measured.keys() == {"0.25", "0.001"}
    assert all(of.keys() == {"candidates", "ms"} and of["ms"] > 0 for of in measured.values())
    assert 50 < measured["0.25"]["candidates"] < 150
    assert 10_000 <= measured["0.001"]["candidates"] < 10_500


def test_the_measured_image_is_always_the_same():
    first, second = (generated_image(np.random.default_rng(0)) for _ in range(2))
    assert first.dtype == np.uint8 and first.shape == (480, 640, 3)
    np.testing.assert_array_equal(first, second)


def test_stages_of_random_weights(small_cfg):
    measured = benchmark_stages(Contender("small", small_cfg, device="cpu"), rounds=2)
    assert_are_stages(measured, "small")
    assert measured["engine"] == "PyTorch on cpu" and measured["size"] == 32


def test_stages_of_given_weights_at_a_given_size(small_backbone, tmp_path):
    torch.manual_seed(0)
    recipe = tmp_path / "r.yaml"
    recipe.write_text(
        "model: {backbone: {name: Small}, neck: {name: EFM, widths: [8, 8, 8]}, head: {name: YOLOv3}}\n"
        "input: {size: 64}\ntrain: {steps: 1}\n"
    )
    settings = load(recipe)
    network, categories = build_detector(vars(settings.model), 1), [{"id": 5, "name": "b"}]
    write_safetensors(tmp_path / "w.safetensors", Weights.of(network, settings, categories, tmp_path))
    measured = benchmark_stages(Contender("w", str(tmp_path / "w.safetensors"), size=96, device="cpu"), rounds=1)
    assert_are_stages(measured, "w")
    assert measured["size"] == 96


def test_missing_weights_are_the_users_mistake(tmp_path):
    with pytest.raises(UserError, match=r"none\.pt"):
        benchmark_stages(Contender("x", str(tmp_path / "none.pt")), rounds=1)


def test_the_command_measures_every_model(small_cfg):
    result = answer("benchmark", small_cfg, f"{small_cfg}:onnx", "--stages", "--rounds", 1, "--device", "cpu")
    assert result.keys() == {"machine", "stages", "postprocess"}
    for measured in result["stages"]:
        assert_are_stages(measured, "small")
    assert [of["engine"] for of in result["stages"]] == ["PyTorch on cpu", "ONNX Runtime on the CPU, f32"]
    ran = detect("benchmark", small_cfg, "--stages", "--rounds", 1, "--device", "cpu")
    assert ran.status == 0 and "letterbox ms" in ran.out and "10292 candidates" in ran.out
