"""Several sets give a training their images by share, each of their images in turn, whatever the epoch."""

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
def test_after_any_epoch_no_image_is_more_than_one_turn_ahead_of_its_set(sizes, shares):
    stream = Stream(sizes, shares, seed=5)
    counts = np.zeros(sum(sizes), dtype=int)
    for number in range(30):
        np.add.at(counts, stream.epoch(number), 1)
        for k in range(len(sizes)):
            turns = counts[set_of(np.arange(sum(sizes)), sizes) == k]
            assert turns.max() - turns.min() <= 1
    assert counts.min() > 0


@pytest.mark.parametrize("shares", [(1000, 1), (1e6, 1, 1), (1, 1e6, 1e6)])
def test_every_set_gives_an_image_an_epoch_however_small_its_share(shares):
    sizes = (100, 3, 20)[: len(shares)]
    order = Stream(sizes, shares).epoch(0)
    assert len(order) == sum(sizes) and set(set_of(order, sizes)) == set(range(len(sizes)))


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
