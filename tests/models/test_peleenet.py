"""CSPPeleeNet: pyramid, options and their costs (counts as published: tests/analysis/test_profile.py)."""

import pytest
import torch
from torch.testing import assert_close

from detect.analysis.profile import profile
from detect.errors import UserError
from detect.models.backbones import CSPPeleeNet
from detect.models.backbones.peleenet import TwoWayDenseLayer
from detect.models.registry import BACKBONES


def check_pyramid(backbone, height, width):
    with torch.no_grad():
        pyramid = backbone.eval()(torch.rand(2, 3, height, width))
    expected = [(2, c, height // s, width // s) for c, s in zip(backbone.channels, backbone.strides, strict=True)]
    assert [tuple(level.shape) for level in pyramid] == expected
    assert all(level.isfinite().all() for level in pyramid)


def test_pyramid_has_the_channels_and_strides_it_shows():
    backbone = CSPPeleeNet()
    assert backbone.channels == (128, 256, 512, 640)
    assert backbone.strides == (4, 8, 16, 32)
    check_pyramid(backbone, 64, 96)


@pytest.mark.parametrize(
    "options",
    [
        {"partial_ratio": 0.75},
        {"partial_ratio": 0.25},
        {"partial_ratio": 0.3},  # no whole channels: rounded down, the other part takes the rest
        {"fusion": "first"},
        {"fusion": "last"},
        {"activation": "swish"},
        {"activation": "mish"},
        {"squeeze_excite": True},
    ],
)
def test_options_keep_the_pyramid(options):
    check_pyramid(CSPPeleeNet(**options), 64, 32)


def test_fusion_orders_cost_first_last_both():
    first, last, both = (profile(CSPPeleeNet(fusion=fusion), 64).bflops for fusion in ("first", "last", "both"))
    assert first < last < both


def test_larger_bypass_costs_less():
    costs = [profile(CSPPeleeNet(partial_ratio=ratio), 64).bflops for ratio in (0.75, 0.5, 0.25)]
    assert costs == sorted(costs)


def test_dense_layer_keeps_its_input_and_adds_thirty_two_channels():
    x = torch.randn(2, 24, 5, 7)
    y = TwoWayDenseLayer(24, bottleneck=16, activation="leaky_relu")(x)
    assert y.shape == (2, 24 + 32, 5, 7)
    assert_close(y[:, :24], x, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"partial_ratio": 1.0}, "partial_ratio is 1.0; it must lie between 0 and 1"),
        ({"partial_ratio": 0}, "partial_ratio is 0"),
        ({"fusion": "early"}, "unknown fusion 'early'"),
        ({"activation": "gelu"}, "unknown activation 'gelu'"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(UserError, match=f"backbone CSPPeleeNet: {message}"):
        BACKBONES.build({"name": "CSPPeleeNet", **options})
