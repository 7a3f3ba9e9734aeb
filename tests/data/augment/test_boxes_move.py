"""Whatever the augmentation: an object's px lie in its box, labels and weights go with it, and nothing else changes."""

import copy

import numpy as np
import pytest
from numpy.testing import assert_allclose

from detect.data.augment.pipeline import AUGMENTATIONS
from tests.data.augment.blobs import LABELS, assert_same, changed, empty, extent, is_colour, painted, samples

SEEDS = range(25)
OURS = [{"name": name} for name in AUGMENTATIONS if name not in ("HSV", "MixUp")]  # colours here tell labels
OURS += [{"name": "HSV", "hue": 0, "saturation": 1}, {"name": "Jitter", "share": 0.4, "zoom": 1.5}]
OURS += [{"name": "RandomAffine", "degrees": 180, "shear": 20}, {"name": "RandomPerspective", "distortion": 0.24}]
ALBUMENTATIONS = [
    {"name": "A.HorizontalFlip"},
    {"name": "A.VerticalFlip", "p": 1},
    {"name": "A.D4", "p": 1},
    {"name": "A.RandomRotate90"},
    {"name": "A.Affine", "scale": [0.7, 1.4], "rotate": [-30, 30], "shear": [-10, 10], "fill": [114] * 3, "p": 1},
    {"name": "A.SafeRotate", "limit": 60, "fill": [114] * 3, "p": 1},
    {"name": "A.Perspective", "scale": [0.05, 0.2], "fill": [114] * 3, "p": 1},
    {"name": "A.RandomScale", "scale_limit": 0.5, "p": 1},
    {"name": "A.RandomResizedCrop", "size": [96, 112], "p": 1},
    {"name": "A.RandomSizedBBoxSafeCrop", "height": 96, "width": 80, "p": 1},
    {"name": "A.CropAndPad", "percent": [-0.3, 0.2], "fill": [114] * 3, "p": 1},
    {"name": "A.LongestMaxSize", "max_size": 70, "p": 1},
    {"name": "A.PadIfNeeded", "min_height": 190, "min_width": 210, "fill": [114] * 3, "p": 1},
    {"name": "A.ElasticTransform", "alpha": 40, "fill": [114] * 3, "p": 1},
    {"name": "A.GridDistortion", "fill": [114] * 3, "p": 1},
    {"name": "A.RandomGridShuffle", "grid": [2, 2], "p": 1},
    {"name": "A.CoarseDropout", "num_holes_range": [2, 5], "fill": [114] * 3, "p": 1},
    {"name": "A.PixelDropout", "drop_value": 114, "p": 1},
    {"name": "A.GaussNoise", "std_range": [0.01, 0.02], "p": 1},
    {"name": "A.MotionBlur", "blur_limit": 5, "p": 1},
]
AFTER_EACH_OTHER = [
    [{"name": "Tile", "p": 0.5}, {"name": "Mosaic", "p": 0.5}, {"name": "RandomAffine"}, {"name": "A.HorizontalFlip"}],
    [{"name": "Mosaic9"}, {"name": "CutMix"}, {"name": "Jitter"}],
    [{"name": "RandomPerspective"}, {"name": "CopyPaste", "objects": 3}, {"name": "Mosaic"}, {"name": "Mosaic"}],
]
LISTS = [[part] for part in OURS + ALBUMENTATIONS] + AFTER_EACH_OTHER
ids = [" ".join(part["name"] for part in augment) for augment in LISTS]
# those that move an object as a whole and upright, so that a box is as large as what is seen of it
UPRIGHT = {
    "Mosaic",
    "Mosaic9",
    "Tile",
    "Jitter",
    "HSV",
    "A.HorizontalFlip",
    "A.VerticalFlip",
    "A.D4",
    "A.RandomRotate90",
}
UPRIGHT |= {"A.RandomScale", "A.RandomResizedCrop", "A.CropAndPad", "A.LongestMaxSize", "A.PadIfNeeded", "A.GaussNoise"}


@pytest.mark.parametrize("augment", LISTS, ids=ids)
def test_what_is_seen_of_an_object_lies_in_its_box(augment):
    images, boxes, objects, shown = samples(), 0, 0, 0
    outside = np.zeros(2)  # px of objects outside of their boxes, and all
    once = len(augment) == 1 and augment[0]["name"] != "A.RandomGridShuffle"
    for seed in SEEDS:
        result = changed(augment, images, seed, seed % len(images))
        height, width = result.image.shape[:2]
        assert (result.boxes >= 0).all() and (result.boxes <= [width, height] * 2).all()
        for label in range(LABELS):
            seen, own = is_colour(result.image, label), result.boxes[result.labels == label]
            within = np.zeros_like(seen)
            for left, top, right, bottom in own:
                within[
                    max(int(top) - 1, 0) : int(np.ceil(bottom)) + 1, max(int(left) - 1, 0) : int(np.ceil(right)) + 1
                ] = 1
                share = seen[int(top) : int(np.ceil(bottom)), int(left) : int(np.ceil(right))].mean()
                shown += share > 0.1  # a turned object fills half of its box; of that a fifth is seen
                assert share > 0.1 or not once, (seed, label)
            outside += [(seen & ~within).sum(), seen.sum()] if len(own) else [0, 0]
            if len(own) and once:
                assert (seen & ~within).sum() <= 0.02 * seen.sum(), (seed, label)
            if len(own) == 1 and once and augment[0]["name"] in UPRIGHT:
                assert_allclose(own[0], extent(result.image, label), atol=2, err_msg=f"{seed} {label}")
            boxes, objects = boxes + len(own), objects + (seen.sum() > 100)
    assert boxes >= 0.6 * objects and boxes > 10 and shown > 0.9 * boxes
    assert outside[0] <= 0.15 * outside[1]  # of what is seen twice, once hardly


@pytest.mark.parametrize("augment", [*LISTS, [{"name": "MixUp"}]], ids=[*ids, "MixUp"])
def test_labels_and_weights_go_with_their_boxes_and_the_given_samples_stay(augment):
    images = samples()
    before, regions = copy.deepcopy(images), 0
    for seed in SEEDS:
        result = changed(augment, images, seed, seed % len(images))
        kinds = (result.image.dtype, result.boxes.dtype, result.labels.dtype, result.weights.dtype)
        assert kinds == (np.uint8, np.float32, np.int64, np.float32)
        assert result.boxes.shape == (len(result.labels), 4) and result.weights.shape == result.labels.shape
        assert (result.boxes[:, 2:] > result.boxes[:, :2]).all()
        assert ((result.weights == 0) == (result.labels % 2 == 1)).all() and (result.weights <= 1).all()
        assert result.image_id == seed % len(images)
        regions += (result.weights == 0).sum()
    assert regions > 5
    for image, old in zip(images, before, strict=True):
        assert_same(image, old)


@pytest.mark.parametrize("augment", [*LISTS, [{"name": "MixUp"}]], ids=[*ids, "MixUp"])
def test_the_same_random_numbers_give_the_same_whatever_came_before(augment):
    images = samples()
    results = [changed(augment, images, seed) for seed in (7, 8, 7)]
    assert_same(results[0], results[2])
    np.random.seed(1)
    assert_same(changed(augment, images, 7), results[0])
    several = [changed(augment, images, seed) for seed in range(8)]
    never = {"A.LongestMaxSize", "A.PadIfNeeded", "A.VerticalFlip"}  # random only in whether they happen
    if augment[0]["name"] not in never:
        assert any(
            one.image.shape != results[0].image.shape or (one.image != results[0].image).any() for one in several
        )


@pytest.mark.parametrize(
    "augment",
    [[{"name": name}] for name in AUGMENTATIONS] + [[part] for part in ALBUMENTATIONS[:8]] + AFTER_EACH_OTHER,
    ids=lambda augment: " ".join(part["name"] for part in augment),
)
@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 50), (300, 2)])
def test_tiny_thin_and_empty_images_work(augment, height, width):
    tiny, nothing = painted([(0, 0, width, height)], [0], height, width), empty(height, width)
    for seed in range(8):
        for images in ([tiny], [nothing], [nothing, tiny], [tiny, *samples()]):
            result = changed(augment, images, seed, size=64)
            assert min(result.image.shape[:2]) >= 1 and result.boxes.shape == (len(result.labels), 4)
            assert (result.boxes <= list(result.image.shape[1::-1]) * 2).all()


def test_an_object_that_is_hidden_almost_whole_goes_and_an_ignore_region_stays():
    hole = {"name": "A.CoarseDropout", "num_holes_range": [1, 1], "fill": 0, "p": 1}
    hole |= {"hole_height_range": [100, 100], "hole_width_range": [100, 100]}
    sample = painted([(10, 10, 60, 60), (20, 20, 70, 70)], [0, 1], 100, 100, [1, 0])
    result = changed([hole], [sample], 0)
    assert (result.image == 0).all() and result.labels.tolist() == [1]
