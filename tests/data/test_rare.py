"""Repeat factors on numbers made by hand."""

from pathlib import Path

import numpy as np

from detect.data.detection import ImageRecord
from detect.data.rare import repeat_factors


def record(*labels, regions=()):
    labels = np.array([*labels, *regions], np.int64)
    weights = np.repeat(np.array([1, 0], np.float32), [len(labels) - len(regions), len(regions)])
    return ImageRecord(1, Path("a.jpg"), 9, 9, np.zeros((len(labels), 4), np.float32), labels, weights)


def test_an_image_has_the_factor_of_its_rarest_class():
    """Of 100 images, 64 hold class 0, 4 class 1, 1 class 2, and 25 is the threshold."""
    images = [record(0, 0, 0)] * 60 + [record(0, 1)] * 4 + [record()] * 35 + [record(2)]
    factors = repeat_factors(images, num_classes=4, threshold=0.25)
    np.testing.assert_allclose(factors, [1] * 60 + [2.5] * 4 + [1] * 35 + [5])


def test_a_class_of_just_the_threshold_is_not_rare_and_no_class_comes_less_often():
    images = [record(0)] * 8 + [record(1)] * 2
    assert repeat_factors(images, 2, 0.2).tolist() == [1] * 10
    np.testing.assert_allclose(repeat_factors(images, 2, 0.4), [1] * 8 + [2**0.5] * 2)


def test_ignore_regions_and_images_without_objects_are_of_no_class():
    images = [record(0)] * 8 + [record(regions=[1]), record()]
    assert repeat_factors(images, 2, 1.0)[8:].tolist() == [1, 1]
    assert repeat_factors([record(), record()], 2, 1.0).tolist() == [1, 1]
