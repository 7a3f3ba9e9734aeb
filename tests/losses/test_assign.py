"""Who learns what: each assignment on a hand-made example, and what holds for all of them."""

import math

import pytest
import torch
from torch.testing import assert_close
from torchvision.ops import box_iou

from detect.errors import PartError
from detect.losses.assign import ASSIGNMENTS
from detect.losses.yolo import YOLOLoss
from detect.models.heads.yolo import YOLOv3
from tests.losses.test_yolo_loss import all_ones, head_of, random_objects, random_raw

NAMES = ASSIGNMENTS.names()
TERMS = ("bce", "focal", "quality_focal", "varifocal")


def one_anchor(size=64, stride=16, side=16.0):
    """A head with one scale of one square anchor, and its raw map of zeros: every box is its cell."""
    head = YOLOv3((4,), (stride,), num_classes=2, anchors=[[side, side]])
    return head, [torch.zeros(1, 7, size // stride, size // stride)]


def assigned(head, raw, boxes, labels=None, **assign):
    """Prediction -> (object, what objectness, class and box are pulled to), of one image."""
    boxes = torch.tensor(boxes)
    labels = torch.arange(len(boxes)) % head.num_classes if labels is None else torch.tensor(labels)
    found = YOLOLoss(head, assign=assign).assign(raw, [boxes], [labels], [torch.ones(len(boxes))])
    assert found.image.eq(0).all()
    learned = {}
    for prediction, box, *targets in zip(
        found.prediction.tolist(), found.boxes, found.objectness, found.classes, found.box_weights, strict=True
    ):
        which = (boxes == box).all(1).nonzero()[0].item()
        learned.setdefault(prediction, []).append((which, *(float(t) for t in targets)))
    return learned


# ---- by hand ---------------------------------------------------------------------------------------------------------
# A map of 4x4 cells of 16 px, row by row 0..15; the anchor is as large as a cell.


def test_known_names():
    assert NAMES == ["atss", "best_anchor", "iou_threshold", "simota", "task_aligned"]


def test_iou_threshold_takes_all_that_overlap_enough_and_the_best_in_any_case():
    head, raw = one_anchor()
    # over cells 0 and 1, IoU 256 / 512 = 1/2 with each; beside it one of 8x8 px in cell 15, IoU 64 / 256
    learned = assigned(head, raw, [[0.0, 0.0, 32.0, 16.0], [50.0, 50.0, 58.0, 58.0]], name="iou_threshold")
    assert learned == {0: [(0, 1, 1, 1)], 1: [(0, 1, 1, 1)], 15: [(1, 1, 1, 1)]}
    stricter = assigned(head, raw, [[0.0, 0.0, 31.0, 16.0]], name="iou_threshold", threshold=0.6)
    assert list(stricter) == [0]  # 256 / 496 = 0.516 is the greatest


def test_iou_threshold_gives_an_anchor_to_the_object_it_overlaps_most():
    head, raw = one_anchor()
    boxes = [[0.0, 0.0, 16.0, 12.0], [0.0, 0.0, 16.0, 15.0]]  # IoU 0.75 and 0.94 with cell 0
    assert assigned(head, raw, boxes, name="iou_threshold") == {0: [(1, 1, 1, 1)]}


def test_atss_takes_the_mean_and_the_deviation_of_the_nearest_as_threshold():
    head, raw = one_anchor()
    # the nearest 4 cells to the centre (16, 8) are 0 and 1, then 4 and 5; IoUs 1/2, 1/2, 0, 0
    mean, deviation = 0.25, math.sqrt(4 * 0.25**2 / 3)
    assert mean + deviation > 0.5
    assert assigned(head, raw, [[0.0, 0.0, 32.0, 16.0]], name="atss", k=4) == {}
    # shifted by 4 px: IoUs 192/576 = 1/3 with cell 0, 256/512 = 1/2 with 1, 64/704 = 1/11 with 2, 0 with 5
    overlaps = torch.tensor([1 / 3, 1 / 2, 1 / 11, 0.0])
    assert 1 / 3 < overlaps.mean() + overlaps.std() < 1 / 2
    assert list(assigned(head, raw, [[4.0, 0.0, 36.0, 16.0]], name="atss", k=4)) == [1]
    # of 9: the mean falls
    assert list(assigned(head, raw, [[4.0, 0.0, 36.0, 16.0]], name="atss", k=9)) == [0, 1]


def test_atss_takes_no_cell_whose_centre_is_outside():
    head, raw = one_anchor(side=40.0)  # large anchors: neighbours overlap the object as well
    found = assigned(head, raw, [[17.0, 17.0, 31.0, 31.0]], name="atss")
    assert list(found) == [5]


def test_simota_counts_the_overlaps_and_takes_the_cheapest():
    head, raw = one_anchor()
    # IoU with cells 5 and 6: 1/2 each, 2 * 1/2 = 1: one prediction; the surer of its class is the cheaper
    box = [[16.0, 16.0, 48.0, 32.0]]
    raw[0][0, 5, 1, 2] = 1.0  # class 0 of cell 6
    assert assigned(head, raw, box, [0], name="simota") == {6: [(0, 1, 0.5, 1)]}
    assert assigned(head, raw, box, [1], name="simota") == {5: [(0, 1, 0.5, 1)]}
    raw[0][0, 2, 1, 1:3] = math.log(2.0)  # both twice as wide: 24 of 40 px, 0.6 each
    assert assigned(head, raw, box, [0], name="simota") == {6: [(0, 1, pytest.approx(0.6), 1)]}
    raw[0][0, 2, 1, 0::3] = math.log(6.0)  # cells 4 and 7 beside the object: 32 of 96 px, 1/3 each
    raw[0][0, 2, 2, 1:3], raw[0][0, 3, 2, 1:3] = math.log(2.0), math.log(4.0)  # 9 and 10 below: 384 of 2176, 0.176
    assert set(assigned(head, raw, box, [0], name="simota")) == {5, 6}  # the sum is 2.2


def test_simota_gives_a_prediction_to_the_object_where_it_costs_least():
    head, raw = one_anchor()
    raw[0][0, 6, 1, 1] = 1.0  # cell 5 is of class 1
    boxes = [[16.0, 16.0, 32.0, 31.0], [16.0, 16.0, 32.0, 30.0]]
    assert assigned(head, raw, boxes, [0, 1], name="simota") == {5: [(1, 1, pytest.approx(14 / 16), 1)]}
    assert assigned(head, raw, boxes, [1, 1], name="simota") == {5: [(0, 1, pytest.approx(15 / 16), 1)]}


def test_simotas_cost_is_cross_entropy_and_three_times_the_log_of_the_iou():
    """Two predictions of one object: the worse box wins exactly when its class saves more than 3 log u loses."""
    head, raw = one_anchor()
    box = torch.tensor([[16.0, 16.0, 44.0, 32.0]])
    for logit in torch.linspace(0, 8, 33):
        raw[0][0, 5, 1, 2] = logit  # cell 6, of IoU 192/512; cell 5 has 256/448
        costs = []
        for class_logit, overlap in ((0.0, 256 / 448), (float(logit), 192 / 512)):
            p = [math.sqrt(0.5 / (1 + math.exp(-x))) for x in (class_logit, 0.0)]
            costs.append(-math.log(p[0]) - math.log(1 - p[1]) - 3 * math.log(overlap))
        cheapest = 5 if costs[0] < costs[1] else 6
        assert list(assigned(head, raw, box.tolist(), [0], name="simota")) == [cheapest]


def test_task_aligned_scales_the_alignment_to_the_best_iou():
    head, raw = one_anchor()
    raw[0][0, 4, 1, 1:3] = torch.tensor([2.0, -1.0])  # objectness of cells 5 and 6
    scores = [0.5 / (1 + math.exp(-2)), 0.5 / (1 + math.exp(1))]
    overlaps = [256 / 448, 192 / 512]
    t = [s * u**6 for s, u in zip(scores, overlaps, strict=True)]
    learned = assigned(head, raw, [[16.0, 16.0, 44.0, 32.0]], [0], name="task_aligned")
    assert set(learned) == {5, 6}
    for cell, expected in ((5, overlaps[0]), (6, overlaps[0] * t[1] / t[0])):
        assert learned[cell] == [pytest.approx((0, expected, 1, expected))]
    one = assigned(head, raw, [[16.0, 16.0, 44.0, 32.0]], [0], name="task_aligned", top=1)
    assert one == {5: [pytest.approx((0, overlaps[0], 1, overlaps[0]))]}


def test_task_aligned_gives_a_prediction_to_the_object_it_overlaps_most():
    head, raw = one_anchor()
    boxes = [[16.0, 16.0, 32.0, 28.0], [16.0, 16.0, 32.0, 31.0]]
    assert assigned(head, raw, boxes, name="task_aligned") == {5: [pytest.approx((1, 15 / 16, 1, 15 / 16))]}


# ---- of all ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_an_image_without_objects_teaches_emptiness_alone(name):
    raw, none = random_raw(), torch.zeros(0, 4)
    boxes, labels = random_objects(5)
    no_labels = labels[:0]
    loss = YOLOLoss(head_of(), box="ciou", assign={"name": name})
    terms = loss(raw, [none, none], [no_labels, no_labels])
    objectness = torch.cat([level[:, 4::8].flatten() for level in raw])
    assert terms["box"].item() == terms["cls"].item() == 0
    assert_close(terms["obj"], torch.nn.functional.softplus(objectness).sum() / 2)
    found = loss.assign(raw, [none, boxes], [no_labels, labels], all_ones([none, boxes]))
    assert len(found.image) and found.image.eq(1).all()


@pytest.mark.parametrize("name", NAMES)
def test_the_batch_is_averaged(name):
    raw, objects = random_raw(batch=2), [random_objects(4, seed=1), random_objects(7, seed=2)]
    boxes, labels = zip(*objects, strict=True)
    loss = YOLOLoss(head_of(), box="eiou", assign={"name": name})
    both = loss(raw, boxes, labels)
    alone = [loss([level[i : i + 1] for level in raw], boxes[i : i + 1], labels[i : i + 1]) for i in range(2)]
    for term, value in both.items():
        assert_close(value, (alone[0][term] + alone[1][term]) / 2)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "simota"])
def test_two_objects_in_one_cell_with_the_same_box_are_both_learned(name):
    raw, head = random_raw(batch=1), head_of()
    boxes = torch.tensor([[20.0, 20.0, 43.0, 40.0]]).repeat(2, 1)
    found = YOLOLoss(head, assign={"name": name}).assign(raw, [boxes], [torch.tensor([0, 2])], all_ones([boxes]))
    assert set(found.labels.tolist()) == {0, 2}


@pytest.mark.parametrize("name", NAMES)
def test_two_objects_in_one_cell_cost_what_is_finite(name):
    raw = random_raw(batch=1)
    boxes, labels = torch.tensor([[20.0, 20.0, 43.0, 40.0], [21.0, 21.0, 42.0, 41.0]]), torch.tensor([0, 2])
    terms = YOLOLoss(head_of(), box="ciou", assign={"name": name})(raw, [boxes], [labels])
    sum(terms.values()).backward()
    assert all(torch.isfinite(value) and value > 0 for value in terms.values())
    assert all(level.grad.isfinite().all() for level in raw)


@pytest.mark.parametrize("name", NAMES)
def test_in_an_ignore_region_nothing_is_learned(name):
    raw = random_raw(batch=1)
    everywhere = torch.tensor([[-1e4, -1e4, 1e4, 1e4]])
    loss = YOLOLoss(head_of(), assign={"name": name})
    terms = loss(raw, [everywhere], [torch.tensor([0])], [torch.zeros(1)])
    assert {term: value.item() for term, value in terms.items()} == {"box": 0.0, "obj": 0.0, "cls": 0.0}
    boxes, labels = random_objects(1, seed=4)  # an object in it is learned as it is without it
    both = loss(raw, [torch.cat([boxes, everywhere])], [torch.cat([labels, labels])], [torch.tensor([1.0, 0.0])])
    alone = loss(raw, [boxes], [labels])
    assert_close(both["box"], alone["box"], rtol=0, atol=0)
    assert_close(both["cls"], alone["cls"], rtol=0, atol=0)
    assert 0 < both["obj"] < alone["obj"]


@pytest.mark.parametrize("name", NAMES)
def test_an_object_costs_in_proportion_to_its_weight(name):
    raw, (boxes, labels) = random_raw(batch=1), random_objects(1, seed=4)
    loss = YOLOLoss(head_of(), box="ciou", assign={"name": name})
    whole, half = (loss(raw, [boxes], [labels], [torch.tensor([weight])]) for weight in (1.0, 0.5))
    assert_close(half["box"], whole["box"] / 2)
    assert_close(half["cls"], whole["cls"] / 2)
    found = loss.assign(raw, [boxes], [labels], all_ones([boxes]))
    logits = head_of().flatten(raw)[0, found.prediction, 4]
    cost = torch.nn.functional.binary_cross_entropy_with_logits(logits, found.objectness, reduction="sum")
    assert_close(whole["obj"] - half["obj"], cost / 2, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_objectness_can_be_pulled_to_the_iou(name):
    head, raw, (boxes, labels) = head_of(), random_raw(batch=1), random_objects(6)
    loss = YOLOLoss(head, objectness="iou", ignore_iou=1.0, assign={"name": name})
    logits = head.flatten(raw)[0].detach()
    found = loss.assign(raw, [boxes], [labels], all_ones([boxes]))
    decoded, target = head.decode(raw)[0][0].detach(), torch.zeros(len(logits))
    for prediction, box in zip(found.prediction.tolist(), found.boxes, strict=True):
        overlap = box_iou(decoded[prediction][None], box[None]).item()
        target[prediction] = max(target[prediction].item(), overlap)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits[:, 4], target, reduction="sum")
    assert_close(loss(raw, [boxes], [labels])["obj"], expected)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("spread", [0.8, 60.0])
def test_wild_predictions_and_boxes_at_the_border_stay_finite(name, spread):
    boxes = torch.tensor(
        [[0.0, 0.0, 1.0, 1.0], [95.0, 63.0, 96.0, 64.0], [0.0, 0.0, 96.0, 64.0], [96.0, 64.0, 96.0, 64.0],
         [0.0, 0.0, 0.0, 0.0], [50.0, 20.0, 50.001, 20.001]]
    )  # fmt: skip
    labels = torch.zeros(len(boxes), dtype=torch.int64)
    for obj_loss in TERMS:
        raw = random_raw(spread=spread)
        loss = YOLOLoss(head_of(), box="eiou", assign={"name": name}, obj_loss={"name": obj_loss})
        terms = loss(raw, [boxes, boxes[:0]], [labels, labels[:0]])
        sum(terms.values()).backward()
        assert all(torch.isfinite(value) and value >= 0 for value in terms.values())
        assert all(level.grad.isfinite().all() for level in raw)


@pytest.mark.parametrize("name", NAMES)
def test_every_object_of_some_size_is_learned_and_within_reach(name):
    """Objects apart from each other: nobody takes a prediction from another."""
    head, raw = head_of(), random_raw(batch=1, spread=0.1)
    boxes = torch.tensor([[4.0, 4.0, 20.0, 18.0], [40.0, 30.0, 62.0, 58.0], [70.0, 5.0, 92.0, 24.0]])
    found = YOLOLoss(head, assign={"name": name}).assign(raw, [boxes], [torch.tensor([0, 1, 2])], all_ones([boxes]))
    assert set(found.labels.tolist()) == {0, 1, 2}
    cells = head.cells(raw)
    centre = ((cells.position + 0.5) * cells.stride[:, None])[found.prediction]
    away = (centre - (found.boxes[:, :2] + found.boxes[:, 2:]) / 2).abs()
    assert (away <= (found.boxes[:, 2:] - found.boxes[:, :2]) / 2 + cells.stride[found.prediction, None] * 2.5).all()


@pytest.mark.parametrize("name", NAMES)
def test_descending_finds_the_objects_and_nothing_else(name):
    """The raw maps themselves are trained."""
    head, raw = head_of(), random_raw(batch=1, spread=0.1)
    boxes = torch.tensor([[4.0, 4.0, 20.0, 18.0], [40.0, 30.0, 62.0, 58.0], [70.0, 5.0, 92.0, 24.0]])
    labels = torch.tensor([0, 1, 2])
    loss, optimizer = YOLOLoss(head, box="ciou", assign={"name": name}), torch.optim.Adam(raw, lr=0.1)
    for _ in range(120):
        optimizer.zero_grad()
        sum(loss(raw, [boxes], [labels]).values()).backward()
        optimizer.step()
    found, scores = (values[0].detach() for values in head.decode(raw))
    sure, label = scores.max(1)
    overlap, nearest = box_iou(found[sure > 0.5], boxes).max(1)
    assert (label[sure > 0.5] == labels[nearest]).all() and (overlap > 0.5).all()
    assert all(overlap[nearest == i].max() > 0.9 for i in range(3))


@pytest.mark.parametrize(
    ("spec", "option", "sentence"),
    [
        ({"name": "simotta"}, "name", "unknown assignment 'simotta'; did you mean 'simota'?"),
        ({"name": "atss", "kk": 3}, "kk", "atss has no option 'kk'; did you mean 'k'?"),
        ({"name": "atss", "k": 0}, "k", "assignment atss: k must be at least 1, not 0"),
        ({"name": "best_anchor", "iou_thresh": 1.5}, "iou_thresh", "iou_thresh must be from 0 to 1, not 1.5"),
        ({"name": "iou_threshold", "threshold": 0}, "threshold", "threshold must be above 0"),
        ({"name": "simota", "radius": 0}, "radius", "radius must be above 0, not 0"),
        ({"name": "task_aligned", "beta": -1}, "beta", "beta must be at least 0, not -1"),
    ],
)
def test_what_does_not_fit_is_named(spec, option, sentence):
    with pytest.raises(PartError) as caught:
        ASSIGNMENTS.build(spec)
    assert caught.value.option == option and sentence in str(caught.value)
