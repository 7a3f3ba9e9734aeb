"""Parts of large images at their own resolution."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from detect.data.augment.base import Context
from detect.data.augment.tile import Tile
from tests.data.augment.blobs import assert_same
from tests.data.augment.test_short_form import GREY, RED, SEEDS, image_of


def tile_of(sample, size, seed):
    return Tile()([sample], Context(np.random.default_rng(seed), size, 0.0))


def test_a_tile_shows_the_image_at_its_own_resolution_with_the_boxes_in_it():
    sample = image_of([(x, y, x + 6, y + 4) for x in range(3, 90, 12) for y in range(2, 66, 9)])
    places = set()
    for seed in SEEDS:
        tile = tile_of(sample, 32, seed)
        assert tile.image.shape == (32, 32, 3) and tile.image_id == 5 and (tile.weights == 1).all()
        for left, top, right, bottom in tile.boxes.astype(int):
            assert (tile.image[top:bottom, left:right] == RED).all()
        inside = (tile.boxes[:, :2] > 0).all(axis=1) & (tile.boxes[:, 2:] < 32).all(axis=1)
        (left, top), *others = (sample.boxes[tile.labels] - tile.boxes)[inside][:, :2].astype(int).tolist()
        assert others and all(other == [left, top] for other in others)
        assert_array_equal(tile.image, sample.image[top : top + 32, left : left + 32])
        places.add((left, top))
    lefts, tops = zip(*places, strict=True)
    assert len(places) > 30 and min(lefts) < 10 and 54 < max(lefts) <= 64 and min(tops) < 7 and 33 < max(tops) <= 40


@pytest.mark.parametrize(("weight", "left"), [(1, 0), (0, 1)])
def test_of_what_a_tile_hardly_shows_only_ignore_regions_stay(weight, left):
    """A tile of an image as high as it: the box is at its left border, with 10% of itself in the tile at the most."""
    sample = image_of([(0, 0, 100, 40)], height=40, width=130)
    sample.weights[:] = weight
    (seed,) = [s for s in range(300) if np.random.default_rng(s).integers(91) == 90][:1]
    tile = tile_of(sample, 40, seed)
    assert (tile.image[:, :10] == RED).all() and (tile.image[:, 10:] == GREY).all()
    assert len(tile.boxes) == left
    if left:
        assert_array_equal(tile.boxes, [[0, 0, 10, 40]])


@pytest.mark.parametrize(("height", "width", "shape"), [(20, 90, (20, 32)), (90, 20, (32, 20)), (31, 32, (31, 32))])
def test_an_image_smaller_than_a_tile_is_as_large_as_it_was(height, width, shape):
    sample = image_of([(2, 3, 12, 13)], height, width)
    tile = tile_of(sample, 32, 0)
    assert tile.image.shape[:2] == shape
    if (height, width) == shape:
        assert_same(tile, sample)
