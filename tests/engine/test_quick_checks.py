"""The mistakes that used to train without a word: a training stops at them before its first step, or tells them."""

import pytest

from detect import config
from detect.engine.detection import DetectionTask
from detect.errors import UserError
from tests.doctor.made import Made
from tests.doctor.test_checks import beyond, corners, listed_twice, no_boxes, same_name, twice, without_boxes

ALL = "python tools/check.py shows all that is wrong with the data"


@pytest.fixture
def made(tmp_path):
    return Made(tmp_path / "set")


def task_of(made, accept=()):
    backbone, neck = {"name": "CSPPeleeNet"}, {"name": "EFM", "widths": [64, 128, 256]}
    anchors = [[18, 26], [20, 29], [22, 32], [23, 33], [24, 33], [25, 34], [26, 34], [28, 35], [30, 36]]
    values = {
        "model": {"backbone": backbone, "neck": neck, "head": {"name": "YOLOv3", "anchors": anchors}},
        "input": {"size": 96},
        "data": {"root": str(made.write()), "accept": list(accept)},
        "train": {"steps": 1, "batch": 2, "workers": 0},
    }
    return DetectionTask(config.from_dict(values))


def val_equal_to_train(made):
    made.val = made.train


def no_annotations(made):
    made.train["annotations"] = []


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            corners,
            r"train\.json annotations\[0\]: in a0\.jpg is \[5\.0, 10\.0, 25\.0, 40\.0\] in an image of 120x90 px",
        ),
        (
            no_boxes,
            r"train\.json: holds no box to learn from: 4 images with 12 ignore regions and no objects; are these",
        ),
        (no_annotations, r"train\.json: holds no box to learn from: 4 images with 0 ignore regions and no objects"),
        (
            same_name,
            r"categories: 'bolt' is the name of the ids 1 \(3 boxes\) and 9 \(1 boxes\) \(the first of 2 classes of",
        ),
        (
            val_equal_to_train,
            r"a0\.jpg: is listed in train, too \(the first of 4 images .*data\.accept=\[split\.duplicates\] \(",
        ),
    ],
)
def test_a_training_stops_with_one_sentence_that_names_the_doctor(made, spoil, message):
    spoil(made)
    with pytest.raises(UserError, match=message) as caught:
        task_of(made)
    assert ALL in str(caught.value) and "\n" not in str(caught.value)


def test_what_the_settings_accept_is_no_mistake(made):
    made.val = made.train
    twice(made)
    assert task_of(made, accept=["split.duplicates", "box.twice"]).warnings == []
    with pytest.raises(UserError, match=r"data\.accept: there is no check 'split.duplicate'; did you mean 'split\.dup"):
        task_of(made, accept=["split.duplicate"])
    with pytest.raises(UserError, match=r"data\.accept: there is no check 'x'; docs/check\.md lists them"):
        task_of(made, accept=["x"])


def test_a_record_that_cannot_be_used_names_the_doctor_too(made):
    made.train["annotations"][4]["bbox"] = [1, 2, 0, 4]
    with pytest.raises(
        UserError, match=r"box 5 of image 11 has width 0; remove it, or set data\.bad_boxes=drop \(python"
    ):
        task_of(made)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (
            twice,
            "1 boxes drawn twice: of one class with IoU 0.95 or more (box.twice: in a1.jpg is annotations[4] again)",
        ),
        (beyond, "1 boxes that reach beyond their image (box.beyond: in a0.jpg reaches 7.5 px beyond its image of"),
        (
            listed_twice,
            "1 images listed more than once in a split (image.listed_twice: a1.jpg is listed more than once)",
        ),
        (without_boxes, "1 classes without a box in train (class.no_boxes: 'shapes' has no box)"),
    ],
)
def test_warnings_are_a_line_of_the_log(made, spoil, told):
    spoil(made)
    lines = list(task_of(made).describe())
    (line,) = [line for line in lines if line.startswith("data: ")]
    assert line.startswith(f"data: 1 warning: {told}") and line.endswith(ALL)
    assert not any("beyond" in other or "twice" in other for other in lines if other != line)  # is said once


def test_a_sound_set_is_trained_on_without_a_word(made):
    assert not [line for line in task_of(made).describe() if line.startswith("data: ")]


def test_anchors_that_do_not_fit_are_told(made):
    task = task_of(made)
    values = config.to_dict(task.settings)
    values["model"]["head"]["anchors"] = [[60 + i, 70 + i] for i in range(9)]
    (line,) = DetectionTask(config.from_dict(values)).warnings
    assert "(anchor.fit: 9 anchors at 96 px: mean best IoU" in line and "detect anchors" not in line
