"""The short form, jitter, flip and colours: an image's boxes move with its px."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from detect.config.schema import AugmentSettings
from detect.data.augment.base import MIN_AREA, MIN_VISIBILITY, Context
from detect.data.augment.pipeline import Pipeline
from detect.data.sample import Sample

GREY, RED = (114, 114, 114), (230, 20, 20)  # grey stays grey whatever hue, saturation and exposure do
SEEDS = range(40)


class Augment:
    """What the keys of the short form do to one sample that is, or is no, mosaic."""

    def __init__(self, settings):
        self.pipeline = Pipeline(settings, lambda _: self.sample, None)

    def __call__(self, sample, seed, is_mosaic=False):
        self.sample = replace(sample, is_mosaic=is_mosaic)
        return self.pipeline(0, Context(np.random.default_rng(seed), 64, 0.0))


def image_of(boxes, height=72, width=96, colour=RED):
    """A grey `Sample` whose boxes are painted in one colour."""
    image = np.full((height, width, 3), GREY, dtype=np.uint8)
    for left, top, right, bottom in boxes:
        image[top:bottom, left:right] = colour
    boxes = np.array(boxes, dtype=np.float32).reshape(-1, 4)
    return Sample(image, boxes, np.arange(len(boxes)), np.ones(len(boxes), np.float32), 5)


def coloured(image):
    """Box [4] xyxy around the pixels that are not grey, and their number."""
    rows, columns = np.nonzero(np.ptp(image.astype(int), axis=2) > 60)
    if not len(rows):
        return None, 0
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]), len(rows)


def assert_same(a, b):
    assert_array_equal(a.image, b.image, strict=True)
    assert_array_equal(a.boxes, b.boxes, strict=True)
    assert_array_equal(a.labels, b.labels, strict=True)
    assert a.image_id == b.image_id


@pytest.mark.parametrize("is_mosaic", [False, True])
def test_boxes_move_with_the_pixels(is_mosaic):
    augment, sample = Augment(AugmentSettings()), image_of([(10, 20, 50, 44)])
    outcomes = set()
    for seed in SEEDS:
        changed = augment(sample, seed, is_mosaic)
        box, count = coloured(changed.image)
        if len(changed.boxes):
            assert_allclose(changed.boxes[0], box, atol=0.01)
        else:
            assert count < max(MIN_VISIBILITY * 40 * 24, MIN_AREA) * 1.05
        outcomes.add((changed.image.shape, len(changed.boxes)))
    assert len(outcomes) == 1 if is_mosaic else len(outcomes) > 10  # a mosaic keeps its size


def test_zoom_moves_each_edge_by_what_would_zoom_the_image_so_far():
    """A factor of 1.5 cuts an edge by a sixth of the side at the most, and pads it by a quarter."""
    augment = Augment(AugmentSettings(jitter=0, zoom=1.5, flip=0, hue=0, saturation=1, exposure=1))
    sample, edges = image_of([(40, 30, 50, 40)], 60, 120), []
    for seed in range(200):
        changed = augment(sample, seed)
        left, top, right, bottom = changed.boxes[0]
        height, width = changed.image.shape[:2]
        edges.append([(left - 40) / 120, (top - 30) / 60, (width - right - 70) / 120, (height - bottom - 20) / 60])
    edges = np.array(edges)
    assert_allclose(edges.min(0), -1 / 6, atol=0.03)
    assert_allclose(edges.max(0), 1 / 4, atol=0.03)
    assert abs(np.corrcoef(edges.T)[0, 1:]).max() < 0.2  # each by its own


def test_flip_turns_left_and_right():
    augment = Augment(AugmentSettings(jitter=0, flip=1, hue=0, saturation=1, exposure=1))
    sample = image_of([(10, 20, 50, 44)])
    changed = augment(sample, 0)
    assert_array_equal(changed.image, sample.image[:, ::-1])
    assert_allclose(changed.boxes, [[96 - 50, 20, 96 - 10, 44]], atol=1e-3)


@pytest.mark.parametrize("is_mosaic", [False, True])
def test_everything_off_changes_nothing(is_mosaic):
    augment = Augment(AugmentSettings(jitter=0, flip=0, hue=0, saturation=1, exposure=1))
    sample = image_of([(10, 20, 50, 44), (0, 0, 96, 72)])
    changed = augment(sample, 3, is_mosaic)
    assert_array_equal(changed.image, sample.image)
    assert_allclose(changed.boxes, sample.boxes, atol=1e-3)
    assert_array_equal(changed.labels, sample.labels, strict=True)


def test_the_same_seed_gives_the_same_image():
    sample = image_of([(10, 20, 50, 44), (60, 0, 96, 30)])
    first, second = Augment(AugmentSettings()), Augment(AugmentSettings())
    for seed in (3, 4):
        once = first(sample, seed)
        first(sample, 99)
        assert_same(once, first(sample, seed))
        assert_same(once, second(sample, seed))
    assert first(sample, 3).image.shape != first(sample, 4).image.shape


def test_the_global_random_numbers_play_no_part_and_stay():
    augment, sample = Augment(AugmentSettings()), image_of([(10, 20, 50, 44)])
    np.random.seed(0)
    once, following = augment(sample, 3), np.random.random()
    np.random.seed(0)
    assert np.random.random() == following
    assert_same(once, augment(sample, 3))


def test_the_given_sample_stays_as_it_is():
    augment, sample = Augment(AugmentSettings()), image_of([(10, 20, 50, 44)])
    kept = image_of([(10, 20, 50, 44)])
    for seed in range(5):
        augment(sample, seed)
    assert_same(sample, kept)


def test_labels_stay_with_their_boxes_and_keep_their_kind():
    boxes = [(0, 0, 12, 72), (20, 4, 60, 20), (70, 50, 96, 72), (40, 40, 44, 44)]
    augment, sample = Augment(AugmentSettings(hue=0, saturation=1, exposure=1)), image_of(boxes)
    colours = [(250, 0, 0), (0, 250, 0), (0, 0, 250), (250, 250, 0)]
    for (left, top, right, bottom), colour in zip(boxes, colours, strict=True):
        sample.image[top:bottom, left:right] = colour
    for seed in SEEDS:
        changed = augment(sample, seed)
        assert (changed.boxes.dtype, changed.labels.dtype) == (np.float32, np.int64)
        height, width = changed.image.shape[:2]
        assert (changed.boxes >= 0).all() and (changed.boxes <= [width, height] * 2).all()
        assert (changed.boxes[:, 2:] > changed.boxes[:, :2]).all()
        for box, label in zip(changed.boxes, changed.labels, strict=True):
            x, y = ((box[:2] + box[2:]) / 2).astype(int)
            assert_allclose(changed.image[y, x].astype(int), colours[label], atol=8)


@pytest.mark.parametrize("is_mosaic", [False, True])
def test_an_image_without_boxes_works(is_mosaic):
    augment, sample = Augment(AugmentSettings()), image_of([])
    for seed in range(5):
        changed = augment(sample, seed, is_mosaic)
        assert (changed.boxes.shape, changed.boxes.dtype) == ((0, 4), np.float32)
        assert (changed.labels.shape, changed.labels.dtype) == ((0,), np.int64)
        assert changed.image.dtype == np.uint8 and changed.image.ndim == 3


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 40), (3, 2), (400, 3)])
def test_tiny_and_thin_images_work(height, width):
    augment, sample = Augment(AugmentSettings(jitter=0.49)), image_of([(0, 0, width, height)], height, width)
    for seed in SEEDS:
        changed = augment(sample, seed)
        assert min(changed.image.shape[:2]) >= 1
        assert (changed.boxes <= list(changed.image.shape[1::-1]) * 2).all()


def test_boxes_at_the_border_and_thinner_than_a_pixel_work():
    boxes = [[0, 0, 96, 72], [95.99, 71.99, 96, 72], [0, 0, 0.001, 72], [50, 71.9999, 60, 72], [33.3, 0, 33.4, 72]]
    sample = image_of([])
    sample.boxes, sample.labels, sample.weights = np.array(boxes, np.float32), np.arange(5), np.ones(5, np.float32)
    augment = Augment(AugmentSettings())
    for seed in SEEDS:
        changed = augment(sample, seed)
        assert set(changed.labels) <= {0, 4}  # the others are smaller than MIN_AREA


@pytest.mark.parametrize("is_mosaic", [False, True])
def test_weights_stay_with_their_boxes(is_mosaic):
    sample = image_of([(4 * i, 3 * i, 4 * i + 20, 3 * i + 16) for i in range(12)])
    sample.weights = np.linspace(0, 1, 12, dtype=np.float32)
    augment, lost = Augment(AugmentSettings(jitter=0.4)), 0
    for seed in SEEDS:
        changed = augment(sample, seed, is_mosaic)
        assert_array_equal(changed.weights, sample.weights[changed.labels], strict=True)
        lost += 12 - len(changed.labels)
    assert is_mosaic or lost


def test_of_ignore_regions_all_that_is_seen_stays():
    sample = image_of([(0, 0, 96, 72), (0, 0, 96, 72)])
    sample.weights[1] = 0
    augment = Augment(AugmentSettings(jitter=0.49))
    kept = [augment(sample, seed).labels.tolist() for seed in range(300)]
    assert [0, 1] in kept and [1] in kept and all(1 in labels for labels in kept)
