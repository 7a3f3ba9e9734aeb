"""The loss and its gradients equal Darknet's `[yolo]` layer, written out prediction after prediction."""

import math

import pytest
import torch
from torch.testing import assert_close
from torchvision.ops import box_iou, complete_box_iou_loss, generalized_box_iou_loss

from detect.losses.cross_entropy import CROSS_ENTROPIES
from detect.losses.yolo import YOLOLoss
from detect.models.heads.yolo import YOLOv3

STRIDES, NUM_CLASSES = (8, 16, 32), 3
ANCHORS = [[6, 8], [14, 10], [12, 22], [24, 20], [20, 40], [40, 30], [50, 60], [70, 50], [90, 80]]
WEIGHTS = {"box": 0.75, "obj": 1.0, "cls": 1.0}
FORMS = ("mse", "iou", "giou", "diou", "ciou", "eiou")


def head_of(scale_x_y=1.0):
    return YOLOv3((4, 4, 4), STRIDES, NUM_CLASSES, anchors=ANCHORS, scale_x_y=scale_x_y)


def random_raw(width=96, height=64, batch=2, seed=0, spread=0.8):
    """Raw maps in double precision, as leaves for their gradients."""
    generator = torch.Generator().manual_seed(seed)
    channels = 3 * (5 + NUM_CLASSES)
    shapes = [(batch, channels, height // s, width // s) for s in STRIDES]
    return [(spread * torch.randn(shape, generator=generator)).requires_grad_() for shape in shapes]


def random_objects(count, width=96, height=64, seed=0):
    """Boxes [count, 4] of many sizes inside the image, and labels."""
    generator = torch.Generator().manual_seed(seed)
    limits = torch.tensor([width, height])
    size = 3 + (limits - 4) * torch.rand(count, 2, generator=generator) ** 2
    top_left = (limits - size) * torch.rand(count, 2, generator=generator)
    labels = torch.randint(NUM_CLASSES, (count,), generator=generator)
    return torch.cat([top_left, top_left + size], dim=1), labels


def all_ones(boxes):
    """The weights of objects that all count fully."""
    return [torch.ones(len(boxes_of_one)) for boxes_of_one in boxes]


# ---- Darknet, number after number ----------------------------------------------------------------------------------


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def cross_entropy(probability, target):
    return -(target * math.log(probability) + (1 - target) * math.log(1 - probability))


def iou_of(a, b):
    width = max(min(a[2], b[2]) - max(a[0], b[0]), 0)
    height = max(min(a[3], b[3]) - max(a[1], b[1]), 0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height
    return width * height / union


def owners(box, iou_thresh):
    """(scale, anchor) that learn a box: the best of all nine, and with iou_thresh < 1 those that fit better than it."""
    size = [0, 0, box[2] - box[0], box[3] - box[1]]
    fits = [iou_of(size, [0, 0, *anchor]) for anchor in ANCHORS]
    best = max(range(9), key=lambda n: fits[n])
    return [divmod(n, 3) for n in range(9) if n == best or (iou_thresh < 1 and fits[n] > iou_thresh)]


def darknet(raw, boxes, labels, scale_x_y, ignore_thresh, iou_thresh):
    """Unweighted terms, and Darknet's deltas (its step downhill) as maps like `raw`.

    The value of the objectness and class terms is the cross-entropy whose slope the deltas are; the centre's is
    s times the cross-entropy, less its lowest value.
    """
    terms = {"box": 0.0, "obj": 0.0, "cls": 0.0}
    deltas = [{name: torch.zeros_like(level) for name in terms} for level in raw]
    net_height, net_width = raw[0].shape[-2] * 8, raw[0].shape[-1] * 8
    values = [level.tolist() for level in raw]

    def channel(anchor, entry):
        return anchor * (5 + NUM_CLASSES) + entry

    def decoded(i, scale, anchor, row, column):
        s, stride = scale_x_y[scale], STRIDES[scale]
        tx, ty, tw, th = (values[scale][i][channel(anchor, e)][row][column] for e in range(4))
        x = (sigmoid(tx) * s - (s - 1) / 2 + column) * stride
        y = (sigmoid(ty) * s - (s - 1) / 2 + row) * stride
        w, h = (math.exp(t) * a for t, a in zip((tw, th), ANCHORS[3 * scale + anchor], strict=True))
        return [x - w / 2, y - h / 2, x + w / 2, y + h / 2]

    for i in range(len(boxes)):
        trained, classes_set = {}, set()
        for box, label in zip(boxes[i].tolist(), labels[i].tolist(), strict=True):
            x, y, w, h = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2, box[2] - box[0], box[3] - box[1]
            for scale, anchor in owners(box, iou_thresh):
                s, stride = scale_x_y[scale], STRIDES[scale]
                column, row = int(x / stride), int(y / stride)
                place = (scale, anchor, row, column)
                trained[place] = True
                weight = 2 - w * h / (net_width * net_height)
                for entry, (centre, cell) in enumerate(((x, column), (y, row))):
                    c = channel(anchor, entry)
                    probability = sigmoid(values[scale][i][c][row][column])
                    target = centre / stride - cell
                    deltas[scale]["box"][i, c, row, column] += weight * (target - (probability * s - (s - 1) / 2))
                    share = (target + (s - 1) / 2) / s
                    terms["box"] += weight * s * (cross_entropy(probability, share) - cross_entropy(share, share))
                for entry, (length, side) in enumerate(zip((w, h), ANCHORS[3 * scale + anchor], strict=True), start=2):
                    c = channel(anchor, entry)
                    difference = math.log(length / side) - values[scale][i][c][row][column]
                    deltas[scale]["box"][i, c, row, column] += weight * difference
                    terms["box"] += weight * difference**2 / 2
                for k in range(NUM_CLASSES):  # the first object sets all classes, another one only its own
                    c = channel(anchor, 5 + k)
                    probability = sigmoid(values[scale][i][c][row][column])
                    target = float(k == label)
                    old = deltas[scale]["cls"][i, c, row, column].item()
                    if place not in classes_set:
                        deltas[scale]["cls"][i, c, row, column] = target - probability
                        terms["cls"] += cross_entropy(probability, target)
                    elif target and old < 0:
                        deltas[scale]["cls"][i, c, row, column] = 1 - probability
                        terms["cls"] += cross_entropy(probability, 1) - cross_entropy(probability, 0)
                classes_set.add(place)

        for scale, level in enumerate(raw):
            height, width = level.shape[-2:]
            for anchor in range(3):
                for row in range(height):
                    for column in range(width):
                        c = channel(anchor, 4)
                        probability = sigmoid(values[scale][i][c][row][column])
                        target = float((scale, anchor, row, column) in trained)
                        overlaps = (iou_of(decoded(i, scale, anchor, row, column), b) for b in boxes[i].tolist())
                        if not target and max(overlaps, default=0) > ignore_thresh:
                            continue
                        deltas[scale]["obj"][i, c, row, column] = target - probability
                        terms["obj"] += cross_entropy(probability, target)
    return terms, deltas


# ---- equality with it ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("iou_thresh", [1.0, 0.4])
@pytest.mark.parametrize("scale_x_y", [(1.0, 1.0, 1.0), (1.2, 1.1, 1.05)])
def test_loss_and_gradients_equal_darknets(scale_x_y, iou_thresh):
    raw = random_raw()
    objects = [random_objects(9, seed=seed) for seed in (1, 2)]
    boxes, labels = zip(*objects, strict=True)
    loss = YOLOLoss(head_of(list(scale_x_y)), ignore_iou=0.3, assign={"name": "best_anchor", "iou_thresh": iou_thresh})
    terms = loss(raw, boxes, labels)
    expected, deltas = darknet([level.detach() for level in raw], boxes, labels, scale_x_y, 0.3, iou_thresh)
    ignored = sum((d["obj"][:, 4::8] == 0).sum() for d in deltas)
    assert ignored > 5  # the rule on ignored predictions is at work
    for name, weight in WEIGHTS.items():
        assert_close(terms[name].item(), weight * expected[name] / 2, rtol=1e-5, atol=1e-5)
        gradients = torch.autograd.grad(terms[name], raw, retain_graph=True, allow_unused=True)
        for gradient, delta in zip(gradients, deltas, strict=True):
            assert_close(gradient, -weight * delta[name] / 2, rtol=1e-4, atol=1e-5)


def test_objects_that_share_a_prediction_equal_darknets():
    raw = random_raw(batch=1)
    boxes = [torch.tensor([[20.0, 20.0, 43.0, 40.0], [21.0, 21.0, 42.0, 41.0], [22.0, 21.0, 41.0, 41.0]])]
    for labels in ([0, 2, 2], [1, 1, 1], [0, 1, 2]):
        labels = [torch.tensor(labels)]
        terms = YOLOLoss(head_of())(raw, boxes, labels)
        expected, deltas = darknet([level.detach() for level in raw], boxes, labels, (1, 1, 1), 0.7, 1.0)
        for name, weight in WEIGHTS.items():
            assert_close(terms[name].item(), weight * expected[name], rtol=1e-5, atol=1e-5)
            gradients = torch.autograd.grad(terms[name], raw, retain_graph=True)
            for gradient, delta in zip(gradients, deltas, strict=True):
                assert_close(gradient, -weight * delta[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("form", "torchvisions"), [("giou", generalized_box_iou_loss), ("ciou", complete_box_iou_loss)]
)
def test_overlap_terms_compare_the_decoded_box_with_its_object(form, torchvisions):
    raw, head = random_raw(batch=1), head_of([1.2, 1.1, 1.05])
    boxes, labels = random_objects(9, seed=3)
    term = YOLOLoss(head, box=form)(raw, [boxes], [labels])["box"]
    decoded, total = head.decode(raw)[0][0], 0
    first = [0, 3 * 12 * 8, 3 * (12 * 8 + 6 * 4)]  # of each scale, at 96x64 px
    for box in boxes:
        ((scale, anchor),) = owners(box.tolist(), 1.0)
        columns, rows = 96 // STRIDES[scale], 64 // STRIDES[scale]
        column, row = (((box[:2] + box[2:]) / 2) // STRIDES[scale]).long().tolist()
        prediction = decoded[first[scale] + (anchor * rows + row) * columns + column]
        total = total + torchvisions(prediction[None], box[None]).sum()
    assert_close(term, 0.75 * total)
    for gradient, expected in zip(torch.autograd.grad(term, raw), torch.autograd.grad(0.75 * total, raw), strict=True):
        assert_close(gradient, expected, rtol=1e-4, atol=1e-6)


# ---- claims of their own ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_no_objects_cost_nothing_but_objectness(form):
    raw, none = random_raw(), torch.zeros(0, 4)
    terms = YOLOLoss(head_of(), box=form)(raw, [none, none], [torch.zeros(0, dtype=torch.int64)] * 2)
    assert terms["box"].item() == 0.0 and terms["cls"].item() == 0.0
    objectness = torch.cat([level[:, 4::8].flatten() for level in raw])
    assert_close(terms["obj"], torch.nn.functional.softplus(objectness).sum() / 2)
    sum(terms.values()).backward()
    assert all(level.grad[:, [c for c in range(24) if c % 8 != 4]].abs().max() == 0 for level in raw)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("scale_x_y", [1.0, 1.2])
def test_a_perfect_prediction_costs_nothing(form, scale_x_y):
    boxes = torch.tensor([[10.0, 12.0, 17.0, 21.0], [33.0, 5.0, 60.0, 29.0], [2.0, 3.0, 90.0, 59.0]])
    labels = torch.tensor([0, 2, 1])
    raw = [torch.zeros(1, 24, 64 // s, 96 // s) for s in STRIDES]
    for level in raw:
        level[:, 4::8] = -30
    for box, label in zip(boxes.tolist(), labels.tolist(), strict=True):
        ((scale, anchor),) = owners(box, 1.0)
        centre = [(box[0] + box[2]) / 2 / STRIDES[scale], (box[1] + box[3]) / 2 / STRIDES[scale]]
        shares = [(c % 1 + (scale_x_y - 1) / 2) / scale_x_y for c in centre]
        sides = zip((box[2] - box[0], box[3] - box[1]), ANCHORS[3 * scale + anchor], strict=True)
        logits = [math.log(p / (1 - p)) for p in shares] + [math.log(length / side) for length, side in sides] + [30.0]
        logits += [30.0 if k == label else -30.0 for k in range(NUM_CLASSES)]
        raw[scale][0, anchor * 8 : anchor * 8 + 8, int(centre[1]), int(centre[0])] = torch.tensor(logits)
    terms = YOLOLoss(head_of(scale_x_y), box=form)(raw, [boxes], [labels])
    for name, value in terms.items():
        assert abs(value.item()) < 1e-5, name


BORDER_BOXES = [
    [0.0, 0.0, 1.0, 1.0],
    [95.0, 63.0, 96.0, 64.0],
    [0.0, 0.0, 96.0, 64.0],
    [96.0, 64.0, 96.0, 64.0],
    [0.0, 0.0, 0.0, 0.0],
    [95.999, 0.0, 96.0, 64.0],
    [8.0, 8.0, 24.0, 24.0],
    [50.0, 20.0, 50.001, 20.001],
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("spread", [0.8, 60.0])
def test_boxes_at_the_border_and_wild_predictions_stay_finite(form, spread):
    boxes = torch.tensor(BORDER_BOXES)
    for scale_x_y in (1.0, 1.2):
        raw = random_raw(spread=spread)
        loss = YOLOLoss(head_of(scale_x_y), box=form, assign={"name": "best_anchor", "iou_thresh": 0.3})
        labels = torch.zeros(len(boxes), dtype=torch.int64)
        terms = loss(raw, [boxes, boxes[:0]], [labels, labels[:0]])
        sum(terms.values()).backward()
        assert all(torch.isfinite(value) and value >= 0 for value in terms.values())
        assert all(level.grad.isfinite().all() for level in raw)


def test_every_object_trains_the_best_anchor_of_its_cell_alone():
    head, raw = head_of(), random_raw(batch=3)
    objects = [random_objects(12, seed=1), random_objects(0), random_objects(5, seed=2)]
    boxes, labels = zip(*objects, strict=True)
    found = YOLOLoss(head).assign(raw, boxes, labels, all_ones(boxes))
    assert found.image.tolist() == [0] * 12 + [2] * 5
    assert_close(found.boxes, torch.cat(boxes))
    assert_close(found.labels, torch.cat(labels))
    cells = head.cells(raw)
    for prediction, box in zip(found.prediction.tolist(), found.boxes.tolist(), strict=True):
        ((scale, anchor),) = owners(box, 1.0)
        assert cells.anchor[prediction].tolist() == ANCHORS[3 * scale + anchor]
        x, y = (cells.position[prediction] * cells.stride[prediction]).tolist()
        stride = STRIDES[scale]
        assert x <= (box[0] + box[2]) / 2 < x + stride and y <= (box[1] + box[3]) / 2 < y + stride


def test_objects_at_the_last_pixel_train_the_last_cell():
    head, raw = head_of(), random_raw(batch=1)
    boxes = [torch.tensor([[96.0, 64.0, 96.0, 64.0], [90.0, 56.0, 96.0, 64.0]])]
    found = YOLOLoss(head).assign(raw, boxes, [torch.tensor([0, 1])], all_ones(boxes))
    cells = head.cells(raw)
    assert cells.position[found.prediction].tolist() == [[11.0, 7.0], [11.0, 7.0]]


def test_a_lower_threshold_gives_more_anchors_to_an_object():
    raw, (boxes, labels) = random_raw(batch=1), random_objects(12, seed=1)
    counts = [
        len(
            YOLOLoss(head_of(), assign={"name": "best_anchor", "iou_thresh": t})
            .assign(raw, [boxes], [labels], all_ones([boxes]))
            .image
        )
        for t in (1, 0.5, 0.2, 0)
    ]
    assert counts == [sum(len(owners(box, t)) for box in boxes.tolist()) for t in (1, 0.5, 0.2, 0)]
    assert counts[0] == 12 and counts[3] == 12 * 9 and counts == sorted(counts)


def test_weights_multiply_their_terms():
    raw, (boxes, labels) = random_raw(batch=1), random_objects(4)
    plain = YOLOLoss(head_of(), box_weight=1)(raw, [boxes], [labels])
    weighted = YOLOLoss(head_of(), box_weight=2, obj_weight=3, cls_weight=5)(raw, [boxes], [labels])
    for name, weight in (("box", 2), ("obj", 3), ("cls", 5)):
        assert_close(weighted[name], weight * plain[name])


def test_objectness_can_be_pulled_to_the_iou_of_the_decoded_box():
    head, raw, (boxes, labels) = head_of(), random_raw(batch=1), random_objects(6)
    loss = YOLOLoss(
        head, box="ciou", objectness="iou", assign={"name": "best_anchor", "iou_thresh": 0.3}, ignore_iou=0.5
    )
    logits = head.flatten(raw)[0].detach()
    decoded = head.decode_boxes(logits[:, :4], head.cells(raw))
    overlaps = box_iou(decoded, boxes)
    found = loss.assign(raw, [boxes], [labels], all_ones([boxes]))
    expected = 0.0
    for i, probability in enumerate(logits[:, 4].sigmoid().tolist()):
        objects = [j for k, j in zip(found.prediction.tolist(), found.boxes, strict=True) if k == i]
        if objects:  # of several objects, the one that fits best
            expected += cross_entropy(probability, box_iou(decoded[i : i + 1], torch.stack(objects)).max().item())
        elif overlaps[i].max() <= 0.5:
            expected += cross_entropy(probability, 0.0)
    assert len(found.prediction) > len(found.prediction.unique())  # the case of several objects occurs
    assert_close(loss(raw, [boxes], [labels])["obj"].item(), expected, rtol=1e-4, atol=0)


def test_soft_targets_reach_the_terms_they_are_for():
    """TaskAligned's is for objectness and box, SimOTA's for the class; label smoothing goes on top of the latter."""
    head, raw, (boxes, labels) = head_of(), random_raw(batch=1), random_objects(6)
    logits = head.flatten(raw)[0].detach()
    for name in ("task_aligned", "simota"):
        loss = YOLOLoss(head, box="iou", ignore_iou=1.0, label_smoothing=0.1, assign={"name": name}, box_weight=1)
        found = loss.assign(raw, [boxes], [labels], all_ones([boxes]))
        assert (found.objectness < 1).any() == (name == "task_aligned") != (found.classes < 1).any()
        box, cls = 0.0, 0.0
        pairs = list(zip(found.prediction.tolist(), *found[2:], strict=True))
        assert len({p for p, *_ in pairs}) == len(pairs)  # no prediction is asked for twice
        decoded = head.decode_boxes(head.flatten(raw)[0, :, :4], head.cells(raw)).detach().tolist()
        for p, object_box, label, _, _, class_target, box_weight in pairs:
            box += box_weight * (1 - iou_of(decoded[p], object_box.tolist()))
            for k in range(NUM_CLASSES):
                target = 0.9 * class_target.item() * (k == label) + 0.05
                cls += cross_entropy(sigmoid(logits[p, 5 + k].item()), target)
        aims = {p: objectness.item() for p, _, _, _, objectness, *_ in pairs}
        obj = sum(cross_entropy(sigmoid(x), aims.get(p, 0.0)) for p, x in enumerate(logits[:, 4].tolist()))
        terms = loss(raw, [boxes], [labels])
        for term, expected in (("box", box), ("obj", obj), ("cls", cls)):
            assert terms[term].item() == pytest.approx(float(expected), rel=1e-4), term


def test_losses_by_name_take_the_place_of_cross_entropy():
    raw, (boxes, labels) = random_raw(batch=1), random_objects(4, seed=3)
    head, quality = head_of(), CROSS_ENTROPIES.build({"name": "quality_focal"})
    plain = YOLOLoss(head)(raw, [boxes], [labels])
    changed = YOLOLoss(head, cls_loss={"name": "quality_focal"})(raw, [boxes], [labels])
    assert_close((changed["box"], changed["obj"]), (plain["box"], plain["obj"]), rtol=0, atol=0)
    found = YOLOLoss(head).assign(raw, [boxes], [labels], all_ones([boxes]))
    logits = head.flatten(raw)[0, found.prediction, 5:]
    assert_close(changed["cls"], quality(logits, torch.eye(NUM_CLASSES)[labels]).sum())
    both = YOLOLoss(head, obj_loss={"name": "focal", "gamma": 0, "alpha": 0.5})(raw, [boxes], [labels])
    assert_close(both["obj"], plain["obj"] / 2)


def test_class_weights_multiply_what_an_object_costs():
    raw, (boxes, labels) = random_raw(batch=1), random_objects(6)
    weights = torch.tensor([0.25, 1.0, 3.0])
    for name in ("best_anchor", "task_aligned"):
        by_class = YOLOLoss(head_of(), assign={"name": name}, class_weights=[0.25, 1.0, 3.0])
        by_object = YOLOLoss(head_of(), assign={"name": name})
        assert_close(
            by_class(raw, [boxes], [labels]), by_object(raw, [boxes], [labels], [weights[labels]]), rtol=0, atol=0
        )


def test_the_iou_is_a_target_and_gets_no_gradient():
    head, raw, (boxes, labels) = head_of(), random_raw(batch=1), random_objects(4)
    loss = YOLOLoss(head, box="ciou", objectness="iou")
    loss(raw, [boxes], [labels])["obj"].backward()
    gradient = head.flatten([level.grad for level in raw])
    assert gradient[..., 4].abs().sum() > 0
    assert not gradient[..., :4].any()


@pytest.mark.parametrize("form", FORMS)
def test_the_batch_is_averaged(form):
    raw, objects = random_raw(batch=2), [random_objects(4, seed=1), random_objects(7, seed=2)]
    boxes, labels = zip(*objects, strict=True)
    loss = YOLOLoss(head_of(), box=form, assign={"name": "best_anchor", "iou_thresh": 0.4})
    both = loss(raw, boxes, labels)
    alone = [loss([level[i : i + 1] for level in raw], boxes[i : i + 1], labels[i : i + 1]) for i in range(2)]
    for name, value in both.items():
        assert_close(value, (alone[0][name] + alone[1][name]) / 2)


# ---- weights and ignore regions ------------------------------------------------------------------------------------


def test_weights_of_one_change_nothing():
    raw, (boxes, labels) = random_raw(), random_objects(5)
    objects = [boxes, boxes[:2]], [labels, labels[:2]]
    loss = YOLOLoss(head_of(), box="ciou")
    assert_close(loss(raw, *objects, all_ones(objects[0])), loss(raw, *objects), rtol=0, atol=0)


@pytest.mark.parametrize("form", FORMS)
def test_an_object_costs_in_proportion_to_its_weight(form):
    raw, (boxes, labels) = random_raw(batch=1), random_objects(1, seed=4)
    loss = YOLOLoss(head_of(), box=form)
    whole = loss(raw, [boxes], [labels])
    half = loss(raw, [boxes], [labels], [torch.tensor([0.5])])
    assert_close(half["box"], whole["box"] / 2)
    assert_close(half["cls"], whole["cls"] / 2)
    place = loss.assign(raw, [boxes], [labels], all_ones([boxes])).prediction
    logit = head_of().flatten(raw)[0, place, 4]
    assert_close(whole["obj"] - half["obj"], torch.nn.functional.softplus(-logit).sum() / 2, rtol=1e-4, atol=1e-5)


def test_in_an_ignore_region_nothing_is_learned():
    raw, head = random_raw(batch=1), head_of()
    everywhere = torch.tensor([[-1e4, -1e4, 1e4, 1e4]])
    terms = YOLOLoss(head)(raw, [everywhere], [torch.tensor([0])], [torch.zeros(1)])
    assert {name: value.item() for name, value in terms.items()} == {"box": 0.0, "obj": 0.0, "cls": 0.0}


def test_a_prediction_is_spared_when_more_than_half_of_it_lies_in_a_region():
    raw, head = random_raw(batch=1), head_of()
    region = torch.tensor([[20.0, 10.0, 70.0, 50.0]])
    YOLOLoss(head)(raw, [region], [torch.tensor([0])], [torch.zeros(1)])["obj"].backward()
    gradient = head.flatten([level.grad for level in raw])[0, :, 4]
    decoded = head.decode(raw)[0][0].detach()
    inside = (torch.minimum(decoded[:, 2:], region[:, 2:]) - torch.maximum(decoded[:, :2], region[:, :2])).clamp(min=0)
    covered = inside.prod(1) / (decoded[:, 2:] - decoded[:, :2]).prod(1) > 0.5
    assert 10 < covered.sum() < len(covered) - 10
    assert (gradient[covered] == 0).all() and (gradient[~covered] > 0).all()


def test_an_object_within_an_ignore_region_is_learned():
    raw, (boxes, labels) = random_raw(batch=1), random_objects(1, seed=4)
    everywhere = torch.tensor([[-1e4, -1e4, 1e4, 1e4]])
    weights = [torch.tensor([1.0, 0.0])]
    loss = YOLOLoss(head_of())
    terms = loss(raw, [torch.cat([boxes, everywhere])], [torch.cat([labels, labels])], weights)
    alone = loss(raw, [boxes], [labels])
    assert_close(terms["box"], alone["box"], rtol=0, atol=0)
    place = loss.assign(raw, [boxes], [labels], all_ones([boxes])).prediction
    logit = head_of().flatten(raw)[0, place, 4]
    assert_close(terms["obj"], torch.nn.functional.softplus(-logit).sum())
