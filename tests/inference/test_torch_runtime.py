"""A detector run by PyTorch."""

import dataclasses
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from detect.darknet.cfg import parse
from detect.darknet.network import DarknetNetwork
from detect.errors import UserError
from detect.inference.predictor import Predictor
from detect.inference.torch_runtime import TorchRuntime, pick_device
from detect.models.detector import build_detector
from detect.ops.decode import Functions
from tests.small_nets import conv, net, yolo

pytestmark = pytest.mark.usefixtures("one_thread")

PARTS = {"backbone": {"name": "CSPPeleeNet"}, "neck": {"name": "EFM"}, "head": {"name": "YOLOv3"}}


@pytest.fixture(scope="module")
def detector():
    """The paper's detector with random weights, that sees objects of every score everywhere."""
    torch.manual_seed(0)
    detector = build_detector(PARTS, num_classes=3).eval()
    with torch.no_grad():
        for last in detector.head.predictions:
            last.weight.mul_(20)
            last.bias.zero_()
    return detector


@pytest.fixture
def squares():
    return np.random.default_rng(0).integers(0, 255, (3, 64, 64, 3), dtype=np.uint8)


def test_candidates_are_those_of_the_fused_detector(detector, squares):
    runtime = TorchRuntime(detector, "abc", 64)
    found = runtime(squares, 0.3)
    assert len(found) == 3
    with torch.inference_mode():
        for candidates, square in zip(found, squares, strict=True):
            images = torch.from_numpy(square[None]).permute(0, 3, 1, 2).float() / 255
            boxes, scores = runtime.network.decode(runtime.network(images))
            index, labels = (scores[0] > 0.3).nonzero(as_tuple=True)
            assert 0 < len(index) < scores.numel()
            np.testing.assert_array_equal(candidates.boxes, boxes[0, index])
            np.testing.assert_array_equal(candidates.scores, scores[0, index, labels])
            np.testing.assert_array_equal(candidates.labels, labels)


def test_network_sees_rgb_in_0_to_1(detector, squares):
    runtime = TorchRuntime(detector, "abc", 64)
    seen = []
    runtime.network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    runtime(squares[:1], 0.5)
    torch.testing.assert_close(seen[0], torch.from_numpy(squares[:1]).permute(0, 3, 1, 2) / 255)


def test_the_cpu_takes_a_batch_one_by_one(detector, squares):
    runtime = TorchRuntime(detector, "abc", 64)
    seen = []
    runtime.network.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    runtime(squares, 0.5)
    assert seen == [1, 1, 1] and runtime(squares[:0], 0.5) == []


def test_the_callers_detector_is_left_alone(squares):
    detector = build_detector(PARTS, num_classes=3).train()
    before = {name: value.clone() for name, value in detector.state_dict().items()}
    TorchRuntime(detector, "abc", 64)(squares, 0.1)
    assert detector.training and all(p.requires_grad for p in detector.parameters())
    assert all(torch.equal(value, before[name]) for name, value in detector.state_dict().items())


def test_fused_copy_finds_what_the_detector_finds():
    torch.manual_seed(0)
    detector = build_detector(PARTS, num_classes=3).eval()
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    runtime = TorchRuntime(detector, "abc", 64)
    (found,) = Predictor(runtime, min_score=0.0, nms={"threshold": 1.0}, max_detections=10**6).detect_batch([image])
    with torch.no_grad():
        boxes, scores = detector.decode(detector(torch.from_numpy(image).permute(2, 0, 1)[None] / 255))
    assert len(found.scores) == scores.numel()
    expected = scores.flatten().sort(descending=True).values
    torch.testing.assert_close(torch.from_numpy(found.scores), expected, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(torch.from_numpy(found.boxes).sum(), boxes.clamp(0, 64).sum() * 3, rtol=1e-3, atol=1e-2)


def test_decoding_in_numpy_alone_finds_nearly_the_same(detector, squares):
    runtime = TorchRuntime(detector, "abc", 64)
    raw = runtime.raw(squares)
    of_torch, of_numpy = runtime.decoder, dataclasses.replace(runtime.decoder, functions=Functions())
    for ours, theirs in zip(of_numpy(raw, 0.001), of_torch(raw, 0.001), strict=True):
        np.testing.assert_array_equal(ours.labels, theirs.labels)
        np.testing.assert_allclose(ours.boxes, theirs.boxes, rtol=1e-5, atol=1e-4)
        np.testing.assert_allclose(ours.scores, theirs.scores, rtol=1e-5, atol=1e-6)


def test_a_darknet_network_runs(squares):
    network = DarknetNetwork(parse(net(64, 64) + conv(8, stride=8) + conv(32, 1, "linear", 0) + yolo()))
    found = TorchRuntime(network, "abc", 64)(squares, 0.1)
    assert len(found) == 3 and all(len(candidates.scores) for candidates in found)


def test_moving_returns_the_runtime(detector):
    runtime = TorchRuntime(detector, "abc", 64, torch.device("cpu"))
    assert runtime.to("cpu") is runtime and runtime.device == torch.device("cpu")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": 100}, "size is 100 px; give a multiple of 32, such as 96"),
        ({"size": 0}, "give a multiple of 32, such as 32"),
        ({"size": "big"}, "such as 416"),
        ({"names": ["a"]}, "1 class names for a detector of 3 classes"),
        ({"device": "gpu"}, r"^gpu: not there \("),
        ({"device": "meta"}, "^meta: not supported; give cpu, cuda, cuda:1, ... or mps"),
    ],
)
def test_wrong_arguments_are_one_sentence(detector, changes, message):
    with pytest.raises(UserError, match=message) as raised:
        TorchRuntime(detector, **({"names": "abc", "size": 64} | changes))
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize("name", ["cuda", "cuda:99", "mps"])
def test_a_device_that_is_not_there_is_one_sentence(name):
    if torch.device(name).type == "cuda" and name == "cuda" and torch.cuda.is_available():
        pytest.skip("it is there")
    if name == "mps" and torch.backends.mps.is_available():
        pytest.skip("it is there")
    with pytest.raises(UserError, match=rf"^{name}: not there \(") as raised:
        pick_device(name)
    assert len(str(raised.value).splitlines()) == 1


def test_without_a_name_the_device_is_cuda_where_there_is_one():
    assert pick_device().type == ("cuda" if torch.cuda.is_available() else "cpu")


FORKED = """
import os, signal, time
import numpy as np, torch
from detect.inference.torch_runtime import TorchRuntime
from tests.inference.test_torch_runtime import PARTS, build_detector

torch.set_num_threads(2)
runtime = TorchRuntime(build_detector(PARTS, 3), "abc", 128)
squares = np.full((1, 128, 128, 3), 90, np.uint8)
ours = runtime.raw(squares)
child = os.fork()
if child == 0:
    theirs = runtime.raw(squares)
    os._exit(0 if all(np.allclose(a, b, atol=1e-4) for a, b in zip(ours, theirs)) else 1)
for _ in range(100):
    ended, status = os.waitpid(child, os.WNOHANG)
    if ended:
        raise SystemExit(os.waitstatus_to_exitcode(status))
    time.sleep(0.1)
os.kill(child, signal.SIGKILL)
raise SystemExit("hangs")
"""


def test_a_forked_process_predicts():
    environment = os.environ | {"OMP_NUM_THREADS": "2", "PYTHONPATH": os.pathsep.join(sys.path)}
    ran = subprocess.run([sys.executable, "-c", FORKED], env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
