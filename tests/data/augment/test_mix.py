"""Two images in one: what is hidden, what is blended, and what counts how much."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from detect.data.augment.base import Context, pasted
from detect.data.augment.mix import CopyPaste, CutMix, MixUp
from detect.ops.letterbox import GREY
from tests.data.augment.blobs import empty, extent, is_colour, painted


def context(seed):
    return Context(np.random.default_rng(seed), 64, 0.0)


@pytest.mark.parametrize(
    ("window", "left"),
    [
        ((0, 0, 10, 10), (20, 20, 60, 60)),  # beside it
        ((60, 20, 70, 60), (20, 20, 60, 60)),  # at its side
        ((10, 10, 70, 30), (20, 30, 60, 60)),  # its upper quarter from side to side
        ((20, 50, 60, 60), (20, 20, 60, 50)),
        ((10, 0, 35, 90), (35, 20, 60, 60)),
        ((50, 20, 60, 60), (20, 20, 50, 60)),
        ((10, 30, 70, 40), (20, 20, 60, 60)),  # across its middle
        ((10, 10, 40, 40), (20, 20, 60, 60)),  # a corner
        ((20, 20, 60, 51), (20, 51, 60, 60)),  # 22.5% are left
        ((20, 20, 60, 53), None),  # 17.5%
        ((20, 20, 60, 60), None),  # all of it
        ((0, 0, 90, 90), None),
    ],
)
def test_what_lies_below_is_cut_or_goes(window, left):
    sample = painted([(20, 20, 60, 60)], [0], 90, 90)
    piece = empty(window[3] - window[1], window[2] - window[0])
    result = pasted(sample, piece, *window[:2])
    assert_array_equal(result.boxes, np.array([left] if left else [], np.float32).reshape(-1, 4))
    if left and window != (10, 30, 70, 40) and window != (10, 10, 40, 40):
        assert_array_equal(extent(result.image, 0), left)
    region = painted([(20, 20, 60, 60)], [0], 90, 90, weights=[0])
    assert len(pasted(region, piece, *window[:2]).boxes) == (window not in [(20, 20, 60, 60), (0, 0, 90, 90)])


def test_mixup_blends_both_and_each_box_counts_by_its_share():
    bright, dark = empty(80, 120), empty(40, 60)
    bright.image[:], dark.image[:] = 200, 0
    for sample, label in ((bright, 0), (dark, 1)):
        height, width = sample.image.shape[:2]
        sample.boxes = np.array([[0, 0, width / 2, height]] * 2, np.float32)
        sample.labels = np.array([label, label])
        sample.weights = np.array([1, 0], np.float32)
    shares = []
    for seed in range(200):
        result = MixUp()([bright, dark], context(seed))
        share = result.image.mean() / 200
        assert_allclose(result.weights, [share, 0, 1 - share, 0], atol=0.01)
        assert_array_equal(result.boxes, [[0, 0, 60, 80]] * 4)  # the other fills the frame, as it is as broad
        assert result.labels.tolist() == [0, 0, 1, 1]
        shares.append(share)
    assert_allclose(np.mean(shares), 0.5, atol=0.05)
    assert_allclose(np.var(shares), 1 / 16, atol=0.01)  # of Beta(1.5, 1.5)


def test_the_other_image_of_mixup_lies_whole_in_the_frame():
    sample, other = empty(60, 100), painted([(0, 0, 300, 200)], [4], 200, 300)
    for seed in range(20):
        result = MixUp(alpha=1000)([sample, other], context(seed))
        assert result.image.shape == (60, 100, 3)
        (left, top, right, bottom), *others = result.boxes
        assert not others and (right - left, bottom - top) == (90, 60) and 0 <= left <= 10 and top == 0
        assert_allclose(extent(result.image, 4), result.boxes[0], atol=1)


def test_cutmix_shows_a_rectangle_of_the_other_with_what_it_holds():
    sample = painted([(0, 0, 20, 80)], [0], 80, 120)
    other = painted([(0, 0, 120, 80)], [6], 80, 120)
    shares = []
    for seed in range(300):
        result = CutMix()([sample, other], context(seed))
        seen = extent(result.image, 6)
        rows = result.boxes[result.labels == 6]
        assert len(rows) == (seen is not None and is_colour(result.image, 6).mean() >= 0.2)
        if len(rows):
            assert_array_equal(rows[0], seen)
            assert is_colour(result.image, 6).sum() == np.prod(seen[2:] - seen[:2])
        shares.append(is_colour(result.image, 6).mean())
    assert max(shares) > 0.8 and min(shares) < 0.05 and 0.3 < np.mean(shares) < 0.45  # less than 1/2: cut at the border


def test_cutmix_takes_nothing_of_the_grey_beside_the_other():
    sample, other = empty(90, 90), painted([(0, 0, 30, 90)], [3], 90, 30)
    sample.image[:] = 7
    for seed in range(30):
        assert not (CutMix()([sample, other], context(seed)).image == GREY).all(axis=2).any()


def test_copied_objects_keep_their_labels_and_come_with_what_their_boxes_show():
    sample = empty(100, 100)
    other = painted([(10, 10, 50, 40), (20, 20, 30, 30), (0, 60, 90, 90)], [2, 5, 7], 100, 100)
    other.weights[2] = 0  # an ignore region is nothing to copy
    counts = []
    for seed in range(100):
        result = CopyPaste(objects=1, scale=2)([sample, other], context(seed))
        assert set(result.labels.tolist()) in ({2, 5}, {5}, {2, 5} | {5})
        for box, label in zip(result.boxes, result.labels, strict=True):
            if label == 5:
                assert_allclose(extent(result.image, 5), box, atol=1.5)
        counts.append((result.boxes[:, 2] - result.boxes[:, 0]).max())
    assert min(counts) < 10 and max(counts) > 60  # 10 px halved, 40 px doubled
    more = [len(CopyPaste(objects=2)([sample, other], context(seed)).boxes) for seed in range(100)]
    assert max(more) == 3 and min(more) <= 1


def test_nothing_is_copied_of_an_image_without_objects():
    sample, other = painted([(5, 5, 50, 50)], [1], 60, 60), painted([(0, 0, 50, 50)], [3], 60, 60, weights=[0])
    for one in (other, empty(50, 50)):
        assert CopyPaste()([sample, one], context(0)) is sample


def test_a_copied_object_is_as_large_beside_the_image_as_in_its_own():
    sample, other = empty(60, 80), painted([(0, 0, 200, 100)], [3], 600, 800)
    result = CopyPaste(scale=1)([sample, other], context(0))
    assert_array_equal(result.boxes[:, 2:] - result.boxes[:, :2], [[20, 10]])
