"""A Darknet network is a detector: the predictor and the loss take it, fused or not, at any size."""

import copy
import pickle

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from detect.darknet.cfg import parse
from detect.darknet.network import DarknetNetwork, load
from detect.inference.predictor import Predictor
from detect.inference.torch_runtime import TorchRuntime
from detect.losses.yolo import YOLOLoss
from detect.ops.image import read_image
from tests.small_nets import conv, images_for, make, net, section, yolo

TWO_SCALES = (
    net(64, 64)
    + conv(16, stride=4)
    + conv(32, stride=2)
    + conv(16, 1, "linear", 0)
    + yolo("2,3", scale_x_y=1.1)
    + section("route", layers=-3)
    + section("upsample", stride=2)
    + section("route", layers="-1,0")
    + conv(24, 1, "linear", 0)
    + yolo("0,1,2")
)
NEW_COORDS = net(64, 64) + conv(32, 7, stride=8) + conv(16, 1, "logistic", 0) + yolo("1,2", scale_x_y=2, new_coords=1)
REGION = net(64, 64) + conv(8, stride=8) + conv(16, 1, "linear", 0)
REGION += section("region", classes=3, num=2, anchors="1,1.4, 2.3,2.7", softmax=1)


def test_what_a_detector_shows(tmp_path):
    network = load(*make(tmp_path, TWO_SCALES))
    assert network.stride == 8
    assert network.num_classes == 3
    assert network.input_size == (64, 64)
    assert network.head.strides == (8, 4)
    assert network.head.anchors == [((37, 58), (81, 82)), ((10, 14), (23, 27), (37, 58))]
    assert network.head.all_anchors == [(10, 14), (23, 27), (37, 58), (81, 82)]
    assert network.head.anchor_ids == [(2, 3), (0, 1, 2)]
    assert network.nms == {"overlap": "iou", "threshold": 0.45}


@pytest.mark.parametrize(
    ("options", "nms"),
    [({"nms_kind": "greedynms", "beta_nms": 0.7}, {"overlap": "diou_beta", "threshold": 0.45, "beta": 0.6}),
     ({"nms_kind": "diounms", "beta_nms": 0.7}, {"overlap": "diou_beta", "threshold": 0.45, "beta": 0.7})],
    ids=str,
)  # fmt: skip
def test_suppression_of_the_cfg(options, nms):
    assert DarknetNetwork(parse(net() + conv(32, 1) + yolo(**options))).nms == nms


GAUSSIAN = net(64, 64) + conv(24, stride=8, activation="linear")
GAUSSIAN += section("Gaussian_yolo", classes=3, num=2, anchors="10,14, 23,27")


@pytest.mark.parametrize("text", [TWO_SCALES, NEW_COORDS, REGION, GAUSSIAN], ids=["yolo", "new", "region", "gaussian"])
@pytest.mark.parametrize("size", [(64, 64), (96, 32)])
def test_decoded_boxes_are_the_rows_in_px(tmp_path, text, size):
    """Rows are ordered by cell, then anchor, decoded boxes the other way round."""
    network = load(*make(tmp_path, text))
    width, height = size
    images = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        raw = network(images)
        boxes, scores = network.decode(raw)
        rows = network.head.rows(raw)
    expected = []
    for level, anchors in zip(rows, network.head.anchors, strict=True):
        level = level.view(2, -1, len(anchors), level.shape[-1]).transpose(1, 2).flatten(1, 2)
        centre, half = level[..., :2], level[..., 2:4] / 2
        expected.append(torch.cat([centre - half, centre + half, level[..., 5:]], dim=-1))
    expected = torch.cat(expected, dim=1)
    assert_close(boxes, expected[..., :4] * torch.tensor([width, height] * 2), rtol=1e-4, atol=1e-3)
    kept = expected[..., 4:] > 0  # rows have small scores set to 0
    assert kept.any()
    assert_close(scores[kept], expected[..., 4:][kept], rtol=1e-5, atol=1e-6)
    assert (scores[~kept] < 0.21).all()


def test_fusing_changes_nothing(tmp_path):
    layers = section("reorg", stride=2) + section("connected", output=6, batch_normalize=1, activation="linear")
    for seed, text in enumerate([TWO_SCALES, net(16, 16) + conv(8) + layers]):
        network = load(*make(tmp_path, text, seed))
        images = torch.from_numpy(images_for(network))
        with torch.no_grad():
            expected = network(images)
            fused = copy.deepcopy(network).fuse()
            assert not any("norm" in name for name in fused.state_dict())
            assert_close(fused(images), expected, rtol=1e-4, atol=1e-4)


def test_a_network_can_be_copied_and_pickled(tmp_path):
    network = load(*make(tmp_path, TWO_SCALES))
    images = torch.from_numpy(images_for(network))
    with torch.no_grad():
        assert_close(pickle.loads(pickle.dumps(network))(images), network(images), rtol=0, atol=0)


def test_maps_that_nobody_needs_are_let_go(tmp_path):
    """A hundred convolutions keep two maps alive, not a hundred."""
    network = load(*make(tmp_path, net() + conv(4) * 100))
    assert [len(indices) for indices in network.unneeded_after] == [1] * 100


def test_a_wrong_input_is_refused(tmp_path):
    network = load(*make(tmp_path, TWO_SCALES))
    with pytest.raises(ValueError, match="multiples of 8"):
        network(torch.zeros(1, 3, 64, 60))
    with pytest.raises(ValueError, match="input has 1 channels; the cfg's has 3"):
        network(torch.zeros(1, 1, 64, 64))
    network = load(*make(tmp_path, net(16, 16) + conv(4) + section("connected", output=6)))
    with pytest.raises(ValueError, match="need the cfg's 16x16"):
        network(torch.zeros(1, 3, 32, 32))


@pytest.mark.parametrize(
    ("text", "box"),
    [(TWO_SCALES, "mse"), (TWO_SCALES, "ciou"), (NEW_COORDS, "ciou")],
    ids=["yolo-mse", "yolo-ciou", "new_coords-ciou"],
)
def test_one_image_can_be_learnt(tmp_path, text, box):
    network = load(*make(tmp_path, text)).train()
    loss = YOLOLoss(network.head, box=box, box_weight=1.0)
    images = torch.from_numpy(images_for(network))
    boxes, labels = torch.tensor([[4.0, 6.0, 40.0, 58.0], [30.0, 8.0, 52.0, 30.0]]), torch.tensor([0, 2])
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    history = []
    for _ in range(150):
        terms = loss(network(images), [boxes], [labels])
        optimizer.zero_grad()
        sum(terms.values()).backward()
        optimizer.step()
        history.append(sum(terms.values()).item())
    assert history[-1] < 0.05 * history[0]
    with torch.no_grad():
        found, scores = network.decode(network(images))
    for box, label in zip(boxes, labels, strict=True):
        best = scores[0, :, label].argmax()
        assert scores[0, best, label] > 0.5
        assert_close(found[0, best], box, rtol=0, atol=6)


@pytest.mark.parametrize("name", ["yolo-fastest-1.1", "MobileNetV2-YOLOv3-Nano-voc"])
def test_the_predictor_finds_what_is_in_an_image(shared, name):
    network = load(shared / "darknet" / f"{name}.cfg", shared / "darknet" / f"{name}.weights")
    names = [str(i) for i in range(network.num_classes)]
    predictor = Predictor(TorchRuntime(network, names, 320), nms=network.nms)
    images = [read_image(path) for path in sorted((shared / "demo" / "photos").glob("*.jpg"))]
    found = predictor.detect_batch(images)
    person = {"yolo-fastest-1.1": 0, "MobileNetV2-YOLOv3-Nano-voc": 14}[name]
    assert sum(person in detections.labels for detections in found) >= 2
    assert all(np.isfinite(detections.boxes).all() for detections in found)
