"""Each kind of error and what it costs, by hand; and that right detections cost nothing."""

import numpy as np
import pytest

from detect.report.errors import KINDS, NO_ERROR, costs, find_errors, image_costs
from detect.report.ranking import mean_ap
from tests.report.made import made_evaluation, random_evaluation

CAT, DOG = [100, 100, 100, 100], [300, 100, 100, 100]
NEAR_CAT = [160, 100, 100, 100]  # IoU 40 / 160 = 0.25
FAR = [500, 300, 50, 50]
OBJECTS = [(0, "cat", CAT), (0, "dog", DOG)]


def kinds_of(found, objects=OBJECTS):
    """The kind of each detection by name; None for a right one."""
    evaluation = made_evaluation(objects, found)
    errors = find_errors(evaluation)
    return evaluation, errors, [None if kind == NO_ERROR else KINDS[kind] for kind in errors.kinds.tolist()]


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        ((0, "cat", NEAR_CAT, 0.5), "localisation"),
        ((0, "dog", CAT, 0.5), "classification"),
        ((0, "bird", CAT, 0.5), "classification"),
        ((0, "dog", NEAR_CAT, 0.5), "both"),
        ((0, "cat", [102, 100, 100, 100], 0.5), "duplicate"),
        ((0, "cat", FAR, 0.5), "background"),
        ((1, "cat", CAT, 0.5), "background"),  # of another image
        ((0, "cat", [195, 100, 100, 100], 0.5), "background"),  # IoU 0.026
    ],
)
def test_the_kind_of_a_false_detection(found, kind):
    _, _, kinds = kinds_of([(0, "cat", CAT, 0.9), found])
    assert kinds == [None, kind]


def test_an_object_is_missed_unless_an_error_comes_near():
    assert find_errors(made_evaluation(OBJECTS, [])).missed.tolist() == [True, True]
    near = find_errors(made_evaluation(OBJECTS, [(0, "cat", NEAR_CAT, 0.5), (0, "cat", DOG, 0.5)]))
    assert near.missed.tolist() == [False, False]  # one is badly placed, one of a wrong class
    wrong_in_both = find_errors(made_evaluation(OBJECTS, [(0, "dog", NEAR_CAT, 0.5)]))
    assert wrong_in_both.missed.tolist() == [True, True]
    assert wrong_in_both.counts() == dict.fromkeys(KINDS, 0) | {"both": 1, "missed": 2}


def test_what_lies_in_a_crowd_is_no_error_and_a_crowd_is_not_missed():
    evaluation, errors, kinds = kinds_of([(0, "cat", [310, 110, 20, 20], 0.5)], [(0, "cat", DOG, True)])
    assert kinds == [None] and not errors.missed.any()
    assert set(costs(evaluation, errors).values()) == {0.0}


def cost_of(found, objects=OBJECTS):
    evaluation, errors, _ = kinds_of(found, objects)
    return evaluation.report.metrics["AP50"], costs(evaluation, errors)


def test_a_better_box_would_gain_what_it_misses():
    ap50, cost = cost_of([(0, "cat", NEAR_CAT, 0.9), (0, "dog", DOG, 0.9)])
    assert ap50 == pytest.approx(0.5) and cost["localisation"] == pytest.approx(0.5)
    assert cost["false"] == cost["missed"] == cost["background"] == 0
    assert cost["not found"] == 0  # a class without found objects stays at 0


def test_another_name_would_gain_both_classes():
    """The dog is called a cat, before the cat: as a dog it is right, and no longer wrong as a cat."""
    ap50, cost = cost_of([(0, "cat", DOG, 0.9), (0, "cat", CAT, 0.8)])
    assert ap50 == pytest.approx(0.25) and cost["classification"] == pytest.approx(0.75)
    assert cost["false"] == pytest.approx(0.25)  # only the cat gains if it is removed


def test_of_two_errors_for_one_object_the_better_one_is_put_right():
    objects = [(0, "cat", CAT)]
    _, cost = cost_of([(0, "cat", NEAR_CAT, 0.9), (0, "cat", [100, 160, 100, 100], 0.8)], objects)
    assert cost["localisation"] == pytest.approx(1.0)  # one right, the other gone


def test_a_better_scored_error_takes_the_place_of_the_right_one():
    """Once it is put right, the lower one is its duplicate and goes."""
    ap50, cost = cost_of([(0, "cat", NEAR_CAT, 0.9), (0, "cat", CAT, 0.8)], [(0, "cat", CAT)])
    assert ap50 == pytest.approx(0.5) and cost["localisation"] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [
        ((0, "cat", FAR, 0.95), "background"),
        ((0, "cat", [360, 100, 100, 100], 0.95), "both"),
        ((0, "cat", [102, 100, 100, 100], 0.8), "duplicate"),
    ],
)
def test_removing_what_is_false_gains_its_share(wrong, kind):
    second = (1, "cat", CAT)
    found = [(0, "cat", CAT, 0.9), wrong, (1, "cat", CAT, 0.7), (0, "dog", DOG, 0.9)]
    ap50, cost = cost_of(found, [*OBJECTS, second])
    assert ap50 < 1 and cost[kind] == pytest.approx(1 - ap50) == pytest.approx(cost["false"])
    assert all(value == 0 for name, value in cost.items() if name not in (kind, "false"))


def test_missed_objects_are_taken_out_of_the_count():
    ap50, cost = cost_of([(0, "cat", CAT, 0.9)], [(0, "cat", CAT), (1, "cat", DOG)])
    assert ap50 == pytest.approx(51 / 101) and cost["missed"] == pytest.approx(50 / 101) == cost["not found"]


@pytest.mark.parametrize("seed", range(5))
def test_every_false_detection_has_one_kind_and_mending_never_costs(seed):
    evaluation = random_evaluation(seed)
    errors = find_errors(evaluation)
    false = sum(int(np.count_nonzero(~one.true)) for one in errors.classes)
    assert np.count_nonzero(errors.kinds != NO_ERROR) == false > 10
    cost = costs(evaluation, errors)
    before = mean_ap(errors.classes, [one.count > 0 for one in errors.classes])
    assert all(0 <= value <= 1 - before + 1e-12 for value in cost.values())
    assert cost["false"] >= max(cost["background"], cost["both"], cost["duplicate"])


def test_images_are_charged_with_their_own_errors():
    objects = [(0, "cat", CAT), (1, "cat", CAT)]
    evaluation = made_evaluation(objects, [(0, "cat", CAT, 0.9), (0, "cat", FAR, 0.8), (1, "cat", FAR, 0.1)])
    errors = find_errors(evaluation)
    assert evaluation.report.metrics["AP50"] == pytest.approx(51 / 101)
    costs_at = image_costs(evaluation, errors, [0.5] * 3)
    # image 0: its false one changes nothing, as no right one is below; image 1: the missed one comes third
    assert costs_at == pytest.approx([0, (51 + 50 * 2 / 3) / 101 - 51 / 101])
    assert image_costs(evaluation, errors, [0.85] * 3)[1] == pytest.approx(50 / 101)


def test_an_object_found_below_the_threshold_counts_once():
    objects = [(0, "cat", CAT), (1, "cat", CAT)]
    found = [(0, "cat", FAR, 0.95), (0, "cat", CAT, 0.9), (1, "cat", CAT, 0.3)]
    evaluation = made_evaluation(objects, found)
    costs_at = image_costs(evaluation, find_errors(evaluation), [0.5] * 3)
    assert costs_at == pytest.approx([1 - 2 / 3, 0])  # the third comes third, wherever it is found


def test_without_objects_or_detections_nothing_fails():
    for objects, found in (([], []), ([], [(0, "cat", CAT, 0.5)]), (OBJECTS, [])):
        evaluation = made_evaluation(objects, found)
        errors = find_errors(evaluation)
        assert set(costs(evaluation, errors).values()) == {0.0}
        assert image_costs(evaluation, errors, [0.5] * 3).shape == (2,)
