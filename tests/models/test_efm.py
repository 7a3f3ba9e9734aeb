"""The exact fusion model: maps it gives, levels it fuses, backbones it takes."""

import pytest
import torch

from detect.errors import UserError
from detect.models.layers import SAM
from detect.models.necks import EFM
from detect.registry import NECKS

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


def test_channels_that_widths_do_not_divide_are_taken():
    channels = (128, 192, 448, 512)  # of the Ref. backbones: 448 = 256 + 192
    neck = EFM(channels, STRIDES).eval()
    with torch.no_grad():
        fused = neck(random_pyramid(channels))
    assert all(x.isfinite().all() for x in fused)


def test_every_scale_learns_from_every_level():
    torch.manual_seed(0)
    neck = EFM(CHANNELS, STRIDES).eval()
    pyramid = random_pyramid(requires_grad=True)
    for x in neck(pyramid):
        gradients = torch.autograd.grad(x.sum(), pyramid, retain_graph=True)
        assert all(g.isfinite().all() and g.abs().sum() > 0 for g in gradients)


def test_sam_sits_at_the_entrance_of_each_prediction_branch():
    neck = EFM(CHANNELS, STRIDES, sam=True)
    branches = (neck.predict3, neck.predict4, neck.predict5)
    assert all(isinstance(branch[0], SAM) for branch in branches)
    assert [branch[0].attention.conv.in_channels for branch in branches] == [128, 256, 256]
    assert sum(isinstance(module, SAM) for module in neck.modules()) == 3


@pytest.mark.parametrize(
    ("in_channels", "options", "message"),
    [
        ((256, 512, 640), {}, "EFM fuses the four levels C2..C5, the backbone gives 3"),
        (CHANNELS, {"widths": (64, 128)}, "widths has 2 numbers; EFM needs three"),
        ((16, 256, 512, 640), {}, "Maxout cannot make 32 channels from 16"),
        (CHANNELS, {"activation": "tanh"}, "unknown activation 'tanh'"),
    ],
)
def test_what_does_not_fit_is_refused(in_channels, options, message):
    with pytest.raises(UserError, match=f"neck EFM: {message}"):
        NECKS.build({"name": "EFM", **options}, in_channels=in_channels, strides=STRIDES[-len(in_channels) :])
