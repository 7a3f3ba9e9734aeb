"""AP, F1 and the best thresholds, on examples that can be counted by hand and beside pycocotools' numbers."""

import numpy as np
import pytest

from detect.report.best_thresholds import LEAST_OBJECTS, class_thresholds
from detect.report.ranking import Ranking, average_precision, best_threshold, mean_ap, pooled, rankings
from tests.report.made import made_evaluation, random_evaluation


def ranking(scores, true, count):
    return Ranking(np.arange(len(scores)), np.array(scores, dtype=float), np.array(true, dtype=bool), count)


def test_precision_recall_and_f1_are_those_down_to_each_detection():
    one = ranking([0.9, 0.8, 0.7, 0.6], [1, 0, 1, 1], 4)
    np.testing.assert_allclose(one.precision, [1, 1 / 2, 2 / 3, 3 / 4])
    np.testing.assert_allclose(one.recall, [1 / 4, 1 / 4, 2 / 4, 3 / 4])
    np.testing.assert_allclose(one.f1, [2 / 5, 2 / 6, 4 / 7, 6 / 8])


def test_average_precision_by_hand():
    assert average_precision(np.array([0, 1]), 2) == 1
    assert average_precision(np.array([0]), 2) == pytest.approx(51 / 101)  # recalls 0 to 0.5
    assert average_precision(np.array([1]), 1) == pytest.approx(0.5)
    assert average_precision(np.array([], dtype=int), 3) == average_precision(np.array([], dtype=int), 0) == 0


@pytest.mark.parametrize("seed", range(5))
def test_average_precision_is_the_evaluators(seed):
    evaluation = random_evaluation(seed)
    classes = rankings(evaluation)
    for one, values in zip(classes, evaluation.report.per_class.values(), strict=True):
        assert one.count == values["instances"]
        if one.count:
            assert one.average_precision() == pytest.approx(values["AP50"], abs=1e-12)
    present = [one.count > 0 for one in classes]
    assert mean_ap(classes, present) == pytest.approx(evaluation.report.metrics["AP50"], abs=1e-12)


def test_detections_in_crowds_count_for_nothing():
    evaluation = made_evaluation(
        [(0, "cat", [0, 0, 50, 50]), (0, "cat", [100, 0, 200, 200], True)],
        [(0, "cat", [0, 0, 50, 50], 0.5), (0, "cat", [120, 20, 40, 40], 0.9)],
    )
    cat = rankings(evaluation)[0]
    assert cat.scores.tolist() == [0.5] and cat.true.tolist() == [True] and cat.count == 1


def test_the_best_threshold_lies_between_what_pays_and_what_does_not():
    best = best_threshold(ranking([0.9, 0.8, 0.4, 0.2], [1, 1, 0, 0], 2))
    assert best == pytest.approx((0.6, 1.0, 1.0, 1.0))  # half-way from 0.8 to 0.4
    assert best_threshold(ranking([0.9, 0.6], [1, 1], 2)).threshold == pytest.approx(0.3)  # nothing is below


def test_a_threshold_cannot_part_equal_scores():
    best = best_threshold(ranking([0.9, 0.5, 0.5, 0.1], [1, 1, 0, 0], 2))
    assert best.threshold == pytest.approx(0.3) and best.precision == pytest.approx(2 / 3) and best.recall == 1


@pytest.mark.parametrize("one", [ranking([], [], 3), ranking([0.5], [0], 3), ranking([0.5], [0], 0)])
def test_where_nothing_was_found_there_is_no_best_threshold(one):
    assert best_threshold(one) is None


def test_classes_are_pooled_by_score():
    together = pooled([ranking([0.9, 0.3], [1, 0], 2), ranking([0.5], [1], 1)])
    assert together.scores.tolist() == [0.9, 0.5, 0.3] and together.true.tolist() == [True, True, False]
    assert together.count == 3
    assert pooled([]).count == 0


def test_a_class_of_few_objects_takes_the_threshold_of_all():
    many = ranking([0.8] * LEAST_OBJECTS + [0.4], [1] * LEAST_OBJECTS + [0], LEAST_OBJECTS)
    few = ranking([0.2], [1], LEAST_OBJECTS - 1)
    nothing = ranking([0.9] * 3, [0] * 3, LEAST_OBJECTS)
    scores, overall = class_thresholds([many, few, nothing])
    assert scores == [pytest.approx(0.6), overall, overall]
    assert overall == best_threshold(pooled([many, few, nothing])).threshold
    assert class_thresholds([nothing]) is None
