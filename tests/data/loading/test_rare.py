"""Repeat factors on numbers made by hand."""

import numpy as np

from detect.data.loading.rare import repeat_factors
from detect.data.records import ImageTable


def table(*images):
    """Images with boxes of these labels; those from 100 on are ignore regions."""
    made = ImageTable()
    for number in range(len(images)):
        made.append(number, f"{number}.jpg", 9, 9)
    labels = np.array([label for image in images for label in image], np.int64)
    places = np.repeat(np.arange(len(images)), [len(image) for image in images])
    made.place_boxes(places, np.zeros((len(labels), 4)), labels % 100, (labels < 100).astype(np.float32))
    return made


def test_an_image_has_the_factor_of_its_rarest_class():
    """Of 100 images, 64 hold class 0, 4 class 1, 1 class 2, and 25 is the threshold."""
    images = table(*[(0, 0, 0)] * 60, *[(0, 1)] * 4, *[()] * 35, (2,))
    factors = repeat_factors(images, num_classes=4, threshold=0.25)
    np.testing.assert_allclose(factors, [1] * 60 + [2.5] * 4 + [1] * 35 + [5])


def test_a_class_of_just_the_threshold_is_not_rare_and_no_class_comes_less_often():
    images = table(*[(0,)] * 8, *[(1,)] * 2)
    assert repeat_factors(images, 2, 0.2).tolist() == [1] * 10
    np.testing.assert_allclose(repeat_factors(images, 2, 0.4), [1] * 8 + [2**0.5] * 2)


def test_ignore_regions_and_images_without_objects_are_of_no_class():
    images = table(*[(0,)] * 8, (101,), ())
    assert repeat_factors(images, 2, 1.0)[8:].tolist() == [1, 1]
    assert repeat_factors(table((), ()), 2, 1.0).tolist() == [1, 1]
