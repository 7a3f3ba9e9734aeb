"""What classes count by the number of their boxes."""

import numpy as np
import pytest

from detect.losses.class_weights import class_weights


@pytest.mark.parametrize(("power", "expected"), [(0, [1, 1]), (1, [5 / 9, 5]), (0.5, [10 / 12, 10 / 4])])
def test_nine_boxes_and_one(power, expected):
    """With power 1/2: 9 * c / 3 + 1 * c = 10, so c = 10 / 4."""
    weights = class_weights(np.array([9, 1]), power)
    assert weights == pytest.approx(expected)
    assert 9 * weights[0] + weights[1] == pytest.approx(10)


def test_a_class_without_boxes_changes_nothing():
    assert class_weights(np.array([9, 0, 1]), 1) == pytest.approx([5 / 9, 1, 5])
