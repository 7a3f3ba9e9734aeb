"""Decoding for running equals the heads' own: to the last digit with torch's functions, nearly with NumPy's."""

import dataclasses
import math
import warnings

import numpy as np
import pytest
import torch

from detect.darknet.cfg import parse
from detect.darknet.network import DarknetNetwork
from detect.inference.torch_runtime import decoder_of
from detect.models.heads.yolo import YOLOv3
from detect.ops import decode
from detect.ops.decode import Decoder, Functions
from tests.small_nets import conv, net, section, yolo

pytestmark = pytest.mark.usefixtures("one_thread")

REGION = {"classes": 5, "num": 4, "anchors": "1,1.4, 2.3,2.7, 3.7,5.8, 8.1,8.2", "softmax": 1}


def yolov3(num_classes, **options):
    return YOLOv3((8, 8, 8), (8, 16, 32), num_classes, **options)


def darknet(text):
    return DarknetNetwork(parse(text)).head


def two_scales(first, second):
    """The head of a net whose first [yolo] is coarse, its second fine."""
    logistic = {name: "logistic" if options.get("new_coords") else "linear" for name, options in (first, second)}
    coarse = conv(16, stride=2) + conv(16, stride=2) + conv(24, 1, logistic["3,1,0"], 0) + yolo("3,1,0", **first[1])
    rest = section("route", layers=-3) + section("upsample", stride=2) + conv(16, 1, logistic["1,2"], 0)
    return darknet(net(64, 96) + coarse + rest + yolo("1,2", **second[1]))


HEADS = {
    "yolov3, 80 classes": lambda: yolov3(80),
    "yolov3, 3 classes": lambda: yolov3(3),
    "yolov3, 1 class": lambda: yolov3(1),
    "scale_x_y": lambda: yolov3(20, anchors="coco9_v4", scale_x_y=[1.2, 1.1, 1.05]),
    "darknet": lambda: two_scales(("3,1,0", {"scale_x_y": 1.05}), ("1,2", {})),
    "new_coords": lambda: two_scales(
        ("3,1,0", {"scale_x_y": 2, "new_coords": 1}), ("1,2", {"scale_x_y": 2, "new_coords": 1})
    ),
    "new_coords on one scale": lambda: two_scales(("3,1,0", {"scale_x_y": 2, "new_coords": 1}), ("1,2", {})),
    "region": lambda: darknet(net(64, 96) + conv(8, stride=8) + conv(40, 1, "linear", 0) + section("region", **REGION)),
    "region, classfix=-1": lambda: darknet(
        net(64, 96) + conv(8, stride=8) + conv(40, 1, "linear", 0) + section("region", **REGION, classfix=-1)
    ),
}


def random_maps(head, batch=2, spread=3.0, seed=0, height=96, width=64):
    generator = torch.Generator().manual_seed(seed)
    shapes = [
        (batch, len(anchors) * (5 + head.num_classes), height // stride, width // stride)
        for anchors, stride in zip(head.anchors, head.strides, strict=True)
    ]
    return [spread * torch.randn(shape, generator=generator) for shape in shapes]


def decoded_by_the_head(head, raw, min_score):
    """What `head.decode` gives, above the score: per image boxes, scores, labels."""
    for boxes, scores in zip(*head.decode(raw), strict=True):
        index, labels = (scores > min_score).nonzero(as_tuple=True)
        yield boxes[index].numpy(), scores[index, labels].numpy(), labels.numpy()


@pytest.mark.parametrize("min_score", [0.0, 0.001, 0.25, 0.9])
@pytest.mark.parametrize("name", HEADS)
def test_candidates_equal_the_heads_own_decoding(name, min_score):
    head = HEADS[name]()
    raw = random_maps(head)
    decoder = decoder_of(head)
    maps = [level.numpy() for level in raw]
    in_numpy = dataclasses.replace(decoder, functions=Functions())(maps, min_score)
    for expected, found, near in zip(
        decoded_by_the_head(head, raw, min_score), decoder(maps, min_score), in_numpy, strict=True
    ):
        assert len(expected[1]) > 0 or min_score == 0.9
        for theirs, ours in zip(expected, found, strict=True):
            assert ours.dtype == theirs.dtype
            np.testing.assert_array_equal(ours, theirs)
        np.testing.assert_array_equal(near.labels, expected[2])
        np.testing.assert_allclose(near.boxes, expected[0], rtol=1e-5, atol=1e-4)
        np.testing.assert_allclose(near.scores, expected[1], rtol=1e-5, atol=1e-6)


def test_layout_in_memory_changes_nothing():
    head = yolov3(20)
    raw = random_maps(head)
    plain = decoder_of(head)([level.numpy() for level in raw], 0.1)
    last = decoder_of(head)([level.to(memory_format=torch.channels_last).numpy() for level in raw], 0.1)
    backwards = decoder_of(head)([np.flip(np.flip(level.numpy(), 2).copy(), 2) for level in raw], 0.1)
    for one, other, third in zip(plain, last, backwards, strict=True):
        for a, b, c in zip(one, other, third, strict=True):
            np.testing.assert_array_equal(a, b)
            np.testing.assert_array_equal(a, c)


def test_only_cells_of_enough_objectness_are_computed():
    seen = []

    def counting(x):
        seen.append(len(x))
        return decode.sigmoid(x)

    head = yolov3(20)
    decoder = dataclasses.replace(decoder_of(head), functions=Functions(sigmoid=counting))
    raw = [np.full((1, 75, side, side), -20, np.float32) for side in (8, 4, 2)]
    raw[1][0, 25 + 4, 1, 2] = 5
    raw[1][0, 25 + 7, 1, 2] = 5
    (found,) = decoder(raw, 0.25)
    assert found.labels.tolist() == [2] and set(seen) == {1}


def test_no_candidates_are_empty_arrays():
    for min_score in (0.25, 1.0):
        (found,) = decoder_of(yolov3(3))(
            [np.full((1, 24, side, side), -9, np.float32) for side in (8, 4, 2)], min_score
        )
        assert [(field.shape, field.dtype) for field in found] == [((0, 4), "f4"), ((0,), "f4"), ((0,), "i8")]


def test_scores_near_the_minimum_are_not_lost():
    """The cells are chosen by their logits, candidates by their scores."""
    head = yolov3(1)
    logits = torch.linspace(-25, 25, 8 * 12)
    for min_score in (1e-9, 1e-6, 2e-6, 0.001, 0.5, 0.9999, 0.9999995, 1.0):
        raw = [torch.full((1, 18, 96 // stride, 64 // stride), 30.0) for stride in head.strides]
        raw[0][0, 4] = logits.view(12, 8) + math.log(min_score / (1 - min_score)) if min_score < 1 else 30.0
        ((_, scores, _),) = decoded_by_the_head(head, raw, min_score)
        (found,) = decoder_of(head)([level.numpy() for level in raw], min_score)
        np.testing.assert_array_equal(found.scores, scores)


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("functions", ["torch", "numpy"])
def test_nonsense_gives_scores_that_are_numbers_without_a_warning(name, functions):
    head = HEADS[name]()
    rng = np.random.default_rng(0)
    raw = [level.numpy() for level in random_maps(head, batch=1)]
    for level in raw:
        for value in (math.nan, math.inf, -math.inf, 3e38, -3e38, 1e-40):
            level[rng.random(level.shape) < 0.05] = value
    decoder = decoder_of(head)
    if functions == "numpy":
        decoder = dataclasses.replace(decoder, functions=Functions())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (found,) = decoder(raw, 0.001)
    assert len(found.scores) and not np.isfinite(found.boxes).all()  # kept, so that broken weights are noticed
    assert (found.scores > 0.001).all() and (found.scores <= 1).all()


def test_sigmoid_and_softmax_are_accurate():
    x = np.linspace(-80, 80, 100_001, dtype=np.float32)
    exact = 1 / (1 + np.exp(-x.astype(np.float64)))
    np.testing.assert_allclose(decode.sigmoid(x), exact, rtol=4e-7, atol=0)
    rows = np.random.default_rng(0).normal(0, 5, (100, 20)).astype(np.float32)
    powers = np.exp(rows.astype(np.float64))
    np.testing.assert_allclose(decode.softmax(rows), powers / powers.sum(1, keepdims=True), rtol=2e-6, atol=0)


def test_a_decoder_is_plain_numbers():
    head = yolov3(7, scale_x_y=1.1)
    decoder = decoder_of(head)
    values = dataclasses.asdict(decoder) | {"functions": None}
    assert Decoder(**values | {"functions": decoder.functions}) == decoder
    assert (decoder.strides, decoder.num_classes, decoder.scale_x_y) == ((8, 16, 32), 7, (1.1, 1.1, 1.1))
    assert decoder.anchors[0][0] == (10, 13) and decoder.new_coords == (False, False, False)
