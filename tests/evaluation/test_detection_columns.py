"""Detections as columns hold what files hold, in their order."""

import json

import numpy as np
import pytest

from detect.errors import UserError
from detect.evaluation.detections import Detections


def test_detections_are_rounded_as_their_files_are():
    boxes = np.array([[10.126, 20.5, 30.25, 40.75]], dtype=np.float32)
    found = Detections.in_image(7, boxes, np.array([0.1234567], dtype=np.float32), [18])
    results = found.results()
    assert results == [{"image_id": 7, "category_id": 18, "bbox": [10.13, 20.5, 20.12, 20.25], "score": 0.12346}]
    assert json.loads(json.dumps(results)) == results
    assert len(Detections.in_image(7, np.zeros((0, 4), dtype=np.float32), [], [])) == 0


def test_tables_come_from_results_and_become_results():
    first, second = (Detections.in_image(number, [[0, 0, number, 2]] * 2, [0.5, 0.25], [1, 2]) for number in (7, 5))
    joined = Detections.joined([first, second])
    assert joined.image_ids.tolist() == [7, 7, 5, 5] and len(Detections.joined([])) == 0
    assert Detections.of(joined.results()).results() == joined.results() == first.results() + second.results()
    assert joined[joined.scores < 0.5].results() == [first.results()[1], second.results()[1]]


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_numbers_that_are_none_are_refused(broken):
    with pytest.raises(UserError, match=r"^detections: 1 of 2 have .* first in image 7; .* look for NaN"):
        Detections.in_image(7, [[0, 0, 1, 1], [0, 0, 1, broken]], [0.5, 0.5], [1, 1])
    with pytest.raises(UserError, match=r"2 of 2"):
        Detections.in_image(7, np.ones((2, 4)), [broken, broken], [1, 1])
