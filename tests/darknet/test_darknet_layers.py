"""Layers that OpenCV reads wrongly or not at all equal Darknet's loops, written down here number by number."""

import math

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from detect.darknet.activations import make_activation
from detect.darknet.network import load
from detect.darknet.options import ACTIVATION_NAMES
from tests.small_nets import conv, images_for, make, net, section


def run(folder, text, seed=0):
    """The network, and the maps [C, H, W] of all its layers for one random image, the image first."""
    network = load(*make(folder, text, seed))
    seen = []
    for layer in network.layers:
        layer.register_forward_hook(lambda module, inputs, output: seen.append(output[0].clone()))
    images = torch.from_numpy(images_for(network, seed=seed))
    with torch.no_grad():
        network(images)
    return network, [images[0].numpy(), *(map_.numpy() for map_ in seen)]


def check(ours, expected):
    assert_close(torch.from_numpy(ours), torch.from_numpy(np.asarray(expected, dtype=np.float32)), rtol=1e-4, atol=1e-5)


def convolve(x, weight, bias, strides, pad, dilation):
    """A convolution of [C, H, W] by loops over the output; padding is multiplied by the dilation."""
    filters, _, size, _ = weight.shape
    _, height, width = x.shape
    rows, columns = ((s + 2 * pad - size) // t + 1 for s, t in zip((height, width), strides, strict=True))
    out = np.zeros((filters, rows, columns))
    for row in range(rows):
        for column in range(columns):
            for m in range(size):
                for n in range(size):
                    y = row * strides[0] + (m - pad) * dilation
                    z = column * strides[1] + (n - pad) * dilation
                    if 0 <= y < height and 0 <= z < width:
                        out[:, row, column] += weight[:, :, m, n] @ x[:, y, z]
    return out + bias[:, None, None]


@pytest.mark.parametrize("noadjust", [0, 1])
def test_crop_takes_the_middle_and_makes_0_to_1_minus_1_to_1(tmp_path, noadjust):
    crop = section("crop", crop_height=9, crop_width=12, noadjust=noadjust, flip=1, angle=7, saturation=1.5, exposure=2)
    _, maps = run(tmp_path, net(17, 14) + crop + section("avgpool"))
    middle = maps[0][:, 2:11, 2:14]  # (14 - 9) // 2 rows, (17 - 12) // 2 columns are left out before it
    check(maps[1], middle if noadjust else 2 * middle - 1)


def test_gaussian_yolo_gives_the_boxes_of_yolo_and_less_to_uncertain_ones(tmp_path):
    options = {"classes": 2, "num": 2, "mask": "1,0", "anchors": "5,9, 12,7", "scale_x_y": 1.1, "yolo_point": "center"}
    head = section("Gaussian_yolo", **options)
    network = load(*make(tmp_path, net(32, 24) + conv(22, 3, "linear", 0, stride=8) + head))
    images = torch.from_numpy(images_for(network))
    with torch.no_grad():
        boxes, scores = network.decode(network(images))
        raw = network.layers[0](images)[0].numpy().reshape(2, 11, 3, 4)
    logistic = lambda x: 1 / (1 + np.exp(-x))  # noqa: E731
    expected, chances = [], []
    for anchor, (width, height) in enumerate(((12, 7), (5, 9))):
        for row in range(3):
            for column in range(4):
                x, sx, y, sy, w, sw, h, sh, objectness, *classes = raw[anchor, :, row, column]
                centre = [8 * (1.1 * logistic(v) - 0.05 + at) for v, at in ((x, column), (y, row))]
                half = [math.exp(w) * width / 2, math.exp(h) * height / 2]
                expected.append([centre[0] - half[0], centre[1] - half[1], centre[0] + half[0], centre[1] + half[1]])
                certainty = 1 - sum(map(logistic, (sx, sy, sw, sh))) / 4
                chances.append([logistic(objectness) * logistic(k) * certainty for k in classes])
    check(boxes[0].numpy(), expected)
    check(scores[0].numpy(), chances)
    assert network.num_classes == 2 and network.head.strides == (8,)


@pytest.mark.parametrize(
    "options", [{"dilation": 2}, {"dilation": 3, "size": 5}, {"stride_x": 2, "stride_y": 1}], ids=str
)
def test_dilated_and_unevenly_strided_convolutions(tmp_path, options):
    size = options.get("size", 3)
    network, maps = run(
        tmp_path, net(17, 14) + conv(4, activation="linear", batch_normalize=0, **{"size": 3} | options)
    )
    layer = network.layers[0].conv
    strides = options.get("stride_y", 1), options.get("stride_x", 1)
    weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    check(maps[1], convolve(maps[0], weight, bias, strides, size // 2, options.get("dilation", 1)))


def pool(x, size, strides, padding, average):
    _, height, width = x.shape
    offset = -(padding // 2)
    rows, columns = ((s + padding - size) // t + 1 for s, t in zip((height, width), strides, strict=True))
    out = np.zeros((len(x), rows, columns))
    for row in range(rows):
        for column in range(columns):
            window = [
                x[:, y, z]
                for y in range(row * strides[0] + offset, row * strides[0] + offset + size)
                for z in range(column * strides[1] + offset, column * strides[1] + offset + size)
                if 0 <= y < height and 0 <= z < width
            ]
            out[:, row, column] = np.mean(window, axis=0) if average else np.max(window, axis=0)
    return out


@pytest.mark.parametrize("kind", ["maxpool", "local_avgpool"])
@pytest.mark.parametrize(
    "options",
    [{"size": 2, "stride": 2}, {"size": 2, "stride": 1}, {"size": 3, "stride": 2}, {"size": 5, "stride": 1},
     {"stride": 3}, {"size": 3, "stride_x": 2, "stride_y": 1}, {"size": 4, "stride": 3, "padding": 2},
     {"size": 3, "stride": 1, "padding": 4}],
    ids=str,
)  # fmt: skip
def test_pools(tmp_path, kind, options):
    _, maps = run(tmp_path, net(15, 18) + conv(4) + section(kind, **options))
    stride = options.get("stride", 1)
    strides = options.get("stride_y", stride), options.get("stride_x", stride)
    size = options.get("size", stride)
    check(maps[2], pool(maps[1], size, strides, options.get("padding", size - 1), kind == "local_avgpool"))


@pytest.mark.parametrize(("channels", "kept"), [(12, 4), (10, 4), (7, 7), (9, 1)])
def test_maxpool_over_channels(tmp_path, channels, kept):
    _, maps = run(tmp_path, net() + conv(channels) + section("maxpool", maxpool_depth=1, out_channels=kept, size=1))
    check(maps[2], [maps[1][group::kept].max(axis=0) for group in range(kept)])


def test_route_in_groups_slices_each_of_its_inputs(tmp_path):
    text = net() + conv(8) + conv(12) + section("route", layers="-1,0", groups=4, group_id=2)
    _, maps = run(tmp_path, text)
    check(maps[3], np.concatenate([maps[2][6:9], maps[1][4:6]]))


def test_shortcut_of_several_layers(tmp_path):
    text = net() + conv(5) + conv(9) + conv(8) + section("shortcut", from_="-2,-3", activation="linear")
    _, maps = run(tmp_path, text)
    expected = maps[3] + maps[2][:8]
    expected[:5] += maps[1]
    check(maps[4], expected)


@pytest.mark.parametrize("kind", ["per_feature", "per_channel"])
@pytest.mark.parametrize("normalization", ["none", "relu", "softmax"])
@pytest.mark.parametrize("seed", range(2))
def test_weighted_shortcut(tmp_path, kind, normalization, seed):
    options = {"weights_type": kind, "weights_normalization": normalization, "activation": "leaky"}
    network, maps = run(
        tmp_path, net() + conv(5) + conv(8) + conv(8) + section("shortcut", from_="-2,-3", **options), seed
    )
    weights = np.broadcast_to(network.layers[3].weight.detach().numpy(), (3, 8))
    expected = np.zeros_like(maps[3])
    for channel in range(8):
        w = weights[:, channel]
        if normalization == "relu":
            w = w.clip(min=1e-3) / (w.clip(min=1e-3).sum() + 1e-4)
        elif normalization == "softmax":
            w = np.exp(w - w.max()) / (np.exp(w - w.max()).sum() + 1e-4)
        expected[channel] = w[0] * maps[3][channel] + w[1] * maps[2][channel]
        if channel < 5:
            expected[channel] += w[2] * maps[1][channel]
    check(maps[4], np.where(expected > 0, expected, 0.1 * expected))


def subsampled_shortcut(out, add):
    """Darknet's loop `shortcut_cpu` of the time when resnet10 was trained."""
    (c1, h1, w1), (c2, h2, w2) = add.shape, out.shape
    stride, sample = max(w1 // w2, 1), max(w2 // w1, 1)
    result = out.copy()
    for k in range(min(c1, c2)):
        for j in range(min(h1, h2)):
            for i in range(min(w1, w2)):
                result[k, j * sample, i * sample] += add[k, j * stride, i * stride]
    return result


@pytest.mark.parametrize("channels", [5, 8, 11])
def test_shortcut_across_a_stride(tmp_path, channels):
    to_smaller = conv(8, stride=2) + section("shortcut", from_=-2)
    _, maps = run(tmp_path, net(32, 24) + conv(channels) + to_smaller)
    check(maps[3], subsampled_shortcut(maps[2], maps[1]))
    to_larger = section("upsample", stride=4) + section("shortcut", from_=0)
    _, maps = run(tmp_path, net(32, 24) + conv(channels, stride=2) + conv(8, stride=2) + to_larger)
    check(maps[4], subsampled_shortcut(maps[3], maps[1]))


def test_scale_channels_by_place(tmp_path):
    text = net() + conv(8) + conv(1, 1, "logistic") + section("scale_channels", from_=-2, scale_wh=1, activation="relu")
    _, maps = run(tmp_path, text)
    check(maps[3], np.maximum(maps[1] * maps[2], 0))


def test_upsample_with_a_factor(tmp_path):
    _, maps = run(tmp_path, net(7, 5) + conv(3) + section("upsample", stride=2, scale=0.5))
    check(maps[2], 0.5 * np.kron(maps[1], np.ones((1, 2, 2))))


def test_reorg_by_darknets_indices(tmp_path):
    """`reorg_cpu` called with the input's shape and forward = 0, as [reorg] (not [reorg3d]) calls it."""
    _, maps = run(tmp_path, net(8, 6) + conv(8) + section("reorg", stride=2))
    channels, height, width = maps[1].shape
    flat, out, out_channels = maps[1].ravel(), np.zeros(maps[1].size), channels // 4
    for k in range(channels):
        for j in range(height):
            for i in range(width):
                offset = k // out_channels
                x, y = i * 2 + offset % 2, j * 2 + offset // 2
                out[i + width * (j + height * k)] = flat[x + width * 2 * (y + height * 2 * (k % out_channels))]
    check(maps[2], out.reshape(32, 3, 4))


def test_softmax_in_groups_with_temperature(tmp_path):
    text = net() + conv(12, 1, "linear", 0) + section("avgpool") + section("softmax", groups=3, temperature=0.5)
    _, maps = run(tmp_path, text)
    logits = maps[2].reshape(3, 4) / 0.5
    check(maps[3].reshape(3, 4), np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True))


def test_connected_with_normalisation(tmp_path):
    network, maps = run(tmp_path, net(5, 4) + conv(3) + section("connected", output=6, batch_normalize=1))
    layer, norm = network.layers[1].linear, network.layers[1].norm
    x = layer.weight.detach().numpy() @ maps[1].ravel()
    x = (x - norm.running_mean.numpy()) / np.sqrt(norm.running_var.numpy() + 1e-6)
    x = x * norm.weight.detach().numpy() + norm.bias.detach().numpy()
    check(maps[2].ravel(), 1 / (1 + np.exp(-x)))


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def stair(x):
    whole = math.floor(x)
    return math.floor(x / 2) if whole % 2 == 0 else x - whole + math.floor(x / 2)


def selu(x):
    return 1.0507 * x if x >= 0 else 1.0507 * 1.6732 * (math.exp(x) - 1)


def plse(x):
    return 0.01 * (x + 4) if x < -4 else 0.01 * (x - 4) + 1 if x > 4 else 0.125 * x + 0.5


FORMULAS = {
    "linear": lambda x: x,
    "leaky": lambda x: x if x > 0 else 0.1 * x,
    "revleaky": lambda x: x if x > 0 else 0.1 * x,
    "relie": lambda x: x if x > 0 else 0.01 * x,
    "ramp": lambda x: x * (x > 0) + 0.1 * x,
    "relu": lambda x: max(x, 0),
    "relu6": lambda x: min(max(x, 0), 6),
    "hardtan": lambda x: min(max(x, -1), 1),
    "lhtan": lambda x: 0.001 * x if x < 0 else 0.001 * (x - 1) + 1 if x > 1 else x,
    "logistic": sigmoid,
    "loggy": lambda x: 2 * sigmoid(x) - 1,
    "tanh": math.tanh,
    "elu": lambda x: x if x >= 0 else math.exp(x) - 1,
    "selu": selu,
    "gelu": lambda x: 0.5 * x * (1 + math.tanh(0.797885 * x + 0.035677 * x**3)),
    "swish": lambda x: x * sigmoid(x),
    "mish": lambda x: x * math.tanh(math.log1p(math.exp(x))),
    "hard_mish": lambda x: x if x > 0 else x * x / 2 + x if x > -2 else 0,
    "plse": plse,
    "stair": stair,
}


@pytest.mark.parametrize("name", FORMULAS)
def test_activation_is_darknets_formula(name):
    values = [-9.5, -4.5, -3.2, -2, -1.7, -1, -0.3, 0, 0.2, 0.9, 1, 1.6, 2.4, 3.1, 4.2, 5.7, 6.8, 12]
    ours = make_activation(name)(torch.tensor(values))
    assert_close(ours, torch.tensor([float(FORMULAS[name](x)) for x in values]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["", "_softmax", "_softmax_maxval"])
def test_activations_over_all_channels(kind):
    x = torch.randn(2, 5, 3, 4, generator=torch.Generator().manual_seed(0))
    ours = make_activation("normalize_channels" + kind)(x.clone())
    for image in range(2):
        for row in range(3):
            for column in range(4):
                values = x[image, :, row, column].tolist()
                if kind:
                    top = max(values) if kind.endswith("maxval") else 0
                    parts = [math.exp(v - top) for v in values]
                else:
                    parts = [max(v, 0) for v in values]
                expected = torch.tensor([part / (sum(parts) + 1e-4) for part in parts])
                assert_close(ours[image, :, row, column], expected)


def test_every_activation_is_tested_here():
    tested = {*FORMULAS, *(name for name in ACTIVATION_NAMES if name.startswith("normalize_channels"))}
    assert tested == set(ACTIVATION_NAMES)
