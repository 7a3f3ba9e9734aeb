"""Objects and detections as columns hold what files hold, in their order."""

import json

import numpy as np
import pytest

from detect.errors import UserError
from detect.evaluation.tables import Detections, GroundTruth


def mapping():
    images = [{"id": 9, "width": 64, "height": 48}, {"id": 4, "width": 32, "height": 16}]
    categories = [{"id": 7, "name": "cell"}, {"id": 2, "name": "cell"}, {"id": 3, "name": "dog"}]
    rows = [(9, 7, 0), (4, 3, 1), (9, 2, 0), (5, 2, 0), (9, 1, 0)]  # there is no image 5, and no class 1
    annotations = [
        {"image_id": image, "category_id": category, "bbox": [number, 1, 2, 3], "area": 5, "iscrowd": crowd}
        for number, (image, category, crowd) in enumerate(rows)
    ]
    return {"images": images, "categories": categories, "annotations": annotations}


def test_objects_in_the_order_of_their_file():
    truth = GroundTruth.of(mapping())
    assert truth.image_ids.tolist() == [4, 9] and truth.sizes.tolist() == [[32, 16], [64, 48]]
    assert truth.category_ids.tolist() == [2, 3, 7] and truth.names == ["cell (id 2)", "dog", "cell (id 7)"]
    assert len(truth) == 3 and truth.images.tolist() == [1, 0, 1] and truth.labels.tolist() == [2, 1, 0]
    assert truth.boxes[:, 0].tolist() == [0, 1, 2] and truth.crowds.tolist() == [False, True, False]
    assert truth.instances.tolist() == [1, 0, 1]


def test_a_part_of_the_images():
    part = GroundTruth.of(mapping()).of_images([9, 1000])
    assert (
        part.image_ids.tolist() == [9] and part.sizes.tolist() == [[64, 48]] and part.category_ids.tolist() == [2, 3, 7]
    )
    assert part.images.tolist() == [0, 0] and part.labels.tolist() == [2, 0] and part.instances.tolist() == [1, 0, 1]
    assert len(GroundTruth.of(mapping()).of_images([])) == 0


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
