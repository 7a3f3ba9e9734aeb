"""The one geometry: images go in, boxes come back where they were."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from torch.testing import assert_close

from detect.ops.letterbox import GREY, Letterbox

SIZES = [  # (width, height)
    (1, 1),
    (1, 1000),
    (1000, 1),
    (4000, 3),
    (3, 4000),
    (640, 480),
    (480, 640),
    (416, 416),
    (333, 500),
    (1920, 1080),
    (7, 5),
    (417, 415),
]


def random_image(width, height, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def random_boxes(width, height, count=50, seed=0):
    """xyxy boxes [count, 4] within an image of width x height px, the whole image first."""
    random = np.random.default_rng(seed)
    corners = np.sort(random.random((count, 2, 2)), axis=1) * [width, height]
    corners[0] = [[0, 0], [width, height]]
    return corners.reshape(count, 4).astype(np.float32)


@pytest.mark.parametrize("size", [32, 320, 416, 608])
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_boxes_round_trip(width, height, size):
    letterbox, boxes = Letterbox(width, height, size), random_boxes(width, height)
    there = letterbox.apply_boxes(boxes)
    assert there.dtype == np.float32
    assert there.min() >= 0
    assert there.max() <= size
    assert_close(letterbox.undo(there), boxes, rtol=0, atol=1e-3)


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_padding_is_grey_and_the_image_sits_between(width, height):
    letterbox = Letterbox(width, height, 64)
    square = letterbox.apply(np.full((height, width, 3), 7, dtype=np.uint8))
    assert (square.shape, square.dtype) == ((64, 64, 3), np.uint8)
    left, top, right, bottom = letterbox.apply_boxes([[0, 0, width, height]])[0].round().astype(int)
    assert (square[top:bottom, left:right] == 7).all()
    square[top:bottom, left:right] = GREY
    assert (square == GREY).all()


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_image_is_centred_and_keeps_its_ratio(width, height):
    letterbox = Letterbox(width, height, 416)
    (inner_width, inner_height), (left, top) = letterbox.inner, letterbox.offset
    assert max(inner_width, inner_height) == 416
    assert abs((416 - inner_width) - 2 * left) <= 1
    assert abs((416 - inner_height) - 2 * top) <= 1
    ratio = 416 / max(width, height)
    assert abs(inner_width - max(width * ratio, 1)) <= 0.5
    assert abs(inner_height - max(height * ratio, 1)) <= 0.5


def test_box_follows_what_it_frames():
    image = np.zeros((200, 400, 3), dtype=np.uint8)
    image[40:120, 100:300] = 255
    letterbox = Letterbox(400, 200, 100)
    left, top, right, bottom = letterbox.apply_boxes([[100, 40, 300, 120]])[0].astype(int)
    assert (left, top, right, bottom) == (25, 35, 75, 55)
    square = letterbox.apply(image)
    rows, columns, _ = np.nonzero(square == 255)
    assert (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) == (left, top, right, bottom)


def test_square_of_the_size_passes_untouched():
    image = random_image(96, 96)
    assert_array_equal(Letterbox(96, 96, 96).apply(image), image)
    boxes = random_boxes(96, 96)
    assert_array_equal(Letterbox(96, 96, 96).apply_boxes(boxes), boxes)


def test_image_with_the_right_longer_side_is_only_padded():
    image = random_image(96, 50)
    assert_array_equal(Letterbox(96, 50, 96).apply(image)[23:73], image)


def test_apply_leaves_the_image_alone():
    image = random_image(96, 50)
    before = image.copy()
    for size in (32, 96, 128):
        Letterbox(96, 50, size).apply(image)
    assert_array_equal(image, before)


def test_undo_cuts_at_the_borders_of_the_image():
    letterbox = Letterbox(200, 100, 64)
    assert_array_equal(letterbox.undo([[-10, -10, 900, 900]]), np.array([[0, 0, 200, 100]], dtype=np.float32))
    padding_only = letterbox.undo([[0, 0, 64, 10]])[0]
    assert padding_only[1] == padding_only[3] == 0


def test_no_boxes_stay_no_boxes():
    letterbox = Letterbox(200, 100, 64)
    assert letterbox.apply_boxes([]).shape == (0, 4)
    assert letterbox.undo(np.zeros((0, 4))).shape == (0, 4)
