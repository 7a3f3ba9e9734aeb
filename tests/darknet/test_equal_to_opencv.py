"""Our Darknet networks give what OpenCV's own Darknet reader gives: recorded, live on small nets, and in images."""

import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch
from torch.testing import assert_close

from detect.darknet.head import REGION_THRESHOLD
from detect.darknet.network import load
from detect.inference.torch_runtime import TorchRuntime
from detect.ops.nms import nms
from tests.small_nets import compare_with_opencv, conv, from_opencv, images_for, make, net, section, yolo

GOLDEN = (
    "yolo-fastest-1.1", "MobileNetV2-YOLOv3-Nano-voc", "yolov3-tiny-prn", "csresnet50", "csresnext50",
    "csresnext50-panet-spp",
)  # fmt: skip
REAL = GOLDEN[:2]


@pytest.mark.parametrize("name", GOLDEN)
def test_recorded_outputs_of_opencv(shared, tmp_path, name):
    folder = shared / "darknet"
    golden = np.load(folder / "golden" / f"{name}.npz")
    cfg, path = folder / f"{name}.cfg", folder / f"{name}.weights"
    if golden["seed"]:
        path = tmp_path / "random.weights"
        command = [sys.executable, folder / "random_weights.py", cfg, path, "--seed", str(golden["seed"])]
        subprocess.run(command, check=True)
    images = torch.from_numpy(golden["rgb"]).permute(2, 0, 1)[None].float() / 255
    outputs = load(cfg, path).region_outputs(images)
    assert len(outputs) == len(golden["layers"])
    for i, output in enumerate(outputs):
        assert_close(torch.from_numpy(output), torch.from_numpy(golden[f"out{i}"]), rtol=0, atol=1e-4)


@pytest.mark.parametrize("activation", ["linear", "leaky", "relu", "logistic", "swish", "mish", "tanh"])
def test_convolution_with_and_without_normalisation(tmp_path, activation):
    text = net(23, 40) + conv(9, activation=activation) + conv(5, activation=activation, batch_normalize=0)
    compare_with_opencv(tmp_path, text)


def test_convolution_kernels_paddings_and_strides(tmp_path):
    text = net(37, 29, channels=2) + conv(8, 5, pad=0, padding=1, stride=2) + conv(6, 2, pad=0) + conv(7, 4)
    compare_with_opencv(tmp_path, text)


def test_convolution_in_groups(tmp_path):
    text = net(37, 29, channels=4) + conv(8, groups=4) + conv(16, groups=8, stride=2) + conv(16, groups=16)
    compare_with_opencv(tmp_path, text)


@pytest.mark.parametrize(
    "options",
    [{"size": 2, "stride": 2}, {"size": 2, "stride": 1}, {"size": 3, "stride": 2}, {"size": 9, "stride": 1},
     {"size": 3, "stride": 3}, {"size": 3, "stride": 2, "padding": 0}, {"size": 4, "stride": 2, "padding": 5}],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("size", [(29, 38), (24, 31)])
def test_maxpool(tmp_path, options, size):
    compare_with_opencv(tmp_path, net(*size) + conv() + section("maxpool", **options))


def test_spatial_pyramid_of_maxpools(tmp_path):
    pools = section("maxpool", size=5, stride=1) + section("route", layers=-2) + section("maxpool", size=13, stride=1)
    compare_with_opencv(tmp_path, net(19, 22) + conv() + pools + section("route", layers="-1,-3,0") + conv(5))


def test_classifier_with_average_pool_softmax_and_cost(tmp_path):
    tail = section("avgpool") + section("softmax", groups=1) + section("cost", type="sse")
    (scores,) = compare_with_opencv(tmp_path, net(33, 27) + conv(stride=2) + conv(10, 1, "linear", 0) + tail)
    assert_close(scores.sum(), np.float32(1))


def test_route_absolute_and_relative(tmp_path):
    text = net(31, 26) + conv() + conv(6) + section("route", layers="-1,0") + conv(4) + section("route", layers=1)
    compare_with_opencv(tmp_path, text + conv(4) + section("route", layers="-1,3,0"))


@pytest.mark.parametrize("group", [0, 1])
def test_route_in_groups(tmp_path, group):
    route = section("route", layers=-1, groups=2, group_id=group)
    compare_with_opencv(tmp_path, net(31, 26) + conv(8) + route + conv(4) + section("route", layers="-1,0") + conv(3))


@pytest.mark.parametrize("channels", [5, 8, 12])
@pytest.mark.parametrize("activation", ["linear", "leaky", "mish"])
def test_shortcut_adds_the_first_channels(tmp_path, channels, activation):
    shortcut = section("shortcut", from_=-2, activation=activation)
    compare_with_opencv(tmp_path, net(31, 26) + conv(channels) + conv(8, activation="linear") + shortcut + conv(7))


@pytest.mark.parametrize("stride", [2, 3])
def test_upsample(tmp_path, stride):
    compare_with_opencv(tmp_path, net(31, 26) + conv(6, stride=2) + section("upsample", stride=stride) + conv(4))


def test_scale_channels(tmp_path):
    gate = section("avgpool") + conv(4, 1, "relu") + conv(8, 1, "logistic") + section("scale_channels", from_=-4)
    compare_with_opencv(tmp_path, net(31, 26) + conv(8) + gate + conv(5))


def test_sam(tmp_path):
    text = net(31, 26) + conv(8) + conv(8, 1, "logistic") + section("sam", from_=-2) + conv(5)
    compare_with_opencv(tmp_path, text)


@pytest.mark.parametrize(("stride", "size"), [(2, (28, 36)), (3, (27, 33))])
def test_reorg(tmp_path, stride, size):
    compare_with_opencv(tmp_path, net(*size) + conv(2 * stride**2) + section("reorg", stride=stride) + conv(4))


def test_dropout_does_nothing_in_inference(tmp_path):
    compare_with_opencv(tmp_path, net(31, 26) + conv(8) + section("dropout", probability=0.5) + conv(4))


def test_connected(tmp_path):
    layers = section("connected", output=7, activation="leaky") + section("connected", output=5, activation="linear")
    compare_with_opencv(tmp_path, net(11, 8) + conv(6) + layers)


@pytest.mark.parametrize("seed", range(3))
def test_yolo_in_two_scales_with_any_masks(tmp_path, seed):
    coarse = conv(16, stride=2) + conv(16, stride=2) + conv(16, 1, "linear", 0) + yolo("3,1", scale_x_y=1.2)
    fine = section("route", layers=-3) + section("upsample", stride=2) + conv(24, 1, "linear", 0) + yolo("1,2,0")
    compare_with_opencv(tmp_path, net(64 + 32 * seed, 96) + coarse + fine, seed)


def test_yolo_with_new_coords(tmp_path):
    text = net(64, 96) + conv(8, stride=2) + conv(16, 1, "logistic", 0) + yolo("2,3", scale_x_y=2, new_coords=1)
    compare_with_opencv(tmp_path, text)


def test_outputs_of_a_batch_are_those_of_its_images(tmp_path):
    text = net(64, 32) + conv(8, stride=4) + conv(16, 1, "linear", 0) + yolo("2,3")
    cfg, path = make(tmp_path, text)
    network = load(cfg, path)
    images = images_for(network, batch=3)
    (ours,) = network.region_outputs(torch.from_numpy(images))
    (theirs,) = from_opencv(cfg, path, images)
    assert_close(torch.from_numpy(ours), torch.from_numpy(theirs), rtol=0, atol=1e-4)
    assert ours.shape == (3, 8 * 16 * 2, 8)


@pytest.mark.parametrize("options", [{}, {"thresh": 0.1}, {"classfix": -1}], ids=str)
def test_region_before_opencvs_suppression(tmp_path, options):
    """OpenCV suppresses boxes of a class that overlap by more than 0.4 within its [region] layer, and only there."""
    region = section("region", classes=3, num=4, anchors="1,1.4, 2.3,2.7, 3.7,5.8, 8.1,8.2", softmax=1, **options)
    cfg, path = make(tmp_path, net(64, 96) + conv(8, stride=2) + conv(8, stride=4) + conv(32, 1, "linear", 0) + region)
    network = load(cfg, path)
    images = images_for(network)
    (ours,) = network.region_outputs(torch.from_numpy(images))
    (theirs,) = from_opencv(cfg, path, images)
    assert_close(torch.from_numpy(ours[:, :5]), torch.from_numpy(theirs[:, :5]), rtol=0, atol=1e-4)
    corners = np.concatenate([ours[:, :2] - ours[:, 2:4] / 2, ours[:, 2:4]], axis=1)
    for label in range(5, 8):
        kept = cv2.dnn.NMSBoxes(corners, ours[:, label], options.get("thresh", REGION_THRESHOLD), 0.4)
        suppressed = np.zeros(len(ours), dtype=np.float32)
        suppressed[kept] = ours[kept, label]
        assert 0 < len(kept) < np.count_nonzero(ours[:, label])
        assert_close(torch.from_numpy(suppressed), torch.from_numpy(theirs[:, label]), rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", REAL)
def test_real_detectors_find_the_same_boxes_in_images(shared, name):
    folder = shared / "darknet"
    cfg, path = folder / f"{name}.cfg", folder / f"{name}.weights"
    network = load(cfg, path)
    runtime = TorchRuntime(network, range(network.num_classes), 320)
    found = 0
    for image in sorted((shared / "demo" / "photos").glob("*.jpg")):
        pixels = cv2.resize(cv2.imread(str(image)), (320, 320))[..., ::-1]  # stretched, as Darknet and OpenCV do
        images = np.ascontiguousarray(pixels.transpose(2, 0, 1)[None], dtype=np.float32) / 255
        (candidates,) = runtime(pixels[None].copy(), 0.25)
        ours = nms(candidates, overlap="iou", threshold=0.45)
        theirs = opencv_detections(np.concatenate(from_opencv(cfg, path, images)), 320, 0.25, 0.45)
        ours = np.column_stack([ours.labels, ours.scores, ours.boxes])
        assert len(ours) == len(theirs)
        order = np.lexsort(np.round(ours.T, 2)), np.lexsort(np.round(theirs.T, 2))
        assert_close(ours[order[0]].astype(np.float32), theirs[order[1]].astype(np.float32), rtol=0, atol=0.01)
        found += len(ours)
    assert found > 8


def opencv_detections(rows, size, min_score, threshold):
    """[n, 6] label, score and box xyxy in px of OpenCV's rows, suppressed by OpenCV class by class."""
    centre, sides = rows[:, :2] * size, rows[:, 2:4] * size
    corners = np.concatenate([centre - sides / 2, sides], axis=1)
    found = [
        (label, rows[i, 5 + label], *corners[i, :2], *(corners[i, :2] + corners[i, 2:]))
        for label in range(rows.shape[1] - 5)
        for i in cv2.dnn.NMSBoxes(corners, rows[:, 5 + label], min_score, threshold)
    ]
    return np.array(found).reshape(-1, 6)
