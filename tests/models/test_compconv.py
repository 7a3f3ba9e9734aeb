"""CompConv costs what its formulas say, and replaces the 3x3 convolutions of any backbone or neck by one switch."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from detect.analysis.profile import profile
from detect.errors import UserError
from detect.models.backbones import VGG16
from detect.models.compconv import CompConv, depth_of
from detect.models.layers import ConvNormAct
from detect.models.registry import BACKBONES, NECKS

PYRAMID = {"in_channels": (128, 256, 512, 640), "strides": (4, 8, 16, 32)}


def weights(module):
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(
    ("in_channels", "c0", "depth"),
    [(3, 128, 1), (128, 128, 1), (255, 128, 1), (256, 128, 2), (512, 128, 3), (4096, 32, 3)],
)
def test_depth_grows_with_the_logarithm_of_the_channels_up_to_three(in_channels, c0, depth):
    assert depth_of(in_channels, c0) == depth


@pytest.mark.parametrize(("c0", "share"), [(128, 1 / 14 + 21 / 196), (256, 1 / 6 + 5 / 36), (512, 3 / 4)])
def test_depth_3_costs_18_percent_of_a_convolution_2_costs_31_and_1_costs_75(c0, share):
    conv = CompConv(512, 512, c0=c0)
    assert_close(weights(conv) / (9 * 512 * 512), share, rtol=0.01, atol=0)


@pytest.mark.parametrize(("in_channels", "out_channels"), [(64, 64), (256, 100), (512, 33), (600, 7), (5, 512)])
@pytest.mark.parametrize("stride", [1, 2])
def test_any_channels_and_odd_sizes_give_the_shape_of_a_convolution(in_channels, out_channels, stride):
    x = torch.rand(2, in_channels, 9, 6)
    plain = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1)
    assert CompConv(in_channels, out_channels, stride=stride, c0=4)(x).shape == plain(x).shape


def test_output_is_shuffled_copies_and_convolutions():
    torch.manual_seed(0)
    conv, x = CompConv(56, 56, c0=14).eval(), torch.rand(1, 56, 5, 5)  # depth 3: pieces of 4, 8 and 16 channels
    assert (conv.depth, conv.unit) == (3, 4)
    b2 = conv.deepest(x)
    a2, a1 = x[:, :4], x[:, 4:12]
    b1 = torch.cat([a2, conv.transforms[0](b2)], 1)
    b0 = torch.cat([a1, conv.transforms[1](b1)], 1)
    pieces = torch.cat([b2, a2, b1, a1, b0, conv.tailing(b0)], 1)
    expected = torch.stack([pieces[:, :28], pieces[:, 28:]], dim=2).flatten(1, 2)  # the halves' channels in turn
    assert_close(conv(x), expected)


def test_every_parameter_of_it_learns():
    conv = CompConv(512, 64)
    conv(torch.rand(1, 512, 4, 4)).square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in conv.parameters())


def compressed(name, **options):
    registry, wiring = (NECKS, PYRAMID) if name in NECKS.names() else (BACKBONES, {})
    with torch.device("meta"):
        plain = registry.build({"name": name}, **wiring)
        return plain, registry.build({"name": name, "conv": {"name": "CompConv", **options}}, **wiring)


@pytest.mark.parametrize("name", ["ResNet50", "VGG16", "CSPPeleeNet", "VoVNet39", *NECKS.names()])
def test_switch_replaces_every_3x3_convolution_but_the_one_on_the_image(name):
    plain, small = compressed(name, c0=128)
    expected = [
        conv for conv in plain.modules()
        if isinstance(conv, nn.Conv2d) and conv.kernel_size == (3, 3) and conv.groups == 1 and conv.in_channels > 3
    ]  # fmt: skip
    found = [module for module in small.modules() if isinstance(module, CompConv)]
    assert [(c.in_channels, c.out_channels) for c in expected] == [
        (c.deepest.in_channels, c.out_channels) for c in found
    ]


@pytest.mark.parametrize("name", ["ResNet50", "VGG16"])
def test_at_depth_3_a_networks_3x3_convolutions_cost_18_percent(name):
    """c0 = 1 takes every convolution to depth 3; those that widen and rounded-up pieces cost a little more."""
    plain, small = compressed(name, c0=1)
    saved = weights(plain) - weights(small)
    threes = sum(
        m.weight.numel() for m in plain.modules()
        if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3) and m.in_channels > 3
    )  # fmt: skip
    assert_close(1 - saved / threes, 0.18, rtol=0, atol=0.012)
    assert profile(small, 224).bflops < profile(plain, 224).bflops


def test_fused_model_with_it_gives_the_same_maps():
    torch.manual_seed(0)
    layer = ConvNormAct(256, 64, 3).eval()
    layer.conv = CompConv(256, 64)
    layer.norm.running_mean.normal_()
    x = torch.rand(1, 256, 8, 8)
    expected = layer(x)
    layer.fuse()
    assert_close(layer(x), expected)


@pytest.mark.parametrize(
    ("conv", "message"),
    [
        ("CompConv", "backbone VGG16: conv is 'CompConv'; it must be a convolution with its name"),
        ({"name": "CompCov"}, "unknown convolution 'CompCov'; did you mean 'CompConv'"),
        ({"name": "CompConv", "c_0": 64}, "CompConv has no option 'c_0'; did you mean 'c0'"),
        ({"name": "CompConv", "c0": 0}, "convolution CompConv: CompConv's c0 is 0"),
    ],
)
def test_a_wrong_switch_is_refused(conv, message):
    with pytest.raises(UserError, match=message):
        BACKBONES.build({"name": "VGG16", "conv": conv})


@pytest.mark.parametrize("name", ["PPLCNet", "ResNeXt50", "VoVNetV2-19DW"])
def test_a_net_without_plain_3x3_convolutions_says_that_it_has_none(name):
    with pytest.raises(UserError, match=f"backbone {name}: it has no plain 3x3 convolution that a CompConv could"):
        compressed(name)


def test_without_the_switch_nothing_changes():
    backbone = BACKBONES.build({"name": "VGG16", "conv": None})
    assert type(backbone) is VGG16 and not any(isinstance(m, CompConv) for m in backbone.modules())
