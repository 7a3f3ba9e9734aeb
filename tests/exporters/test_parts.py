"""Every kind of part that a detector can be made of exports, and the engines compute what PyTorch does."""

import numpy as np
import pytest
import torch
from torch import nn

from detect import config
from detect.config.build import build_model
from detect.darknet.network import DarknetNetwork
from detect.exporters.formats import Request
from detect.exporters.graph import description, reference, write_onnx
from detect.exporters.parity import TOLERANCES, compare, require
from detect.inference.engines import open_exported
from detect.inference.torch_runtime import TorchRuntime
from detect.models.registry import NECKS
from detect.weights.files import Weights, read
from tests.small_nets import conv, make, net, section, yolo

pytestmark = pytest.mark.usefixtures("one_thread")

ANCHORS = {"TinyFPN": "coco6_tiny", "PRN": "coco6_tiny", "CEM": [[30, 30], [90, 60]]}  # of fewer than three scales
MODELS = {
    "CSPPeleeNet, EFM with SAM and SPP": ({"name": "CSPPeleeNet"}, {"name": "EFM", "sam": True, "spp": True}),
    "CSPPeleeNet with swish, PRN": ({"name": "CSPPeleeNet", "activation": "swish"}, {"name": "PRN"}),
    "CSPResNet10 of CompConv, FPN": ({"name": "CSPResNet10", "conv": {"name": "CompConv", "c0": 32}}, {"name": "FPN"}),
    "SPeleeNet, CEM": ({"name": "SPeleeNet"}, {"name": "CEM"}),
    "PeleeNeXt, GFM": ({"name": "PeleeNeXt"}, {"name": "GFM"}),
    "PPLCNet, FPN": ({"name": "PPLCNet"}, {"name": "FPN"}),
    "DarknetTiny, TinyFPN": ({"name": "DarknetTiny"}, {"name": "TinyFPN"}),
    "CSPDarknet53Tiny, EFM": ({"name": "CSPDarknet53Tiny"}, {"name": "EFM"}),
    "VoVNetV2, PANet": ({"name": "VoVNetV2-19SlimDW"}, {"name": "PANet"}),
    "CSPDenseNetRef, PRN": ({"name": "CSPDenseNetRef"}, {"name": "PRN"}),
    "CSPResNet10 with mish, FPN": ({"name": "CSPResNet10", "activation": "mish"}, {"name": "FPN"}),
}


def agree_in_engines(weights, path, size):
    """Export for `size` px and compare the maps with PyTorch's in both engines."""
    request = Request(size=size)
    runtime = reference(weights, request)
    write_onnx(path, runtime, description(weights, runtime, request, "f32"))
    squares = np.random.default_rng(0).integers(0, 255, (2, size, size, 3), dtype=np.uint8)
    for engine in ("onnx", "openvino"):
        tested = open_exported(path, engine, "f32")
        require(compare(tested, runtime, squares), TOLERANCES["f32"], tested)


@pytest.mark.parametrize(("backbone", "neck"), MODELS.values(), ids=MODELS)
def test_a_model_of_these_parts_agrees(backbone, neck, tmp_path):
    head = {"name": "YOLOv3", "anchors": ANCHORS.get(neck["name"], "coco9")}
    settings = config.from_dict({"model": {"backbone": backbone, "neck": neck, "head": head}}, source="the model")
    torch.manual_seed(0)
    network = build_model(settings, 2).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    weights = Weights.of(network, settings, [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}], "made up")
    agree_in_engines(weights, tmp_path / "net.onnx", 2 * network.stride)


def test_every_neck_is_among_them():
    assert {neck["name"] for _, neck in MODELS.values()} == set(NECKS.names())


DARKNET = {
    "two scales, shortcut, route, upsample": net(64, 64)
    + conv(8, stride=2)
    + conv(16, stride=2)
    + conv(16)
    + section("shortcut", from_=-2, activation="leaky")
    + conv(16, stride=2, activation="mish")
    + conv(32, size=1, activation="linear", batch_normalize=0)
    + yolo()
    + section("route", layers=-3)
    + section("upsample", stride=2)
    + section("route", layers="-1,3")
    + conv(32, size=1, activation="linear", batch_normalize=0)
    + yolo(scale_x_y=1.1),
    "pools, groups, new coordinates": net(64, 64)
    + conv(8, stride=2)
    + section("maxpool", size=2, stride=2)
    + section("maxpool", size=2, stride=1)
    + section("maxpool", size=5, stride=1)
    + conv(16, groups=2, activation="swish")
    + section("route", layers=-1, groups=2, group_id=1)
    + conv(32, size=1, activation="logistic", batch_normalize=0)
    + yolo(new_coords=1, scale_x_y=2),
}


@pytest.mark.parametrize("text", DARKNET.values(), ids=DARKNET)
def test_a_network_of_a_cfg_agrees(text, tmp_path):

    cfg, path = make(tmp_path, text)
    agree_in_engines(read(path, cfg=cfg), tmp_path / "net.onnx", 64)


def test_a_head_is_described_as_the_runtime_of_pytorch_decodes_it(tmp_path):
    """Candidates of the engine equal PyTorch's for Darknet's variants of a head, too."""

    cfg, path = make(tmp_path, DARKNET["pools, groups, new coordinates"])
    weights = read(path, cfg=cfg)
    runtime = reference(weights, Request(size=64))
    assert isinstance(runtime, TorchRuntime) and isinstance(weights.network, DarknetNetwork)
    write_onnx(tmp_path / "net.onnx", runtime, description(weights, runtime, Request(size=64), "f32"))
    squares = np.random.default_rng(0).integers(0, 255, (1, 64, 64, 3), dtype=np.uint8)
    (ours,), (theirs,) = open_exported(tmp_path / "net.onnx", "onnx")(squares, 0.2), runtime(squares, 0.2)
    assert len(theirs.boxes) > 10
    np.testing.assert_array_equal(ours.labels, theirs.labels)
    np.testing.assert_allclose(ours.boxes, theirs.boxes, rtol=1e-4, atol=1e-3)
