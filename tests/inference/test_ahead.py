"""A stage of a pipeline: in order, bounded, closed from both ends."""

import threading
import time

import pytest

from detect.inference.ahead import Ahead


def numbers(count, made, closed=None):
    try:
        for number in range(count):
            made.append(number)
            yield number
    finally:
        if closed is not None:
            closed.append(threading.current_thread().name)


def test_items_come_in_order_each_made_in_the_thread():
    names = []
    made = Ahead(range(100), 3, lambda item: names.append(threading.current_thread().name) or item * 2)
    assert list(made) == [2 * number for number in range(100)] and set(names) == {"ahead"}


def test_no_more_is_made_than_can_wait():
    made = []
    ahead = Ahead(numbers(100, made), 3)
    assert made == []  # nothing before it is asked for
    assert next(ahead) == 0
    until = time.monotonic() + 5
    while len(made) < 5 and time.monotonic() < until:
        time.sleep(0.01)
    time.sleep(0.1)
    assert len(made) == 5  # taken, three that wait, one in the making
    ahead.close()


def test_an_error_comes_after_all_items_before_it():
    def broken():
        yield 1
        yield 2
        raise KeyError("three")

    seen = []
    with pytest.raises(KeyError, match="three"):
        seen += Ahead(broken(), 1)
        pytest.fail("no error")
    ahead = Ahead(broken(), 5)
    assert [next(ahead), next(ahead)] == [1, 2]
    with pytest.raises(KeyError):
        next(ahead)
    assert list(ahead) == []


def test_closing_closes_what_the_items_come_from_in_its_thread():
    made, closed = [], []
    ahead = Ahead(Ahead(numbers(1000, made, closed), 2), 2, lambda item: -item)
    assert [next(ahead), next(ahead)] == [0, -1]
    ahead.close()
    assert closed == ["ahead"] and len(made) < 20 and list(ahead) == []


def test_closing_before_the_first_item_makes_nothing():
    made, closed = [], []
    Ahead(Ahead(numbers(5, made, closed), 2), 2).close()
    assert made == []


def test_stages_work_at_once():
    both = threading.Barrier(2, timeout=5)  # broken if one stage waits until the other is done
    ahead = Ahead(Ahead(range(3), 1, lambda item: (both.wait() and 0) or item), 1, lambda item: item)
    thread = threading.Thread(target=lambda: [both.wait() for _ in range(3)])
    thread.start()
    assert list(ahead) == [0, 1, 2]
    thread.join()
