"""Points of an image go where its px go, and a box is around the four corners of what it was."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from detect.data.augment.base import Context
from detect.data.augment.warp import RandomAffine, RandomPerspective, warped
from detect.data.sample import Sample
from tests.data.augment.blobs import extent, is_colour, painted


def context(seed):
    return Context(np.random.default_rng(seed), 64, 0.0)


def test_a_shift_by_whole_px_moves_image_and_boxes_by_them():
    sample = painted([(20, 10, 50, 40)], [2], 60, 80)
    result = warped(sample, np.array([[1, 0, 7], [0, 1, -4], [0, 0, 1]]))
    assert_array_equal(result.boxes, [[27, 6, 57, 36]])
    assert_array_equal(extent(result.image, 2), result.boxes[0])


def test_a_quarter_turn_around_the_middle_is_exact():
    sample = painted([(20, 10, 50, 40)], [2], 80, 80)
    result = warped(sample, np.array([[0, -1, 80], [1, 0, 0], [0, 0, 1]]))  # (x, y) -> (80 - y, x)
    assert_array_equal(result.image, np.rot90(sample.image, -1))
    assert_array_equal(result.boxes, [[40, 20, 70, 50]])


@pytest.mark.parametrize("perspective", [False, True])
def test_a_box_is_around_its_four_corners_moved(perspective):
    rng = np.random.default_rng(0)
    for _ in range(20):
        matrix = np.eye(3) + rng.uniform(-0.2, 0.2, (3, 3)) * [[1, 1, 10], [1, 1, 10], [0, 0, 0]]
        matrix[2, :2] = rng.uniform(-0.001, 0.001, 2) * perspective
        sample = painted([(30, 40, 90, 70)], [4], 120, 120)
        (box,) = warped(sample, matrix).boxes
        points = np.array([[x, y, 1] for x in (30, 90) for y in (40, 70)]) @ matrix.T
        points = points[:, :2] / points[:, 2:]
        assert_allclose(box, [*np.clip(points.min(0), 0, 120), *np.clip(points.max(0), 0, 120)], atol=1e-3)
        assert_allclose(box, extent(warped(sample, matrix).image, 4), atol=2)


@pytest.mark.parametrize("augmentation", [RandomAffine(degrees=90, shear=30), RandomPerspective(distortion=0.24)])
def test_points_move_with_their_boxes(augmentation):
    """A dot and its box of 2 px, moved by the same random numbers."""
    kept = 0
    for seed in range(40):
        x, y = np.random.default_rng(100 + seed).integers(10, 110, 2).tolist()
        sample = painted([(x - 3, y - 3, x + 3, y + 3)], [8], 120, 120)
        result = augmentation([sample], context(seed))
        if len(result.boxes):
            kept += 1
            seen = np.argwhere(is_colour(result.image, 8)).mean(0)[::-1] + 0.5
            left, top, right, bottom = result.boxes[0]
            if min(left, top) > 0 and max(right, bottom) < 120:
                assert_allclose(seen, [(left + right) / 2, (top + bottom) / 2], atol=1)
    assert kept > 20


def test_without_reach_nothing_changes():
    rng = np.random.default_rng(0)
    sample = painted([(20, 10, 50, 40)], [2], 60, 81)
    sample.image[:] = rng.integers(0, 255, sample.image.shape)
    for augmentation in (RandomAffine(degrees=0, scale=1, shear=0, translate=0), RandomPerspective(distortion=0)):
        result = augmentation([sample], context(3))
        assert_array_equal(result.image, sample.image)
        assert_allclose(result.boxes, sample.boxes, atol=1e-3)


def test_the_reach_of_an_affine_change_is_what_its_options_say():
    sample = Sample(
        np.zeros((100, 100, 3), np.uint8),
        np.array([[45, 45, 55, 55]], np.float32),
        np.array([0]),
        np.ones(1, np.float32),
        0,
    )
    shift = RandomAffine(degrees=0, scale=1, shear=0, translate=0.2)
    centres = np.array([shift([sample], context(seed)).boxes[0, :2] - 45 for seed in range(300)])
    assert_allclose([centres.min(0), centres.max(0)], [[-20, -20], [20, 20]], atol=1)
    scale = RandomAffine(degrees=0, scale=2, shear=0, translate=0)
    sides = np.array([np.ptp(scale([sample], context(seed)).boxes[0, [0, 2]]) for seed in range(300)])
    assert_allclose([sides.min(), sides.max()], [5, 20], atol=0.3)
    turn = RandomAffine(degrees=45, scale=1, shear=0, translate=0)
    sides = np.array([np.ptp(turn([sample], context(seed)).boxes[0, [0, 2]]) for seed in range(300)])
    assert_allclose([sides.min(), sides.max()], [10, 10 * 2**0.5], atol=0.2)
