"""A .weights file in models of ours: published numbers give the recorded outputs, and what is taken is what fits."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from detect import config, darknet
from detect.darknet import cfg, weights
from detect.darknet.layers import Convolution
from detect.darknet.network import DarknetNetwork
from detect.darknet.writer import cfg_of
from detect.errors import UserError
from detect.exporters.darknet import write_darknet
from detect.exporters.formats import Request
from detect.models.classifier import Classifier
from detect.models.layers import ConvNormAct
from detect.models.registry import BACKBONES
from detect.weights.files import Weights
from tests.models.seeded import randomise_norms

CONFIGS = Path(__file__).parents[2] / "configs"


def settings_of(name, *overrides):
    return config.load(CONFIGS / f"{name}.yaml", list(overrides), needs_data=False)


def built(name, num_classes, *overrides, seed=1):
    torch.manual_seed(seed)
    return config.build_model(settings_of(name, *overrides), num_classes).eval()


def file_of(tmp_path, name, num_classes):
    """(a detector of a shipped configuration with random numbers, its .weights)"""
    network = built(name, num_classes, seed=0)
    randomise_norms(network)
    categories = [{"id": i, "name": f"thing {i}"} for i in range(num_classes)]
    weights = Weights.of(network, settings_of(name), categories, Path(name))
    path, *_ = write_darknet(tmp_path / "net.weights", weights, Request())
    return network, path


def random_images(size=64):
    return torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(1))


def assert_equal_maps(ours, theirs, atol=1e-4):
    for x, y in zip(ours, theirs, strict=True):
        assert_close(x, y, rtol=1e-4, atol=atol)


def by_size(maps):
    return sorted(maps, key=lambda x: x.shape[-1])


# ---- published nets ------------------------------------------------------------------------------------------------


def published(shared, tmp_path, name):
    """(golden, .weights, images) of a net whose numbers random_weights.py makes."""
    folder = shared / "darknet"
    golden = np.load(folder / "golden" / f"{name}.npz")
    path = tmp_path / f"{name}.weights"
    command = [sys.executable, folder / "random_weights.py", folder / f"{name}.cfg", path, "--seed", golden["seed"]]
    subprocess.run([str(word) for word in command], check=True)
    return golden, path, torch.from_numpy(golden["rgb"]).permute(2, 0, 1)[None].float() / 255


@pytest.mark.parametrize(("name", "backbone"), [("csresnet50", "CSPResNet50"), ("csresnext50", "CSPResNeXt50")])
def test_named_classifiers_take_the_weights_and_give_the_recorded_outputs(shared, tmp_path, name, backbone):
    golden, path, images = published(shared, tmp_path, name)
    model = Classifier(BACKBONES.build({"name": backbone}), 1000)
    assert darknet.load_weights(model, path) == f"60 of 60 convolutions from {path}"
    with torch.no_grad():
        scores = model.eval()(images).softmax(1)
    assert_close(scores.flatten(), torch.from_numpy(golden["out0"]).flatten(), rtol=0, atol=1e-4)
    assert_close(scores.flatten() * 1000, torch.from_numpy(golden["out0"]).flatten() * 1000, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "settings", "convolutions"),
    [("yolov3-tiny-prn", "yolov3_tiny_prn", 13), ("csresnext50-panet-spp", "cspresnext50_panet_spp", 97)],
)
def test_named_detectors_take_the_weights_and_give_what_the_cfg_gives(shared, tmp_path, name, settings, convolutions):
    _, path, images = published(shared, tmp_path, name)
    model = config.build_model(config.load(CONFIGS / f"{settings}.yaml", needs_data=False), 80)
    report = darknet.load_weights(model, path)
    assert report == f"{convolutions} of {convolutions} convolutions from {path}"
    network = darknet.load(shared / "darknet" / f"{name}.cfg", path)  # equal to the goldens: test_equal_to_opencv
    with torch.no_grad():
        ours, theirs = by_size(model.eval()(images)), by_size(network(images))
    for x, y in zip(ours, theirs, strict=True):
        assert_close(x, y, rtol=1e-4, atol=1e-3)


def test_first_layers_are_taken_from_a_file_that_holds_no_more(shared, tmp_path):
    """As csresnext50.conv.80 for CSPResNeXt50-PANet-SPP."""
    _, path, images = published(shared, tmp_path, "csresnext50")
    cfg = shared / "darknet" / "csresnext50.cfg"
    first = tmp_path / "csresnext50.conv.80"
    whole = darknet.load(cfg, path)
    weights.write(first, whole, cutoff=81)  # layers 0 to 80
    torch.manual_seed(0)
    model = config.build_model(config.load(CONFIGS / "cspresnext50_panet_spp_320.yaml", needs_data=False), 80)
    head = model.head.predictions[0].weight.clone()
    assert darknet.load_weights(model, first) == f"59 of 97 convolutions from {first}"
    assert_close(model.head.predictions[0].weight, head, rtol=0, atol=0)
    classifier = Classifier(BACKBONES.build({"name": "CSPResNeXt50"}), 1000)
    darknet.load_weights(classifier, path)
    with torch.no_grad():
        assert_close(model.backbone.eval()(images)[-1], classifier.backbone.eval()(images)[-1], rtol=0, atol=0)


def test_published_yolov4_tiny_gives_what_its_cfg_gives_and_what_is_taken_is_said(shared):
    folder = shared / "weights"
    path = folder / "yolov4-tiny.weights"
    ours = built("yolov4_tiny", 80)
    assert darknet.load_weights(ours, path) == f"21 of 21 convolutions from {path}"
    network = darknet.load(folder / "yolov4-tiny.cfg", path)
    with torch.no_grad():
        assert_equal_maps(by_size(ours(random_images(416))), by_size(network(random_images(416))))


def test_yolov4_tiny_trains_as_its_cfg_says(shared):
    """But for the anchor that no scale uses, and for what a .cfg does not say."""
    ours = config.to_dict(settings_of("yolov4_tiny"))
    theirs = config.to_dict(config.load(shared / "weights" / "yolov4-tiny.cfg", needs_data=False))
    ours["train"]["workers"] = theirs["train"]["workers"]
    for section in ("input", "train", "augment", "loss", "predict"):
        assert ours[section] == theirs[section]


# ---- what fits is taken --------------------------------------------------------------------------------------------


def test_of_a_file_with_other_classes_all_but_the_last_layers_are_taken(tmp_path):
    source, path = file_of(tmp_path, "yolov4_tiny", 3)
    ours = built("yolov4_tiny", 2)
    head = [conv.weight.clone() for conv in ours.head.predictions]
    report = darknet.load_weights(ours, path)
    assert report == f"19 of 21 convolutions from {path}; head starts anew, 3 -> 2 classes"
    with torch.no_grad():
        fused, expected = (m.neck(m.backbone(random_images())) for m in (ours, source))
    assert_equal_maps(fused, expected)
    assert_close([conv.weight for conv in ours.head.predictions], head, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("config_name", "source_name", "backbone", "convolutions", "neck"),
    [
        ("csppelee_efm", "yolov4_tiny", "CSPDarknet53Tiny", 15, "TinyFPN"),
        ("csppelee_gfm", "yolov4_tiny", "CSPDarknet53Tiny", 15, "TinyFPN"),  # a neck that Darknet has no layers for
        ("yolov3_tiny", "yolov3_tiny_prn", "DarknetTinyPRN", 7, "PRN"),
    ],
)
def test_under_another_neck_the_backbone_is_taken_alone(
    tmp_path, config_name, source_name, backbone, convolutions, neck
):
    source, path = file_of(tmp_path, source_name, 3)
    ours = built(config_name, 3, f"model.backbone={{name: {backbone}}}")
    rest = {name: value.clone() for name, value in ours.state_dict().items() if not name.startswith("backbone.")}
    report = darknet.load_weights(ours, path)
    assert report == (
        f"{convolutions} of {convolutions} backbone convolutions from {path}, a {neck} detector of 3 classes; "
        "neck and head start anew"
    )
    with torch.no_grad():
        assert_equal_maps(ours.backbone(random_images()), source.backbone(random_images()))
    assert_close({name: ours.state_dict()[name] for name in rest}, rest, rtol=0, atol=0)


def test_a_classifier_takes_the_backbone_of_a_detector(tmp_path):
    source, path = file_of(tmp_path, "yolov4_tiny", 3)
    classifier = Classifier(BACKBONES.build({"name": "CSPDarknet53Tiny"}), 5).eval()
    assert darknet.load_weights(classifier, path).endswith("a TinyFPN detector of 3 classes; classifier starts anew")
    with torch.no_grad():
        assert_equal_maps(classifier.backbone(random_images()), source.backbone(random_images()))


@pytest.mark.parametrize("extra", [1, 4, 4 * 2310])  # 2310: what a fourth class would add
def test_a_file_of_another_length_is_refused_and_changes_nothing(tmp_path, extra):
    _, path = file_of(tmp_path, "yolov4_tiny", 3)
    path.write_bytes(path.read_bytes() + b"\0" * extra)
    ours = built("yolov4_tiny", 3)
    before = {name: value.clone() for name, value in ours.state_dict().items()}
    with pytest.raises(UserError, match=r"net\.weights: expected \d+ floats for Detector, found \d+"):
        darknet.load_weights(ours, path)
    assert_close(ours.state_dict(), before, rtol=0, atol=0)


def test_numbers_that_cannot_be_of_the_net_are_not_taken_though_their_count_fits(tmp_path):
    _, path = file_of(tmp_path, "yolov4_tiny", 3)
    header, floats = path.read_bytes()[:20], np.fromfile(path, "<f4", offset=20)
    path.write_bytes(header + floats[::-1].tobytes())
    ours = built("csppelee_efm", 3, "model.backbone={name: CSPDarknet53Tiny}")
    before = ours.backbone.last.conv.weight.clone()
    with pytest.raises(UserError, match=r"net\.weights: expected"):
        darknet.load_weights(ours, path)
    assert_close(ours.backbone.last.conv.weight, before, rtol=0, atol=0)


class Bare(nn.Module):
    """A backbone whose last convolution has neither norm nor bias."""

    channels, strides = (8, 8, 8, 8), (4, 8, 16, 32)

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(ConvNormAct(3 if i == 0 else 8, 8, 3, stride=2) for i in range(4))
        self.last = nn.Conv2d(8, 8, 3, 2, 1, bias=False)

    def forward(self, images):
        maps = [images]
        for layer in (*self.layers, self.last):
            maps.append(layer(maps[-1]))
        return maps[2:]


@pytest.mark.parametrize("bias", [0.0, 1.0])
def test_biases_that_a_model_has_no_place_for_are_refused_before_anything_is_changed(tmp_path, bias):
    path = tmp_path / "bare.weights"
    network = DarknetNetwork(cfg.parse(cfg_of(Classifier(Bare(), 3), 64)[0], "Bare"))
    convs = [layer.conv for layer in network.layers if isinstance(layer, Convolution) and layer.conv.bias is not None]
    with torch.no_grad():
        convs[0].bias.fill_(bias)
    weights.write(path, network)
    model = Classifier(Bare(), 3)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    if not bias:
        assert darknet.load_weights(model, path) == f"6 of 6 convolutions from {path}"
        assert_close(model.backbone.last.weight, convs[0].weight, rtol=0, atol=0)
        return
    with pytest.raises(UserError, match=r"bare\.weights: has biases where this model has none"):
        darknet.load_weights(model, path)
    assert_close(model.state_dict(), before, rtol=0, atol=0)


def test_weights_of_another_net_are_refused(tmp_path):
    _, path = file_of(tmp_path, "cspdense_ref_prn", 3)
    with pytest.raises(UserError, match=r"net\.weights: .*float"):
        darknet.load_weights(built("csppelee_ref_prn", 3), path)
