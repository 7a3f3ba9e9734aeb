"""A student is pulled to its teacher's predictions wherever their heads have a scale in common."""

import pytest
import torch
from torch.testing import assert_close
from torchvision.ops import complete_box_iou_loss

from detect.losses.teacher import TeacherLoss
from detect.models.heads.yolo import YOLOv3

FINE, MIDDLE, COARSE = [[6, 8], [14, 10]], [[20, 40], [40, 30]], [[50, 60], [90, 80]]
NUM_CLASSES = 3


def head_of(strides, anchors, scale_x_y=1.0):
    return YOLOv3((4,) * len(strides), strides, NUM_CLASSES, anchors=anchors, scale_x_y=scale_x_y)


def random_raw(head, seed=0, batch=2, size=64):
    generator = torch.Generator().manual_seed(seed)
    shapes = [(batch, 2 * (5 + NUM_CLASSES), size // stride, size // stride) for stride in head.strides]
    return [torch.randn(shape, generator=generator).requires_grad_() for shape in shapes]


def entropy(p):
    return torch.nn.functional.binary_cross_entropy(p, p, reduction="none")


STUDENT = head_of((8, 16, 32), [FINE, MIDDLE, COARSE])
TEACHER = head_of((16, 32), [MIDDLE, COARSE])


def test_a_student_that_agrees_costs_nothing_and_learns_nothing():
    raw = random_raw(STUDENT)
    loss = TeacherLoss(STUDENT, TEACHER)(raw, [[level.detach().clone() for level in raw[1:]]])
    loss.backward()
    assert abs(loss.item()) < 1e-3
    assert all(level.grad is None or level.grad.abs().max() < 1e-5 for level in raw)


def test_only_the_scales_in_common_are_taught():
    raw = random_raw(STUDENT)
    TeacherLoss(STUDENT, TEACHER)(raw, [random_raw(TEACHER, seed=1)]).backward()
    assert raw[0].grad.abs().max() == 0
    assert raw[1].grad.abs().min() > 0 and raw[2].grad.abs().min() > 0


def test_the_cost_is_that_of_every_prediction_by_the_teachers_objectness():
    student, teacher = head_of((16,), [MIDDLE], 1.1), head_of((16,), [MIDDLE])
    raw, teacher_outputs = random_raw(student), random_raw(teacher, seed=1)
    ours, theirs = (h.flatten(maps).detach().double() for h, maps in ((student, raw), (teacher, teacher_outputs)))
    boxes = [h.decode_boxes(x[..., :4], h.cells(maps)) for h, x, maps in ((student, ours, raw), (teacher, theirs, raw))]
    total = 0.0
    for image in range(2):
        for number in range(2 * 4 * 4):
            mine, goal = ours[image, number].sigmoid(), theirs[image, number].sigmoid()
            divergence = torch.nn.functional.binary_cross_entropy(mine, goal, reduction="none") - entropy(goal)
            box = complete_box_iou_loss(boxes[0][image, number, None], boxes[1][image, number, None]).sum()
            total += divergence[4] + goal[4] * (divergence[5:].sum() + box)
    found = TeacherLoss(student, teacher)(raw, [teacher_outputs])
    assert_close(found.double(), torch.as_tensor(total / 2), rtol=1e-5, atol=1e-5)


def test_the_teacher_gets_no_gradient():
    teacher_outputs = random_raw(TEACHER, seed=1)
    TeacherLoss(STUDENT, TEACHER)(random_raw(STUDENT), [teacher_outputs]).backward()
    assert all(level.grad is None for level in teacher_outputs)


def test_a_scale_finer_than_the_teachers_learns_from_it_on_images_twice_as_large():
    """What the teacher says of them, halved, is what a student says that has half its strides and anchors."""
    halved = [[(w / 2, h / 2) for w, h in anchors] for anchors in (MIDDLE, COARSE)]
    student = head_of((8, 16, 32), [halved[0], MIDDLE, COARSE])
    teach = TeacherLoss(student, TEACHER)
    assert teach.zooms == [1, 2]
    assert teach.describe() == "stride 16 from 16, stride 32 from 32, stride 8 from 16 on images 2 times as large"
    images, pixels = torch.rand(5, 3, 64, 64), []
    (as_they_are,), (twice,) = teach.look(lambda shown: pixels.append(shown[:, 0].numel()) or [shown], images)
    assert torch.equal(as_they_are, images)
    assert_close(twice, torch.nn.functional.interpolate(images, size=(128, 128), mode="bilinear"))
    assert max(pixels) <= 8 * 64 * 64  # in parts, of two images at the most
    small, large = random_raw(TEACHER, seed=1), random_raw(TEACHER, seed=2, size=128)
    agreeing = [level.detach().clone().requires_grad_() for level in (large[0], *small)]
    assert abs(teach(agreeing, [small, large]).item()) < 1e-3
    raw = random_raw(student)
    teach(raw, [small, large]).backward()
    assert all(level.grad.abs().min() > 0 for level in raw)

    finer = head_of((8, 16), halved)
    alone = TeacherLoss(finer, TEACHER)
    assert alone.zooms == [2]
    assert abs(alone([level.detach().clone() for level in large], [large]).item()) < 1e-3


def test_heads_without_a_scale_in_common_are_refused():
    with pytest.raises(ValueError, match="shares no scale with this model"):
        TeacherLoss(STUDENT, head_of((16, 32), [FINE, MIDDLE]))
