"""Small Darknet nets for tests: the text of their cfgs, random weights, and what OpenCV makes of them."""

import cv2
import numpy as np
import pytest
import torch

from detect.darknet import weights
from detect.darknet.cfg import parse
from detect.darknet.layers import Shortcut
from detect.darknet.network import DarknetNetwork, load


def net(width=32, height=24, channels=3):
    return section("net", width=width, height=height, channels=channels)


def section(section_type, **options):
    """`from_` stands for the option `from`, a Python word."""
    return f"[{section_type}]\n" + "".join(f"{name.rstrip('_')}={value}\n" for name, value in options.items())


def conv(filters=8, size=3, activation="leaky", batch_normalize=1, pad=1, **options):
    about = {"filters": filters, "size": size, "pad": pad, "activation": activation}
    return section("convolutional", batch_normalize=batch_normalize, **about, **options)


def yolo(mask="0,1,2,3", classes=3, **options):
    return section("yolo", mask=mask, classes=classes, num=4, anchors="10,14, 23,27, 37,58, 81,82", **options)


def make(folder, text, seed=0):
    """Paths of a .cfg with this text and of .weights for it with random numbers, all that a trained one may have."""
    network = DarknetNetwork(parse(text))
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, (torch.nn.Conv2d, torch.nn.Linear)):
            module.weight.data.normal_(0, module.weight[0].numel() ** -0.5, generator=generator)
            if module.bias is not None:
                module.bias.data.normal_(0, 0.3, generator=generator)
        elif isinstance(module, (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)):
            module.weight.data.uniform_(0.5, 1.5, generator=generator)
            module.bias.data.normal_(0, 0.3, generator=generator)
            module.running_mean.normal_(0, 0.3, generator=generator)
            module.running_var.uniform_(0.3, 1.7, generator=generator)
        elif isinstance(module, Shortcut) and module.weight is not None:
            module.weight.data.normal_(0.5, 0.5, generator=generator)
    paths = folder / f"net{seed}.cfg", folder / f"net{seed}.weights"
    paths[0].write_text(text)
    weights.write(paths[1], network)
    return paths


def images_for(network, batch=1, seed=0):
    """float32 images [B, C, H, W] in 0..1 of the cfg's size, NumPy."""
    shape = (batch, network.cfg.net["channels"], *network.input_size)
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


def from_opencv(cfg, weights, images):
    """OpenCV's outputs for images [B, C, H, W], in the order of the cfg's layers."""
    if not hasattr(cv2.dnn, "readNetFromDarknet"):
        pytest.skip("this OpenCV has no Darknet reader (5.0 and later)")
    reader = cv2.dnn.readNetFromDarknet(str(cfg), str(weights))
    reader.setInput(images)
    return reader.forward(reader.getUnconnectedOutLayersNames())


def compare_with_opencv(folder, text, seed=0, atol=1e-4):
    """Build, run in both and compare every output; returns ours."""
    cfg, path = make(folder, text, seed)
    network = load(cfg, path)
    images = images_for(network, seed=seed)
    ours = network.region_outputs(torch.from_numpy(images))
    theirs = from_opencv(cfg, path, images)
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert b.std() > 1e-3, "an output that hardly varies tests nothing"
        torch.testing.assert_close(torch.from_numpy(a.reshape(b.shape)), torch.from_numpy(b), rtol=0, atol=atol)
    return ours
