"""What a file says of its thresholds is theirs, or one reason why not."""

import pytest

from detect.inference.thresholds import Thresholds

GOOD = {"scores": [0.25, 0.5], "iou": 0.5, "data": "159 images of val.json"}


def test_the_way_through_a_file_changes_nothing():
    found = Thresholds.of(GOOD, 2)
    assert found == Thresholds((0.25, 0.5), 0.5, "159 images of val.json") and found.to_dict() == GOOD
    assert Thresholds.of(None, 2) is None


@pytest.mark.parametrize(
    "changed",
    [
        [], "low", {}, GOOD | {"more": 1}, GOOD | {"scores": [0.5]}, GOOD | {"scores": [0.5, 1.5]},
        GOOD | {"scores": [0.5, float("nan")]}, GOOD | {"scores": [0.5, True]}, GOOD | {"scores": "ab"},
        GOOD | {"scores": [0.5, None]}, GOOD | {"iou": "half"}, GOOD | {"data": 7},
    ],
)  # fmt: skip
def test_anything_else_is_refused(changed):
    with pytest.raises(ValueError, match=r"^are (damaged|not those of 2 classes)$"):
        Thresholds.of(changed, 2)
