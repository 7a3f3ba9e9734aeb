"""Layers follow their definitions: Darknet's for Maxout, SAM and the activations."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from detect.models.layers import (
    SAM,
    SPP,
    AddChannels,
    ConvNormAct,
    EffectiveSqueezeExcite,
    Maxout,
    Residual,
    Resize,
    SqueezeExcite,
    Upsample,
    compress,
    make_activation,
)


def darknet_maxpool_depth(x, out_channels):
    """Darknet's loop over channels (maxpool_layer.c, maxpool_depth=1), one element after another."""
    channels, height, width = x.shape
    y = torch.full((out_channels, height, width), float("-inf"))
    for i in range(height):
        for j in range(width):
            for g in range(out_channels):
                for k in range(g, channels, out_channels):
                    y[g, i, j] = max(y[g, i, j], x[k, i, j])
    return y


def randomise_norm(norm):
    """Statistics and scales as after training."""
    nn.init.uniform_(norm.weight, 0.5, 1.5)
    nn.init.normal_(norm.bias)
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2.0)


@pytest.mark.parametrize(
    ("name", "formula"),
    [
        ("linear", lambda x: x),
        ("leaky_relu", lambda x: torch.where(x > 0, x, 0.1 * x)),
        ("relu", lambda x: x.clamp(min=0)),
        ("swish", lambda x: x / (1 + (-x).exp())),
        ("mish", lambda x: x * (1 + x.exp()).log().tanh()),
        ("h_swish", lambda x: x * (x + 3).clamp(0, 6) / 6),
        ("h_sigmoid", lambda x: (x + 3).clamp(0, 6) / 6),
        ("sigmoid", lambda x: 1 / (1 + (-x).exp())),
    ],
)
def test_activation_equals_its_formula(name, formula):
    x = torch.linspace(-6, 6, 101)
    assert_close(make_activation(name)(x.clone()), formula(x))


def test_unknown_activation_is_refused():
    with pytest.raises(ValueError, match="unknown activation 'gelu'; known: linear, leaky_relu"):
        make_activation("gelu")


@pytest.mark.parametrize(("kernel_size", "stride"), [(1, 1), (3, 1), (3, 2), (5, 2), (1, 2)])
def test_convolution_divides_even_sizes_by_its_stride(kernel_size, stride):
    layer = ConvNormAct(4, 6, kernel_size, stride)
    assert layer(torch.rand(2, 4, 8, 12)).shape == (2, 6, 8 // stride, 12 // stride)
    assert layer.conv.bias is None


def test_fused_convolution_equals_unfused():
    torch.manual_seed(0)
    layer = ConvNormAct(6, 8, 3, groups=2, activation="mish").eval()
    randomise_norm(layer.norm)
    x = torch.randn(2, 6, 5, 7)
    with torch.no_grad():
        expected = layer(x)
        layer.fuse()
        assert isinstance(layer.norm, nn.Identity)
        assert_close(layer(x), expected, rtol=1e-4, atol=1e-5)
        layer.fuse()  # a second time changes nothing
        assert_close(layer(x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("channels", "out_channels"), [(8, 4), (12, 3), (16, 2), (5, 5), (6, 1)])
def test_maxout_of_even_channels_is_the_maximum_over_groups(channels, out_channels):
    x = torch.randn(2, channels, 3, 4)
    expected = x.view(2, channels // out_channels, out_channels, 3, 4).max(1).values
    assert_close(Maxout(channels, out_channels)(x), expected, rtol=0, atol=0)


@pytest.mark.parametrize(("channels", "out_channels"), [(8, 4), (7, 4), (9, 4), (10, 3), (5, 4), (11, 2)])
def test_maxout_equals_darknets_loop(channels, out_channels):
    x = torch.randn(2, channels, 2, 3) - 3  # mostly negative: a padding of zeros would win
    expected = torch.stack([darknet_maxpool_depth(image, out_channels) for image in x])
    assert_close(Maxout(channels, out_channels)(x), expected, rtol=0, atol=0)


@pytest.mark.parametrize(("channels", "out_channels"), [(8, 4), (7, 4)])
def test_gradient_of_maxout_goes_to_the_winners(channels, out_channels):
    x = torch.randn(1, channels, 3, 3, requires_grad=True)
    y = Maxout(channels, out_channels)(x)
    y.sum().backward()
    assert x.grad.sum() == y.numel()
    assert_close((x * x.grad).sum(), y.sum())


def test_maxout_cannot_make_more_channels():
    with pytest.raises(ValueError, match="Maxout cannot make 8 channels from 4"):
        Maxout(4, 8)


@pytest.mark.parametrize("channels", [8, 7])
def test_maxout_keeps_channels_last(channels):
    x = torch.randn(2, channels, 3, 5)
    layer = Maxout(channels, 4)
    y = layer(x.contiguous(memory_format=torch.channels_last))
    assert y.is_contiguous(memory_format=torch.channels_last)
    assert_close(y, layer(x))


def test_sam_scales_every_value_by_its_own_gate():
    torch.manual_seed(0)
    layer = SAM(4).eval()
    randomise_norm(layer.attention.norm)
    x = torch.randn(2, 4, 3, 5)
    gate = torch.sigmoid(layer.attention.norm(layer.attention.conv(x)))
    assert gate.shape == x.shape
    assert_close(layer(x), x * gate)


def test_squeeze_excite_scales_channels_alike_everywhere():
    torch.manual_seed(0)
    x = torch.rand(2, 8, 3, 5) + 1
    ratio = SqueezeExcite(8, reduction=4)(x) / x
    assert_close(ratio, ratio[:, :, :1, :1].expand_as(ratio))
    assert (ratio > 0).all()
    assert (ratio < 1).all()


def test_upsampling_repeats_each_value_in_a_square_of_four():
    x = torch.randn(2, 3, 4, 5)
    expected = x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    assert_close(Upsample()(x), expected, rtol=0, atol=0)


def test_addition_of_unequal_channels_keeps_the_first_maps_shape():
    x, wide, narrow = torch.rand(2, 5, 4, 4), torch.rand(2, 8, 4, 4), torch.rand(2, 3, 4, 4)
    assert_close(AddChannels()(x, wide), x + wide[:, :5])
    assert_close(AddChannels()(x, narrow)[:, :3], x[:, :3] + narrow)
    assert_close(AddChannels()(x, narrow)[:, 3:], x[:, 3:], rtol=0, atol=0)


def test_addition_across_a_stride_takes_every_second_place():
    x, fine = torch.rand(1, 4, 3, 2), torch.rand(1, 4, 6, 4)
    assert_close(AddChannels()(x, fine), x + fine[..., ::2, ::2])


def test_residual_adds_its_input_before_the_activation():
    layer = Residual(nn.Conv2d(2, 4, 1), "relu")
    x = torch.randn(1, 2, 3, 3)
    expected = layer.layers(x)
    expected = torch.cat([expected[:, :2] + x, expected[:, 2:]], dim=1).clamp(min=0)
    assert_close(layer(x), expected)


def test_spp_joins_the_maxima_of_13_9_5_and_the_map():
    x = torch.randn(1, 2, 20, 17)
    y = SPP()(x)
    assert y.shape == (1, 8, 20, 17)
    for number, size in enumerate((13, 9, 5)):
        half = size // 2
        at = x[..., max(10 - half, 0) : 10 + half + 1, max(3 - half, 0) : 3 + half + 1].amax((2, 3))
        assert_close(y[:, 2 * number : 2 * number + 2, 10, 3], at)
    assert_close(y[:, 6:], x, rtol=0, atol=0)


def test_effective_squeeze_excite_scales_channels_by_a_hard_sigmoid_of_their_means():
    layer, x = EffectiveSqueezeExcite(3), torch.rand(2, 3, 4, 5)
    mean = x.mean((2, 3))
    gate = ((mean @ layer.excite.weight[:, :, 0, 0].T + layer.excite.bias + 3) / 6).clamp(0, 1)
    assert_close(layer(x), x * gate[..., None, None])


def test_compress_leaves_narrow_maps_alone():
    layer, channels = compress(32, 64)
    assert isinstance(layer, nn.Identity) and channels == 32
    layer, channels = compress(65, 64)
    assert isinstance(layer, Maxout) and channels == 64


def test_maps_are_resized_by_repetition_and_maxima():
    x = torch.arange(16.0).view(1, 1, 4, 4)
    assert_close(Resize()(x, (2, 2)), torch.tensor([[[[5.0, 7.0], [13.0, 15.0]]]]))
    assert_close(Resize()(x, (8, 8)), x.repeat_interleave(2, 2).repeat_interleave(2, 3))
    assert Resize()(x, (4, 4)) is x
