"""The bootstrap counts images as often as they are drawn, and is COCOeval's AP otherwise."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from detect.evaluation.bootstrap import _classes, ap_intervals, mean_ap
from detect.evaluation.detections import Detections
from detect.evaluation.fast import evaluate
from tests.coco_mapping import truth_of
from tests.evaluation.test_coco_evaluation import dataset_of, detections_of
from tests.evaluation.test_fast import random_set


def evaluated(dataset, detections):
    return evaluate(truth_of(dataset), Detections.of(detections))


def mean_of(dataset, detections, times):
    return mean_ap(list(_classes(evaluated(dataset, detections).matches)), times)


@pytest.mark.parametrize("seed", range(8))
def test_every_image_once_is_what_cocoeval_says(seed):
    dataset = dataset_of(seed=seed)
    detections = detections_of(dataset, seed + 1)
    if seed >= 4:  # and on wilder sets, in which some classes have no objects or no detections
        dataset, detections = random_set(seed)
    found = mean_of(dataset, detections, np.ones(len(dataset["images"])))
    expected = evaluated(dataset, detections).report.metrics
    assert_allclose(found, (expected["AP"], expected["AP50"]), rtol=1e-12)


def test_an_image_that_counts_three_times_is_three_images():
    dataset = dataset_of(count=6)
    detections = detections_of(dataset)
    times = np.array([3, 0, 1, 2, 1, 1])
    found = mean_of(dataset, detections, times)

    copied, found_again = {**dataset, "images": [], "annotations": []}, []
    for image, count in zip(dataset["images"], times, strict=True):
        for turn in range(count):
            new_id = image["id"] + 1000 * turn
            copied["images"].append(image | {"id": new_id})
            for rows, kept in ((dataset["annotations"], copied["annotations"]), (detections, found_again)):
                kept += [row | {"image_id": new_id} for row in rows if row["image_id"] == image["id"]]
    copied["annotations"] = [row | {"id": number} for number, row in enumerate(copied["annotations"], 1)]
    expected = evaluated(copied, found_again).report.metrics
    assert_allclose(found, (expected["AP"], expected["AP50"]), rtol=1e-9)


def test_the_interval_surrounds_the_ap_and_narrows_with_more_images():
    widths = []
    for count in (10, 160):
        dataset = dataset_of(count=count)
        detections = detections_of(dataset)
        evaluation = evaluated(dataset, detections)
        found, expected = ap_intervals(evaluation.matches, 200), evaluation.report.metrics
        for name, (low, high) in found.items():
            assert low < expected[name] < high
        widths.append(found["AP"][1] - found["AP"][0])
    assert widths[1] < widths[0] / 2
    assert ap_intervals(evaluation.matches, 5) == ap_intervals(evaluation.matches, 5)


def test_resamples_without_any_object_do_not_count():
    dataset = dataset_of(count=3)
    dataset["annotations"] = [row for row in dataset["annotations"] if row["image_id"] == dataset["images"][0]["id"]]
    assert dataset["annotations"]
    for low, high in ap_intervals(evaluated(dataset, detections_of(dataset)).matches, 100).values():
        assert 0 <= low <= high <= 1


def test_nothing_annotated_gives_no_ap():
    dataset = dataset_of(count=3) | {"annotations": []}
    assert ap_intervals(evaluated(dataset, []).matches, 5) == {"AP": (-1, -1), "AP50": (-1, -1)}
