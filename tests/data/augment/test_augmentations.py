"""A list of augmentations: what follows what, how often, until when, and that the old keys are a list too."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from detect.config.schema import AugmentSettings
from detect.data.augment.base import MIN_AREA, MIN_VISIBILITY, Context
from detect.data.augment.pipeline import Pipeline, most_images, most_together, needs_whole_size
from detect.data.augment.transforms import import_albumentations
from detect.errors import UserError
from detect.ops.boxes import area
from detect.ops.letterbox import GREY
from tests.data.augment.blobs import assert_same, changed, empty, painted, samples


def test_an_empty_list_changes_nothing():
    images = samples()
    assert changed([], images, 0, index=3) is images[3]


@pytest.mark.parametrize(("p", "low", "high"), [(0, 0, 0), (0.3, 0.2, 0.4), (1, 1, 1)])
@pytest.mark.parametrize("name", ["RandomPerspective", "HSV", "Jitter", "A.HorizontalFlip", "MixUp"])
def test_each_happens_with_its_probability(name, p, low, high):
    images = samples()
    count = sum((changed([{"name": name, "p": p}], images, seed).image is not images[0].image) for seed in range(300))
    assert low <= count / 300 <= high


@pytest.mark.parametrize("name", ["Mosaic", "Tile", "HSV", "A.VerticalFlip"])
def test_the_last_share_of_the_training_goes_without(name):
    images = samples()
    augment = [{"name": name, "p": 1.0, "off": 0.25}]
    assert changed(augment, images, 0, progress=0.74, size=64).image is not images[0].image
    assert changed(augment, images, 0, progress=0.75, size=64) is images[0]


def test_what_stands_before_one_of_several_images_is_done_to_each_of_them():
    """White images inverted before or after a mosaic, which adds grey."""
    images = [empty(40, 40) for _ in range(4)]
    for image in images:
        image.image[:] = 255
    invert, mosaic = {"name": "A.InvertImg", "p": 1}, {"name": "Mosaic"}
    assert set(np.unique(changed([invert, mosaic], images, 5).image)) == {0, GREY}
    assert set(np.unique(changed([mosaic, invert], images, 5).image)) == {0, 255 - GREY}


def test_how_many_images_make_one():
    assert most_images([]) == most_together([]) == 1
    assert most_images(AugmentSettings(mosaic=0.2)) == most_together(AugmentSettings(mosaic=0.2)) == 4
    assert most_images(AugmentSettings()) == 1
    augment = [{"name": "Mosaic9"}, {"name": "MixUp", "p": 0.1}, {"name": "CopyPaste", "objects": 3}, {"name": "HSV"}]
    assert (most_images(augment), most_together(augment)) == (36, 72)
    assert most_images([{"name": "Mosaic", "p": 0}, {"name": "CutMix", "off": 1}]) == 1
    read = []

    def count(index):
        read.append(index)
        return empty(30, 30)

    Pipeline(augment[:2] + [{"name": "CutMix"}], count, lambda rng, n: rng.integers(5, size=n))(
        0, Context(np.random.default_rng(0), 64, 0.0)
    )
    assert len(read) in (18, 36)


def test_only_tiles_want_images_at_their_own_size():
    assert needs_whole_size([{"name": "HSV"}, {"name": "Tile", "p": 0.1}])
    assert needs_whole_size(AugmentSettings(tile=0.1)) and not needs_whole_size(AugmentSettings())
    assert not needs_whole_size([{"name": "Tile", "p": 0}, {"name": "A.RandomScale"}])


def test_albumentations_error_in_an_image_is_a_sentence_with_it():
    crop = [{"name": "A.RandomCrop", "height": 500, "width": 500, "p": 1}]
    with pytest.raises(UserError, match=r"^augment: A.RandomCrop: .*\(image 0, 160x120 px\)$"):
        changed(crop, samples(), 0)


# ---- the short form --------------------------------------------------------------------------------------------------


def reference(settings, sample, rng):
    """What the keys say, by albumentations' own pipelines with their own treatment of boxes."""
    library = import_albumentations()
    reaches = [(-settings.jitter, settings.jitter)]
    reaches += [((1 / settings.zoom - 1) / 2, (settings.zoom - 1) / 2)] * (settings.zoom > 1)
    crops = [library.CropAndPad(percent=reach, keep_size=False, fill=GREY, p=1) for reach in reaches]
    flip = library.HorizontalFlip(p=settings.flip)
    colour = library.ColorJitter(
        brightness=(1 / settings.exposure, settings.exposure), contrast=(1, 1),
        saturation=(1 / settings.saturation, settings.saturation), hue=(-settings.hue, settings.hue), p=1.0,
    )  # fmt: skip
    params = library.BboxParams("pascal_voc", label_fields=["numbers"], clip=True, min_area=MIN_AREA)
    image, boxes, left = sample.image, sample.boxes, np.arange(len(sample.boxes))
    rng.random()  # whether it is a mosaic
    rng.random()  # whether it is jittered
    for transform in (*crops, flip, colour):
        if transform is colour:
            rng.random()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # colours have nothing to do with boxes
            one = library.Compose([transform], bbox_params=params)
        one.set_random_seed(int(rng.integers(2**31)))
        result = one(image=image, bboxes=boxes, numbers=left)
        image = result["image"]
        boxes = np.asarray(result["bboxes"], dtype=np.float32).reshape(-1, 4)
        left = np.asarray(result["numbers"], dtype=np.int64).reshape(-1)
    keep = (area(boxes) >= area(sample.boxes[left]) * MIN_VISIBILITY) | (sample.weights[left] == 0)
    left = left[keep]
    return replace(sample, image=image, boxes=boxes[keep], labels=sample.labels[left], weights=sample.weights[left])


@pytest.mark.parametrize(
    "keys",
    [{}, {"zoom": 1.5, "jitter": 0.2}, {"flip": 0, "hue": 0.02}, {"jitter": 0.45, "exposure": 3.0, "saturation": 2.0}],
)
def test_the_short_form_gives_the_images_of_albumentations_own_pipelines_bit_for_bit(keys):
    rng = np.random.default_rng(1)
    settings = AugmentSettings(**keys)
    for position in range(30):
        height, width = rng.integers(20, 90, 2)
        sample = empty(height, width)
        sample.image[:] = rng.integers(0, 256, sample.image.shape)
        corners = np.sort(rng.uniform(0, 1, (6, 2, 2)), axis=1) * [width, height]
        sample.boxes = corners.reshape(6, 4).astype(np.float32)
        sample.labels, sample.weights = np.arange(6), np.array([1, 1, 0, 1, 0.5, 0], np.float32)
        ours = Pipeline(settings, lambda _, sample=sample: sample, None)(
            0, Context(np.random.default_rng(position), 64, 0.0)
        )
        theirs = reference(settings, sample, np.random.default_rng(position))
        assert_array_equal(ours.image, theirs.image, strict=True)
        assert_array_equal(ours.labels, theirs.labels, strict=True)
        assert_array_equal(ours.weights, theirs.weights, strict=True)
        assert_allclose(ours.boxes, theirs.boxes, atol=1e-4)


def test_whether_an_image_is_flipped_says_nothing_of_how_bright_it_becomes():
    sample, rows = empty(20, 20), []
    sample.image[:, :10], sample.image[:, 10:] = 100, 104
    for seed in range(400):
        image = changed(AugmentSettings(jitter=0, hue=0), [sample], seed).image
        rows.append([image[0, 0, 0] > image[0, -1, 0], image.mean()])
    assert abs(np.corrcoef(np.array(rows, dtype=float).T)[0, 1]) < 0.15


def test_the_keys_are_the_list_that_they_are_the_short_form_of():
    images = samples()
    keys = AugmentSettings(tile=0.5, mosaic=0.5, mosaic_off=0.2, jitter=0.2, zoom=1.2, hue=0.05, flip=0.4)
    augment = [
        {"name": "Tile", "p": 0.5},
        {"name": "Mosaic", "p": 0.5, "off": 0.2},
        {"name": "Jitter", "share": 0.2, "zoom": 1.2},
        {"name": "A.HorizontalFlip", "p": 0.4},
        {"name": "HSV", "hue": 0.05},
    ]
    for seed in range(20):
        for progress in (0.0, 0.9):
            assert_same(
                changed(keys, images, seed, progress=progress), changed(augment, images, seed, progress=progress)
            )


def test_jitter_leaves_a_mosaic_as_it_is_and_changes_what_goes_into_one():
    images = [painted([(5, 5, 30, 30)], [1], 60, 60)] * 4
    jitter, mosaic = {"name": "Jitter"}, {"name": "Mosaic"}
    assert_same(changed([mosaic, jitter], images, 0), changed([mosaic], images, 0))
    assert (changed([jitter, mosaic], images, 0).image != changed([mosaic], images, 0).image).any()
