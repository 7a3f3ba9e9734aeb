"""A timm model as a backbone: the same contract, no network where no weights are wanted."""

import socket
import sys

import pytest
import torch
import yaml
from torch.testing import assert_close

from detect.cli.main import main
from detect.errors import PartError
from detect.models.detector import build_detector
from detect.models.registry import BACKBONES

timm = pytest.importorskip("timm", reason="needs the extra timm")


@pytest.mark.parametrize("model", ["lcnet_050", "resnet10t", "mobilenetv3_small_050", "convnext_atto"])
def test_pyramid_has_the_channels_and_strides_it_shows(model):
    backbone = BACKBONES.build({"name": "Timm", "model": model}).eval()
    with torch.no_grad():
        pyramid = backbone(torch.rand(1, 3, 64, 96))
    assert [tuple(x.shape) for x in pyramid] == [
        (1, c, 64 // s, 96 // s) for c, s in zip(backbone.channels, (4, 8, 16, 32), strict=True)
    ]


def test_images_are_normalised_as_the_model_was_trained():
    backbone = BACKBONES.build({"name": "Timm", "model": "lcnet_050"}).eval()
    images = torch.rand(1, 3, 64, 64)
    mean, std = (torch.tensor(backbone.net.default_cfg[name]).view(1, 3, 1, 1) for name in ("mean", "std"))
    with torch.no_grad():
        assert_close(backbone(images)[-1], backbone.net((images - mean) / std)[-1])


def test_a_detector_of_it_trains_loads_from_meta_and_exports():
    parts = {"backbone": {"name": "Timm", "model": "lcnet_050"}, "neck": {"name": "EFM"}, "head": {"name": "YOLOv3"}}
    model = build_detector(parts, 2)
    sum(x.square().mean() for x in model(torch.rand(2, 3, 64, 64))).backward()
    assert all(p.grad is not None for p in model.parameters())
    model.eval()
    with torch.device("meta"):
        loaded = build_detector(parts, 2)
    loaded.load_state_dict(model.state_dict(), assign=True)
    images = torch.rand(1, 3, 64, 64)
    program = torch.export.export(model, (images,), strict=False).module()
    with torch.no_grad():
        for x, y, z in zip(model(images), loaded.eval()(images), program(images), strict=True):
            assert_close(y, x)
            assert_close(z, x, rtol=1e-4, atol=1e-5)


def test_checking_or_counting_a_configuration_with_pretrained_weights_asks_no_network(monkeypatch, tmp_path):
    def refuse(*_):
        raise AssertionError("asked the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    pretrained = {"name": "Timm", "model": "lcnet_050", "pretrained": True}
    with torch.device("meta"):
        BACKBONES.build(pretrained)
    (tmp_path / "timm.yaml").write_text(yaml.safe_dump({"model": {"backbone": pretrained}}))
    assert main(["profile", str(tmp_path / "timm.yaml")]) == 0


def test_weights_that_cannot_be_fetched_are_one_sentence(monkeypatch):
    def offline(*_, **__):
        raise FileNotFoundError("cannot find the requested files in the local cache")

    monkeypatch.setattr(timm, "create_model", offline)
    message = "timm cannot fetch the weights of lcnet_050; go online once, or set pretrained"
    with pytest.raises(PartError, match=message) as caught:
        BACKBONES.build({"name": "Timm", "model": "lcnet_050", "pretrained": True})
    assert caught.value.option == "pretrained"


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("hf-hub:someone/model", "'hf-hub:someone/model' is no name of timm's list"),
        ("../lcnet_050", "is no name of timm's list"),
        ("lcnet_051", "Unknown model \\(lcnet_051\\)"),
        ("lcnet_050.no_such_tag", "Invalid pretrained tag \\(no_such_tag\\)"),
        ("swin_tiny_patch4_window7_224", "has maps \\[B, H, W, C\\]; a backbone needs \\[B, C, H, W\\]"),
        ("vit_tiny_patch16_224", "has maps at the strides \\[16, 16, 16\\]; a backbone needs \\[4, 8, 16, 32\\]"),
    ],
)
def test_models_that_cannot_serve_are_refused(model, message):
    with pytest.raises(PartError, match=message) as caught:
        BACKBONES.build({"name": "Timm", "model": model})
    assert caught.value.option == "model"


def test_without_timm_the_part_as_a_whole_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(PartError, match=r"timm is not installed; pip install 'csp-detect\[timm\]'") as caught:
        BACKBONES.build({"name": "Timm"})
    assert caught.value.option is None
