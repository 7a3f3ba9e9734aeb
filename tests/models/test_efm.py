"""The exact fusion model: maps it gives, levels it fuses, backbones it takes."""

import pytest
import torch

from detect.errors import UserError
from detect.models.layers import SAM
from detect.models.necks import EFM
from detect.models.registry import NECKS

CHANNELS, STRIDES = (128, 256, 512, 640), (4, 8, 16, 32)


def random_pyramid(channels=CHANNELS, strides=STRIDES, height=64, width=96, requires_grad=False):
    return [
        torch.randn(1, c, height // s, width // s, requires_grad=requires_grad)
        for c, s in zip(channels, strides, strict=True)
    ]


@pytest.mark.parametrize("sam", [False, True])
@pytest.mark.parametrize("widths", [(64, 128, 256), (32, 64, 128)])
def test_fused_maps_have_the_channels_and_strides_they_show(sam, widths):
    neck = EFM(CHANNELS, STRIDES, widths=widths, sam=sam).eval()
    with torch.no_grad():
        fused = neck(random_pyramid())
    assert neck.channels == (widths[0], widths[1], widths[1])
    assert neck.strides == (8, 16, 32)
    assert [tuple(x.shape[1:]) for x in fused] == [
        (c, 64 // s, 96 // s) for c, s in zip(neck.channels, neck.strides, strict=True)
    ]


@pytest.mark.parametrize(
    "channels",
    [
        (128, 192, 448, 512),  # of the Ref. backbones: 448 = 256 + 192
        (16, 32, 64, 128),  # PP-LCNet x0.25: narrower than the widths, so there is nothing to compress
    ],
)
def test_channels_that_widths_do_not_divide_are_taken(channels):
    neck = EFM(channels, STRIDES).eval()
    with torch.no_grad():
        fused = neck(random_pyramid(channels))
    assert all(x.isfinite().all() for x in fused)


@pytest.mark.parametrize("widths", [(128, 256), (32, 64, 128, 256)])
def test_two_or_four_scales_are_fused_like_three(widths):
    neck = EFM(CHANNELS, STRIDES, widths=widths, sam=True).eval()
    pyramid = random_pyramid(requires_grad=True)
    fused = neck(pyramid)
    assert neck.strides == STRIDES[-len(widths) :]
    assert [x.shape[-1] for x in fused] == [96 // s for s in neck.strides]
    used = pyramid[-len(widths) - 1 :]
    gradients = torch.autograd.grad(fused[-1].sum(), used)
    assert all(g.abs().sum() > 0 for g in gradients)


def test_every_scale_learns_from_every_level():
    torch.manual_seed(0)
    neck = EFM(CHANNELS, STRIDES).eval()
    pyramid = random_pyramid(requires_grad=True)
    for x in neck(pyramid):
        gradients = torch.autograd.grad(x.sum(), pyramid, retain_graph=True)
        assert all(g.isfinite().all() and g.abs().sum() > 0 for g in gradients)


def test_sam_sits_at_the_entrance_of_each_prediction_branch():
    neck = EFM(CHANNELS, STRIDES, sam=True)
    branches = neck.predict.branches
    assert all(isinstance(branch[0], SAM) for branch in branches)
    assert [branch[0].attention.conv.in_channels for branch in branches] == [128, 256, 256]
    assert sum(isinstance(module, SAM) for module in neck.modules()) == 3


def test_spp_feeds_the_finer_scales_with_four_times_the_coarsest_map():
    neck = EFM(CHANNELS, STRIDES, spp=True)
    assert neck.between[0].reduce[0].conv.in_channels == 4 * 256


@pytest.mark.parametrize(
    ("in_channels", "options", "message"),
    [
        ((512, 640), {}, "widths has 3 numbers, but the backbone gives only 2 levels"),
        (CHANNELS, {"widths": (64,)}, "widths has 1 numbers; EFM takes one for each of its 2 to 4 scales"),
        (CHANNELS, {"widths": (64, 1, 64)}, "widths are \\[64, 1, 64\\]; each must be at least 2"),
        (CHANNELS, {"activation": "tanh"}, "unknown activation 'tanh'"),
    ],
)
def test_what_does_not_fit_is_refused(in_channels, options, message):
    with pytest.raises(UserError, match=f"neck EFM: {message}"):
        NECKS.build({"name": "EFM", **options}, in_channels=in_channels, strides=STRIDES[-len(in_channels) :])
