"""The bootstrap counts images as often as they are drawn, and is COCOeval's AP otherwise."""

import copy

import numpy as np
import pytest
from numpy.testing import assert_allclose

from detect.evaluation.bootstrap import _classes, ap_intervals, mean_ap
from detect.evaluation.coco import evaluate_detections, indexed, matched
from tests.evaluation.test_coco_evaluation import dataset_of, detections_of


def report_of(dataset, detections):
    return evaluate_detections(indexed(copy.deepcopy(dataset)), detections).metrics


@pytest.mark.parametrize("seed", range(4))
def test_every_image_once_is_what_cocoeval_says(seed):
    dataset = dataset_of(seed=seed)
    detections = detections_of(dataset, seed + 1)
    evaluation = matched(indexed(dataset), detections)
    found = mean_ap(_classes(evaluation), np.ones(len(dataset["images"])), evaluation.params.recThrs)
    expected = report_of(dataset, detections)
    assert_allclose(found, (expected["AP"], expected["AP50"]), rtol=1e-12)


def test_an_image_that_counts_three_times_is_three_images():
    dataset = dataset_of(count=6)
    detections = detections_of(dataset)
    times = np.array([3, 0, 1, 2, 1, 1])
    evaluation = matched(indexed(dataset), detections)
    found = mean_ap(_classes(evaluation), times, evaluation.params.recThrs)

    copied, found_again = {**dataset, "images": [], "annotations": []}, []
    for image, count in zip(dataset["images"], times, strict=True):
        for turn in range(count):
            new_id = image["id"] + 1000 * turn
            copied["images"].append(image | {"id": new_id})
            for rows, kept in ((dataset["annotations"], copied["annotations"]), (detections, found_again)):
                kept += [row | {"image_id": new_id} for row in rows if row["image_id"] == image["id"]]
    copied["annotations"] = [row | {"id": number} for number, row in enumerate(copied["annotations"], 1)]
    expected = report_of(copied, found_again)
    assert_allclose(found, (expected["AP"], expected["AP50"]), rtol=1e-9)


def test_the_interval_surrounds_the_ap_and_narrows_with_more_images():
    widths = []
    for count in (10, 160):
        dataset = dataset_of(count=count)
        detections = detections_of(dataset)
        found, expected = ap_intervals(indexed(dataset), detections, 200), report_of(dataset, detections)
        for name, (low, high) in found.items():
            assert low < expected[name] < high
        widths.append(found["AP"][1] - found["AP"][0])
    assert widths[1] < widths[0] / 2
    assert ap_intervals(indexed(dataset), detections, 5) == ap_intervals(indexed(dataset), detections, 5)


def test_nothing_annotated_gives_no_ap():
    dataset = dataset_of(count=3) | {"annotations": []}
    assert ap_intervals(indexed(dataset), [], 5) == {"AP": (-1, -1), "AP50": (-1, -1)}
