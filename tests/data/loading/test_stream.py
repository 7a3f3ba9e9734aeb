"""Several sets give a training their images by share, each of their images in turn, whatever the epoch."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from detect.data.loading.stream import Stream


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


# ---- factors ---------------------------------------------------------------------------------------------------------


def passes(stream, count, k=0):
    """How often each image of set k comes in each of so many passes over it, [count, n]."""
    return np.array([np.bincount(stream._pass(k, i), minlength=stream.sizes[k]) for i in range(count)])


def test_factors_are_rounded_at_random_and_right_on_average():
    factors = np.array([1, 1.25, 2, 2.5, 1, 3.75, 1.5])  # add up to 13
    counts = passes(Stream([7], factors=factors), 4000)
    assert (counts >= np.floor(factors)).all() and (counts <= np.ceil(factors)).all()
    assert (counts.sum(axis=1) == 13).all()
    np.testing.assert_allclose(counts.mean(axis=0), factors, atol=0.03)


def test_a_pass_is_a_whole_number_of_images_and_leaves_none_out():
    factors = np.array([1, 1, 1.1, 1])
    counts = passes(Stream([4], factors=factors), 500)
    assert (counts.sum(axis=1) == 5).all() and counts.min() == 1  # 4.1 is rounded up


def test_epochs_stay_as_long_and_go_through_one_pass_after_the_other():
    stream = Stream([4], factors=np.array([1, 3, 1, 1.0]), seed=3)
    assert (len(stream), stream.turns.tolist()) == (4, [6])
    taken = np.concatenate([stream.epoch(number) for number in range(3)])  # two passes
    assert np.bincount(taken).tolist() == [2, 6, 2, 2]


def test_factors_of_one_take_each_image_as_often_as_none_do():
    stream = Stream([5, 7], [1, 1], factors=np.ones(12))
    assert stream.turns.tolist() == [5, 7]
    assert (passes(stream, 20, k=1) == 1).all()


def test_shares_hold_with_factors():
    sizes, factors = (6, 30), np.ones(36)
    factors[2], factors[10] = 4, 5
    stream = Stream(sizes, [1, 1], factors=factors)
    counts = np.zeros(36)
    for number in range(300):
        order = stream.epoch(number)
        assert np.bincount(set_of(order, sizes)).tolist() == [18, 18]
        np.add.at(counts, order, 1)
    np.testing.assert_allclose(counts[:6] / counts[0], [1, 1, 4, 1, 1, 1], rtol=0.02)
    np.testing.assert_allclose(counts[10] / np.delete(counts[6:], 4).mean(), 5, rtol=0.05)


@pytest.mark.parametrize("shares", [None, [3, 1]])
def test_random_draws_keep_factors_and_shares(shares):
    factors = np.array([1, 1, 2, 1, 5, 1, 1, 1.0])
    drawn = Stream([4, 4], shares, factors=factors).draw(np.random.default_rng(0), 20_000)
    weights = factors / (factors.sum() if shares is None else np.repeat([5 / 0.75, 8 / 0.25], 4))
    np.testing.assert_allclose(np.bincount(drawn, minlength=8) / 20_000, weights, atol=0.012)


def test_with_factors_the_order_depends_on_seed_and_epoch_alone():
    factors = np.linspace(1, 3, 20)
    first, again, other = (Stream([20], None, seed, factors) for seed in (0, 0, 1))
    assert_array_equal(first.epoch(7), again.epoch(7))
    assert (first.epoch(7) != other.epoch(7)).any() and (first.epoch(7) != first.epoch(8)).any()
