"""The YOLOv3 head decodes exactly as Darknet's `[yolo]` layer does."""

import math

import pytest
import torch
from torch.testing import assert_close

from detect.errors import UserError
from detect.models.heads import YOLOv3
from detect.models.heads.yolo import ANCHORS
from detect.models.registry import HEADS

CHANNELS, STRIDES = (8, 16, 16), (8, 16, 32)


def head(num_classes=3, **options):
    return YOLOv3(CHANNELS, STRIDES, num_classes, **options).eval()


def random_raw(head, height, width, batch=2, seed=0):
    """Raw maps as a trained head may give them, for an input of width x height px."""
    generator = torch.Generator().manual_seed(seed)
    channels = len(head.anchors[0]) * (5 + head.num_classes)
    return [1.5 * torch.randn(batch, channels, height // s, width // s, generator=generator) for s in STRIDES]


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def darknet_decode(level, anchors, net_width, net_height, num_classes, scale_x_y):
    """One map [A*(5+K), H, W] of Darknet's `[yolo]`, number after number (its yolo_layer.c).

    bx = (sig(tx)*s - (s-1)/2 + column) / W, bw = exp(tw) * anchor / net width, both as shares of the input.
    """
    _, height, width = level.shape
    boxes, scores = [], []
    for a, (anchor_width, anchor_height) in enumerate(anchors):
        for row in range(height):
            for column in range(width):
                tx, ty, tw, th, obj, *classes = level[a * (5 + num_classes) : (a + 1) * (5 + num_classes), row, column]
                bx = (sigmoid(tx) * scale_x_y - (scale_x_y - 1) / 2 + column) / width
                by = (sigmoid(ty) * scale_x_y - (scale_x_y - 1) / 2 + row) / height
                bw = math.exp(tw) * anchor_width / net_width
                bh = math.exp(th) * anchor_height / net_height
                boxes.append(
                    [
                        (bx - bw / 2) * net_width,
                        (by - bh / 2) * net_height,
                        (bx + bw / 2) * net_width,
                        (by + bh / 2) * net_height,
                    ]
                )
                scores.append([sigmoid(obj) * sigmoid(c) for c in classes])
    return boxes, scores


@pytest.mark.parametrize("scale_x_y", [1.0, 1.1, [1.2, 1.1, 1.05]])
@pytest.mark.parametrize(("height", "width"), [(64, 64), (64, 96), (96, 32)])
def test_decode_equals_darknets_formula(scale_x_y, height, width):
    model = head(scale_x_y=scale_x_y)
    raw = random_raw(model, height, width)
    boxes, scores = model.decode(raw)
    scales = scale_x_y if isinstance(scale_x_y, list) else [scale_x_y] * 3
    for image in range(2):
        expected_boxes, expected_scores = [], []
        for i, level in enumerate(raw):
            anchors = ANCHORS["coco9"][3 * i : 3 * i + 3]
            decoded = darknet_decode(level[image].double().numpy(), anchors, width, height, 3, scales[i])
            expected_boxes += decoded[0]
            expected_scores += decoded[1]
        assert_close(boxes[image], torch.tensor(expected_boxes), rtol=1e-5, atol=1e-3)
        assert_close(scores[image], torch.tensor(expected_scores), rtol=1e-5, atol=1e-6)


def test_zero_logits_give_the_anchor_at_the_middle_of_its_cell():
    model = head(num_classes=1)
    boxes, scores = model.decode([torch.zeros_like(level) for level in random_raw(model, 32, 64, batch=1)])
    first = torch.tensor([4 - 10 / 2, 4 - 13 / 2, 4 + 10 / 2, 4 + 13 / 2])  # finest scale, anchor 10x13, cell (0, 0)
    last = torch.tensor([48 - 373 / 2, 16 - 326 / 2, 48 + 373 / 2, 16 + 326 / 2])  # coarsest, 373x326, cell (1, 0)
    assert_close(boxes[0, 0], first)
    assert_close(boxes[0, -1], last)
    assert_close(scores, torch.full_like(scores, 0.25))


def test_predictions_are_ordered_by_scale_anchor_row_and_column():
    model = head()
    raw = random_raw(model, 64, 96)
    cells = model.cells(raw)
    assert len(cells.stride) == 3 * (8 * 12 + 4 * 6 + 2 * 3) == model.flatten(raw).shape[1]
    assert cells.position[13].tolist() == [1, 1]  # second row, second column of a map 12 cells wide
    assert cells.anchor[0].tolist() == [10, 13]
    assert cells.anchor[96].tolist() == [16, 30]
    assert cells.stride.unique_consecutive().tolist() == [8, 16, 32]
    level = raw[1].view(2, 3, 8, 4, 6)
    number = 3 * 96 + 2 * 24 + 3 * 6 + 5  # stride 16, third anchor, last row, last column
    assert_close(model.flatten(raw)[:, number], level[:, 2, :, 3, 5], rtol=0, atol=0)


@pytest.mark.parametrize("name", sorted(ANCHORS.keys() - {"coco6_tiny"}))
def test_finest_scale_has_the_smallest_anchors(name):
    areas = [w * h for scale in head(anchors=name).anchors for w, h in scale]
    assert len(areas) == 9
    assert max(areas[:3]) < min(areas[3:6]) <= max(areas[3:6]) < min(areas[6:])


def test_yolov3_tinys_scales_share_an_anchor():
    model = YOLOv3(CHANNELS[1:], STRIDES[1:], 4, anchors="coco6_tiny")
    assert model.anchors == [((23, 27), (37, 58), (81, 82)), ((81, 82), (135, 169), (344, 319))]


def test_scales_may_have_anchors_of_their_own_and_unequal_number():
    model = head(num_classes=2, anchors=[[[8, 8]], [[30, 30], [60, 50]], [[200, 180]]])
    assert [conv.out_channels for conv in model.predictions] == [7, 14, 7]
    raw = model([torch.zeros(1, c, 64 // s, 64 // s) for c, s in zip(CHANNELS, STRIDES, strict=True)])
    assert model.cells(raw).anchor.shape[0] == model.flatten(raw).shape[1] == 64 + 2 * 16 + 4


def test_own_anchors_are_shared_evenly_among_the_scales():
    model = head(num_classes=2, anchors=[[8, 8], [16, 24], [30, 30], [60, 50], [90, 90], [200, 180]])
    assert model.anchors == [((8, 8), (16, 24)), ((30, 30), (60, 50)), ((90, 90), (200, 180))]
    assert [conv.out_channels for conv in model.predictions] == [2 * (5 + 2)] * 3


@pytest.mark.parametrize("num_classes", [1, 2, 80])
def test_untrained_head_expects_one_object_in_a_hundred_cells(num_classes):
    model = head(num_classes)
    raw = model([torch.zeros(1, c, 2, 2) for c in CHANNELS])
    _, scores = model.decode(raw)
    assert_close(scores, torch.full_like(scores, 0.01 / max(num_classes, 2)))


def test_wild_predictions_stay_finite():
    model = head()
    raw = [torch.full_like(level, 1e4) for level in random_raw(model, 32, 32)]
    for wild in (raw, [-level for level in raw]):
        boxes, scores = model.decode(wild)
        assert boxes.isfinite().all()
        assert scores.isfinite().all()


def test_half_precision_maps_decode_in_single_precision():
    model = head()
    raw = random_raw(model, 64, 64)
    boxes, scores = model.decode([level.half() for level in raw])
    expected_boxes, expected_scores = model.decode([level.half().float() for level in raw])
    assert boxes.dtype == scores.dtype == torch.float32
    assert_close(boxes, expected_boxes)
    assert_close(scores, expected_scores)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"anchors": "coco8"}, "unknown anchors 'coco8'; known: coco9, coco9_v4"),
        ({"anchors": [[10, 10]] * 8}, "anchors must be .* a multiple of 3"),
        ({"anchors": []}, "anchors must be"),
        ({"anchors": [[10, 0], [20, 20], [30, 30]]}, "anchors must be"),
        ({"anchors": [[10, -5], [20, 20], [30, 30]]}, "anchors must be"),
        ({"anchors": [[10, 10, 10]] * 3}, "anchors must be"),
        ({"scale_x_y": [1.0, 1.1]}, "scale_x_y must be one number from 1 on, or one for each of the 3 scales"),
    ],
)
def test_wrong_anchors_and_scales_are_refused(options, message):
    with pytest.raises(UserError, match=f"head YOLOv3: {message}"):
        HEADS.build({"name": "YOLOv3", **options}, in_channels=CHANNELS, strides=STRIDES, num_classes=3)
