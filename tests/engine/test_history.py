"""Of equal evaluations the last is kept, and the first is counted from."""

import pytest

from detect.engine.history import evaluations_since_best, is_best

ROWS = [{"step": 1}, {"step": 2, "AP": 0.1}, {"step": 3, "AP": 0.3}, {"step": 4, "AP": 0.3}, {"step": 5, "AP": 0.2}]


@pytest.mark.parametrize(("metric", "expected"), [(0.29, False), (0.3, True), (0.4, True)])
def test_what_no_earlier_one_beats_is_the_best(metric, expected):
    assert is_best(metric, ROWS, "AP") is expected


def test_the_first_is_the_best_even_where_nothing_was_found():
    assert is_best(0.0, ROWS[:1], "AP")


@pytest.mark.parametrize(("count", "expected"), [(0, 0), (1, 0), (2, 0), (3, 0), (4, 1), (5, 2)])
def test_evaluations_are_counted_from_the_first_of_the_best(count, expected):
    assert evaluations_since_best(ROWS[:count], "AP") == expected
