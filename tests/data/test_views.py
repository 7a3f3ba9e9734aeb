"""What a classifier sees: random crops within their settings, the centre, and ten places."""

import cv2
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from detect.config.schema import CropSettings
from detect.data.views import TEN_CROP_MARGIN, RandomCrop, centre_crop, ten_crops

STILL = {"angle": 0, "aspect": 1, "flip": 0, "hue": 0, "saturation": 1, "exposure": 1}
GREY = 114


def rng(seed=0):
    return np.random.default_rng(seed)


def smooth(height, width):
    """An image without edges, in which every place has a colour of its own."""
    rows, columns = np.mgrid[:height, :width]
    grey = np.full((height, width), 90.0)
    return np.stack([rows * 255 / height, columns * 255 / width, grey], axis=-1).round().astype(np.uint8)


# ---- random crops --------------------------------------------------------------------------------------------------


def test_the_same_numbers_give_the_same_crop_and_others_another():
    crop, again, image = RandomCrop(CropSettings()), RandomCrop(CropSettings()), smooth(90, 120)
    first = crop(image, 64, rng(1))
    crop(image, 64, rng(5))  # what was drawn before does not matter
    assert first.shape == (64, 64, 3) and first.dtype == np.uint8
    assert_array_equal(crop(image, 64, rng(1)), first)
    assert_array_equal(again(image, 64, rng(1)), first)
    assert (crop(image, 64, rng(2)) != first).any()


@pytest.mark.parametrize(("width", "height"), [(120, 90), (90, 120), (40, 400), (64, 64)])
def test_what_is_drawn_stays_in_its_range(width, height):
    crop = RandomCrop(CropSettings(short_side=[50, 90], angle=7, aspect=1.5))
    drawn = [crop.draw(width, height, 64, rng(seed)) for seed in range(400)]
    sides = np.array([(new_width, new_height) for new_width, new_height, _, _ in drawn])
    assert_allclose(sides.min(1), sides.min(1).round(), atol=1e-9)  # whole px
    assert set(sides.min(1).round()) <= set(range(50, 91)) and np.ptp(sides.min(1)) > 35
    stretch = sides[:, 0] / sides[:, 1] / (width / height)
    assert 1 / 1.5 <= stretch.min() < 0.7 and 1.4 < stretch.max() <= 1.5
    assert (stretch < 1).mean() == pytest.approx(0.5, abs=0.1)
    angles = np.rad2deg([angle for _, _, angle, _ in drawn])
    assert -7 <= angles.min() < -6 and 6 < angles.max() <= 7
    reach = np.maximum(sides - 64, 0) / 2
    shifts = np.array([shift for *_, shift in drawn])
    assert (np.abs(shifts) <= reach + 1e-9).all() and (np.abs(shifts) > 0.9 * reach).any()


def test_without_changes_it_is_a_cut_of_the_scaled_image():
    image = smooth(90, 150)
    crop = RandomCrop(CropSettings(**STILL, short_side=[60, 60]))
    scaled = cv2.resize(image, (100, 60), interpolation=cv2.INTER_AREA).astype(int)
    for seed in range(5):
        _, _, _, shift = crop.draw(150, 90, 32, rng(seed))
        left, top = (100 - 32) / 2 - shift[0], (60 - 32) / 2 - shift[1]
        assert 0 <= left <= 68 and 0 <= top <= 28
        near = scaled[round(top) : round(top) + 32, round(left) : round(left) + 32]
        assert_allclose(crop(image, 32, rng(seed)).astype(int), near, atol=4)  # half a px is up to 2 levels


def test_all_of_the_image_has_its_turn():
    """Of an image twice as wide as the cut, the cuts reach both ends, and never beyond them."""
    image = np.full((40, 80, 3), 200, np.uint8)
    image[:, :4, 0], image[:, -4:, 1] = 0, 0
    crop = RandomCrop(CropSettings(**STILL, short_side=[40, 40]))
    cuts = np.stack([crop(image, 40, rng(seed)) for seed in range(60)])
    assert (cuts[..., 0] == 0).any() and (cuts[..., 1] == 0).any()
    assert not ((cuts == GREY).all(-1)).any()


def test_a_small_image_lies_in_the_middle_of_grey():
    cut = RandomCrop(CropSettings(**STILL, short_side=[20, 20]))(np.full((10, 10, 3), 200, np.uint8), 64, rng())
    assert (cut[23:41, 23:41] == 200).all()
    cut[21:43, 21:43] = GREY
    assert (cut == GREY).all()


def test_a_turn_turns_around_the_middle():
    image = np.full((64, 64, 3), 50, np.uint8)
    image[30:34, 44:60] = 250  # a bar to the right of the middle
    settings = CropSettings(**{**STILL, "angle": 90}, short_side=[64, 64])
    for seed in range(4):
        crop = RandomCrop(settings)
        _, _, angle, _ = crop.draw(64, 64, 64, rng(seed))
        rows, columns = np.nonzero(crop(image, 64, rng(seed))[..., 0] > 150)
        found = np.arctan2(-(rows.mean() - 31.5), columns.mean() - 31.5)
        assert abs(np.angle(np.exp(1j * (found - angle)))) < 0.05


def test_whether_an_image_is_flipped_says_nothing_of_how_bright_it_becomes():
    image = np.full((64, 64, 3), 100, dtype=np.uint8)
    image[:, 32:] = 104
    crop = RandomCrop(CropSettings(**{**STILL, "flip": 0.5, "exposure": 1.5}, short_side=[64, 64]))
    cuts = [crop(image, 64, rng(seed))[0, :, 0].astype(float) for seed in range(300)]
    assert abs(np.corrcoef([cut[0] > cut[-1] for cut in cuts], [cut.mean() for cut in cuts])[0, 1]) < 0.15


def test_a_flip_is_drawn_half_of_the_time():
    image = smooth(64, 64)
    crop = RandomCrop(CropSettings(**{**STILL, "flip": 0.5}, short_side=[64, 64]))
    mirrored = [crop(image, 64, rng(seed))[0, 0, 1] > 128 for seed in range(100)]
    assert 30 < sum(mirrored) < 70


def test_shrinking_averages_instead_of_leaving_out():
    """A fine chequerboard becomes even grey; picking px would keep black and white."""
    rows, columns = np.mgrid[:320, :320]
    image = np.repeat(((rows + columns) % 2 * 255).astype(np.uint8)[..., None], 3, axis=2)
    cut = RandomCrop(CropSettings(**STILL, short_side=[40, 40]))(image, 40, rng())
    assert np.ptp(cut) <= 2 and abs(cut.mean() - 127.5) < 2


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 3000), (3000, 2)])
def test_strange_shapes_are_no_trouble(width, height):
    image = np.full((height, width, 3), 60, np.uint8)
    assert RandomCrop(CropSettings())(image, 32, rng()).shape == (32, 32, 3)
    assert (centre_crop(image, 32) == 60).all() and ten_crops(image, 32).shape == (10, 32, 32, 3)


# ---- centre and ten crops ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("height", "width"), [(50, 90), (90, 50), (50, 50)])
def test_the_centre_crop_is_the_central_square(height, width):
    image = smooth(height, width)
    square = image[(height - 50) // 2 :][:50, (width - 50) // 2 :][:, :50]
    assert_array_equal(centre_crop(image, 50), square)
    assert_array_equal(centre_crop(image, 25), cv2.resize(square, (25, 25), interpolation=cv2.INTER_AREA))


@pytest.mark.parametrize(("height", "width"), [(512, 768), (768, 512), (512, 512)])
def test_the_middle_of_the_scaled_square_is_seen_where_asked_for(height, width):
    """PP-LCNet's evaluation: the short side to 256 px, then the middle 224."""
    image = smooth(height, width)
    scaled = cv2.resize(image, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    top, left = (height // 2 - 224) // 2, (width // 2 - 224) // 2
    assert_array_equal(centre_crop(image, 224, 256), scaled[top : top + 224, left : left + 224])


def test_ten_crops_are_corners_centre_and_their_mirrors():
    size = 16
    side = size + TEN_CROP_MARGIN
    image = smooth(side, side + 20)
    square = image[:, 10:-10]
    crops = ten_crops(image, size)
    assert crops.shape == (10, size, size, 3) and TEN_CROP_MARGIN == 32
    assert_array_equal(crops[0], square[:size, :size])
    assert_array_equal(crops[1], square[:size, -size:])
    assert_array_equal(crops[2], square[-size:, :size])
    assert_array_equal(crops[3], square[-size:, -size:])
    assert_array_equal(crops[4], square[16:32, 16:32])
    assert_array_equal(crops[5:], crops[:5, :, ::-1])
