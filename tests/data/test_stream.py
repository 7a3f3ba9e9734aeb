"""Several sets give a training their images by share, each of their images in turn, whatever the epoch."""

from collections import Counter

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from detect.data.stream import Stream


def set_of(indices, sizes):
    """Number of the set that each index belongs to."""
    return np.searchsorted(np.cumsum(sizes), indices, side="right")


@pytest.mark.parametrize(("sizes", "shares"), [((6, 3), (1, 1)), ((5, 40, 7), (3, 1, 2)), ((1, 10), (9, 1))])
def test_each_set_has_its_share_of_every_epoch(sizes, shares):
    stream = Stream(sizes, shares)
    for number in range(4):
        order = stream.epoch(number)
        assert len(order) == len(stream) == sum(sizes)
        counts = np.bincount(set_of(order, sizes), minlength=len(sizes))
        assert (np.abs(counts - sum(sizes) * np.array(shares) / sum(shares)) < 1).all()


@pytest.mark.parametrize(("sizes", "shares"), [((6, 3), (1, 1)), ((5, 40, 7), (3, 1, 2)), ((4, 4), (1, 1))])
def test_no_image_comes_twice_before_all_others_of_its_set_have_come(sizes, shares):
    stream = Stream(sizes, shares, seed=5)
    taken = np.concatenate([stream.epoch(number) for number in range(30)])
    for k, size in enumerate(sizes):
        counts = Counter(taken[set_of(taken, sizes) == k].tolist())
        assert len(counts) == size and max(counts.values()) - min(counts.values()) <= 1


def test_without_shares_all_images_are_one_set():
    stream = Stream([4, 6])
    assert sorted(stream.epoch(3)) == list(range(10))
    assert_array_equal(stream.epoch(3), Stream([10]).epoch(3))


def test_the_order_depends_on_seed_and_epoch_alone():
    first, again, other = (Stream([20, 30], [1, 2], seed) for seed in (0, 0, 1))
    assert_array_equal(first.epoch(2), again.epoch(2))
    assert (first.epoch(2) != first.epoch(1)).any() and (first.epoch(2) != other.epoch(2)).any()


def test_random_draws_keep_the_shares():
    drawn = Stream([10, 90], [3, 1]).draw(np.random.default_rng(0), 4000)
    assert 0.72 < (drawn < 10).mean() < 0.78
    assert set(drawn) == set(range(100))
