"""Four images in one, their boxes with them."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from detect.data.augment.base import MIN_AREA, Context
from detect.data.augment.mosaic import Mosaic, Mosaic9
from detect.data.sample import Sample
from detect.ops.letterbox import GREY

COLOURS = np.array([(240, 0, 0), (0, 240, 0), (0, 0, 240), (240, 240, 0)])
ONE = np.ones(1, np.float32)
SIZES = ((72, 96), (96, 72), (40, 40), (200, 90))  # height, width


def mosaic(samples, size, rng):
    return Mosaic()(samples, Context(rng, size, 0.0))


def four_samples():
    """Samples of several sizes, each with one object whose colour tells its label."""
    samples = []
    for label, (height, width) in enumerate(SIZES):
        image = np.full((height, width, 3), 60, dtype=np.uint8)
        box = np.array([width // 4, height // 5, width - width // 6, height - height // 4])
        image[box[1] : box[3], box[0] : box[2]] = COLOURS[label]
        samples.append(Sample(image, box[None].astype(np.float32), np.array([label]), ONE, 10 + label))
    return samples


def coloured(image, label):
    """Box around the pixels nearly of the label's colour, or None."""
    rows, columns = np.nonzero(np.abs(image.astype(int) - COLOURS[label]).max(axis=2) < 90)
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]) if len(rows) else None


@pytest.mark.parametrize("size", [64, 96, 160])
def test_boxes_move_with_the_pixels(size):
    kept = 0
    for seed in range(30):
        result = mosaic(four_samples(), size, np.random.default_rng(seed))
        assert result.image.shape == (size, size, 3) and result.image.dtype == np.uint8
        for box, label in zip(result.boxes, result.labels, strict=True):
            assert_allclose(box, coloured(result.image, label), atol=1.5)
        kept += len(result.boxes)
    assert kept > 30 * 2.5  # most objects stay


def test_boxes_stay_in_the_image_and_keep_their_kind():
    for seed in range(30):
        result = mosaic(four_samples(), 64, np.random.default_rng(seed))
        assert (result.boxes.dtype, result.labels.dtype) == (np.float32, np.int64)
        assert (result.boxes >= 0).all() and (result.boxes <= 64).all()
        assert ((result.boxes[:, 2:] - result.boxes[:, :2]).prod(axis=1) >= MIN_AREA).all()


def test_the_four_images_meet_in_one_corner():
    nothing = np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, np.float32)
    samples = [Sample(np.full((50, 50, 3), 50 * i, np.uint8), *nothing, i) for i in range(1, 5)]
    for seed in range(20):
        image = mosaic(samples, 100, np.random.default_rng(seed)).image[..., 0]
        assert set(np.unique(image)) <= {50, 100, 150, 200, GREY}
        rows, columns = np.nonzero(image == 50)
        y, x = rows.max(), columns.max()
        assert image[y : y + 2, x : x + 2].tolist() == [[50, 100], [150, 200]]
        assert 28 <= x <= 71 and 28 <= y <= 71


def test_the_same_seed_gives_the_same_mosaic():
    first, second = (mosaic(four_samples(), 96, np.random.default_rng(3)) for _ in range(2))
    assert_array_equal(first.image, second.image)
    assert_array_equal(first.boxes, second.boxes)
    assert first.image_id == second.image_id == 10
    third = mosaic(four_samples(), 96, np.random.default_rng(4))
    assert (first.image != third.image).any()


def test_no_boxes_and_the_given_samples_stay():
    samples = four_samples()
    for sample in samples:
        sample.boxes, sample.labels = sample.boxes[:0], sample.labels[:0]
    before = [sample.image.copy() for sample in samples]
    result = mosaic(samples, 64, np.random.default_rng(0))
    assert (result.boxes.shape, result.boxes.dtype) == ((0, 4), np.float32)
    assert (result.labels.shape, result.labels.dtype) == ((0,), np.int64)
    for sample, image in zip(samples, before, strict=True):
        assert_array_equal(sample.image, image)


def test_thin_images_work():
    samples = four_samples()
    samples[1] = Sample(np.zeros((1, 500, 3), np.uint8), np.array([[0, 0, 500, 1]], np.float32), np.array([1]), ONE, 1)
    samples[2] = Sample(np.zeros((1, 1, 3), np.uint8), np.array([[0, 0, 1, 1]], np.float32), np.array([2]), ONE, 2)
    for seed in range(20):
        result = mosaic(samples, 64, np.random.default_rng(seed))
        assert result.image.shape == (64, 64, 3) and (result.boxes <= 64).all()


def test_weights_stay_with_their_boxes():
    samples = four_samples()
    for label, sample in enumerate(samples):
        sample.weights = np.array([label / 4], np.float32)
    for seed in range(20):
        result = mosaic(samples, 96, np.random.default_rng(seed))
        assert_array_equal(result.weights, result.labels.astype(np.float32) / 4, strict=True)


def test_of_ignore_regions_all_that_is_seen_stays():
    objects, regions = 0, 0
    for weight in (1, 0):
        samples = four_samples()
        for sample in samples:
            height, width = sample.image.shape[:2]
            sample.boxes = np.array([[0, 0, width, height]], np.float32)
            sample.weights = np.array([weight], np.float32)
        counts = [len(mosaic(samples, 96, np.random.default_rng(seed)).boxes) for seed in range(60)]
        objects, regions = (sum(counts), regions) if weight else (objects, sum(counts))
    assert objects < regions == 4 * 60


# ---- nine ------------------------------------------------------------------------------------------------------------


def test_nine_images_lie_three_by_three():
    """Each has its own grey value, by which the order from left to right and from top to bottom is seen."""
    nothing = np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, np.float32)
    shapes = [(50, 50), (40, 90), (90, 30)] * 3
    samples = [Sample(np.full((*shape, 3), 10 + 10 * i, np.uint8), *nothing, i) for i, shape in enumerate(shapes)]
    for seed in range(20):
        result = Mosaic9()(samples, Context(np.random.default_rng(seed), 120, 0.0))
        assert result.image.shape == (120, 120, 3) and result.is_mosaic and result.image_id == 0
        assert set(np.unique(result.image)) == {*range(10, 100, 10), GREY}
        middles = np.array([np.argwhere(result.image[..., 0] == 10 + 10 * i).mean(0) for i in range(9)]).reshape(
            3, 3, 2
        )
        assert (np.diff(middles[..., 1], axis=1) > 0).all() and (np.diff(middles[..., 0], axis=0) > 0).all()


def test_nine_images_keep_their_objects_where_they_are_seen():
    samples = [*four_samples(), *four_samples(), four_samples()[0]]
    counts = [len(Mosaic9()(samples, Context(np.random.default_rng(seed), 160, 0.0)).boxes) for seed in range(20)]
    assert 7 < np.mean(counts) <= 9
