"""The order of the training's images depends on seed and step alone, and every image has its turn."""

import json
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from functools import partial
from itertools import islice
from textwrap import dedent

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from torch.testing import assert_close

from detect.config.schema import (
    AugmentSettings,
    ClassifierSettings,
    CropSettings,
    DataSettings,
    InputSettings,
    Settings,
    TrainSettings,
)
from detect.data.dataset import Dataset
from detect.data.image_folder import ImageFolder
from detect.data.loading.cache import image_cache
from detect.data.loading.loader import STEPS_PER_SIZE, ClassificationImages, DetectionImages, plans, training_batches
from detect.data.loading.stream import Stream
from detect.errors import UserError
from detect.ops.image import write_image


def settings_of(
    size=64, train_sizes=None, mosaic=0.0, mosaic_off=0.1, tile=0.0, repeat_rare=0.0, cache="none", **train
):
    return Settings(
        model=None,
        input=InputSettings(size, train_sizes),
        data=DataSettings("x", repeat_rare=repeat_rare, cache=cache),
        augment=AugmentSettings(mosaic=mosaic, mosaic_off=mosaic_off, tile=tile),
        train=TrainSettings(**train),
    )


@pytest.fixture
def dataset(tmp_path):
    """Six images of noise with one box each, the last one without."""
    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    images, boxes = [], []
    for i in range(6):
        height, width = 48 + 8 * i, 90 - 8 * i
        write_image(tmp_path / "images" / f"{i}.png", rng.integers(0, 255, (height, width, 3), dtype=np.uint8))
        images.append({"id": 100 + i, "file_name": f"{i}.png", "width": width, "height": height})
        boxes.append({"image_id": 100 + i, "category_id": 1 + i % 2, "bbox": [4, 6, 30 + i, 30 - i]})
    categories = [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]
    content = {"images": images, "annotations": boxes[:-1], "categories": categories}
    (tmp_path / "set.json").write_text(json.dumps(content))
    return Dataset.of_coco(tmp_path / "set.json", tmp_path / "images")


def stream(plan_list):
    """(index, position) of every image of the plans, in their order."""
    return [image for plan in plan_list for image in plan.images]


@pytest.mark.parametrize(("count", "batch"), [(7, 3), (5, 5), (3, 8), (10, 1)])
def test_every_image_comes_once_an_epoch_across_batch_borders(count, batch):
    steps = 4 * count  # at least four epochs
    images = stream(plans(Stream([count]), settings_of(batch=batch), steps, stride=32))
    assert [position for _, position in images] == list(range(steps * batch))
    indices = [index for index, _ in images]
    epochs = [indices[i : i + count] for i in range(0, len(indices) - count + 1, count)]
    assert all(sorted(epoch) == list(range(count)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1 or count < 4  # and in another order


def test_every_batch_is_whole():
    found = list(plans(Stream([7]), settings_of(batch=4), 5, stride=32))
    assert [plan.step for plan in found] == [0, 1, 2, 3, 4]
    assert all(len(plan.images) == 4 for plan in found)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_starting_later_gives_the_same_rest(accumulate):
    settings = settings_of(train_sizes=[64, 128], mosaic=0.5, batch=4, accumulate=accumulate)
    whole = list(plans(Stream([7]), settings, 30, stride=32))
    for start in (0, 1, 9, 10, 13, 29, 30):
        assert list(plans(Stream([7]), settings, 30, 32, start)) == whole[start * accumulate :]


def test_the_seed_makes_the_order():
    first, again, other = (stream(plans(Stream([50], seed=s), settings_of(batch=5), 10, 32)) for s in (0, 0, 1))
    assert first == again
    assert first != other


def test_accumulation_splits_the_batch_and_nothing_else():
    options = {"train_sizes": [64, 128], "batch": 6}
    whole = list(plans(Stream([7]), settings_of(**options), 12, stride=32))
    parts = list(plans(Stream([7]), settings_of(**options, accumulate=3), 12, stride=32))
    assert len(parts) == 36 and all(len(plan.images) == 2 for plan in parts)
    assert stream(parts) == stream(whole)
    for i, plan in enumerate(parts):
        assert (plan.step, plan.size) == (whole[i // 3].step, whole[i // 3].size)


def test_sizes_are_multiples_of_the_stride_and_stay_for_ten_steps():
    found = [plan.size for plan in plans(Stream([9]), settings_of(train_sizes=[64, 160], batch=2), 800, stride=32)]
    assert set(found) == {64, 96, 128, 160}
    tens = [found[i : i + STEPS_PER_SIZE] for i in range(0, 800, STEPS_PER_SIZE)]
    assert STEPS_PER_SIZE == 10 and all(len(set(ten)) == 1 for ten in tens)
    shares = Counter(ten[0] for ten in tens)
    assert min(shares.values()) > 8  # of 20 expected
    assert {plan.size for plan in plans(Stream([9]), settings_of(size=96, batch=2), 50, stride=32)} == {96}


def test_mosaics_end_before_the_training_does(dataset):
    """Of 20 steps the last six see one image at a time, which has one object at the most."""

    def most(settings):
        return [max(map(len, batch.boxes)) for batch in training_batches(dataset, settings, 20, stride=32)]

    found = most(settings_of(mosaic=1.0, mosaic_off=0.3, batch=6, workers=0))
    assert min(found[:14]) > 1 and max(found[14:]) == 1
    assert min(most(settings_of(mosaic=1.0, mosaic_off=0, batch=6, workers=0))) > 1


def test_batches_are_what_training_takes(dataset):
    settings = settings_of(train_sizes=[64, 96], mosaic=0.5, batch=4, accumulate=2, workers=0)
    batches = list(training_batches(dataset, settings, 12, stride=32))
    expected = list(plans(Stream([6]), settings, 12, 32))
    assert len(batches) == 24
    for batch, plan in zip(batches, expected, strict=True):
        assert batch.images.dtype == torch.uint8
        assert batch.images.shape == (2, 3, plan.size, plan.size)
        assert batch.images.is_contiguous(memory_format=torch.channels_last)
        assert batch.image_ids == [100 + index for index, _ in plan.images]
        for boxes, labels in zip(batch.boxes, batch.labels, strict=True):
            assert (boxes.dtype, labels.dtype, boxes.shape) == (torch.float32, torch.int64, (len(labels), 4))
            assert ((boxes >= 0) & (boxes <= plan.size)).all() and (boxes[:, 2:] > boxes[:, :2]).all()


def test_mosaics_are_made_with_their_probability(dataset):
    """An image that is no mosaic has only its own object, a mosaic may have four."""
    for probability, most in ((0.0, 1), (1.0, 4)):
        settings = settings_of(mosaic=probability, mosaic_off=0, batch=4, workers=0)
        counts = [len(boxes) for batch in training_batches(dataset, settings, 6, 32) for boxes in batch.boxes]
        assert 1 <= max(counts) <= most
        assert probability == 0 or max(counts) > 1


def test_workers_change_nothing(dataset):
    options = {"train_sizes": [64, 96], "mosaic": 0.5, "batch": 4, "accumulate": 2}
    alone = list(training_batches(dataset, settings_of(**options, workers=0), 6, 32, 1))
    together = list(training_batches(dataset, settings_of(**options, workers=2), 6, 32, 1))
    assert len(alone) == len(together) == 10
    for a, b in zip(alone, together, strict=True):
        assert a.image_ids == b.image_ids
        for field in ("images", "boxes", "labels"):
            assert_close(getattr(a, field), getattr(b, field), rtol=0, atol=0)


AUGMENT = [
    {"name": "Tile", "p": 0.3}, {"name": "Mosaic", "p": 0.5}, {"name": "RandomAffine"}, {"name": "MixUp", "p": 0.3},
    {"name": "CopyPaste", "p": 0.5}, {"name": "A.CoarseDropout", "p": 0.5}, {"name": "A.GaussNoise", "p": 0.5},
    {"name": "A.ElasticTransform", "p": 0.2}, {"name": "HSV"},
]  # fmt: skip


def test_a_list_of_augmentations_gives_the_same_from_any_start_and_any_number_of_processes(dataset):
    def settings(workers):
        return replace(settings_of(batch=4, train_sizes=[64, 96], workers=workers), augment=AUGMENT)

    whole = list(training_batches(dataset, settings(0), 8, 32))
    assert_batches_same(list(training_batches(dataset, settings(2), 8, 32)), whole)
    assert_batches_same(list(training_batches(dataset, settings(1), 8, 32, start=5)), whole[5:])


def test_a_resumed_run_sees_the_same_images(dataset):
    settings = settings_of(mosaic=0.5, batch=2, workers=0)
    whole = list(training_batches(dataset, settings, 8, 32))
    rest = list(training_batches(dataset, settings, 8, 32, start=5))
    for a, b in zip(whole[5:], rest, strict=True):
        assert_array_equal(a.images.numpy(), b.images.numpy())
        assert_close(a.boxes, b.boxes, rtol=0, atol=0)


def cached_batches(dataset, settings, steps, start=0):
    images = partial(DetectionImages, cache=image_cache(dataset, settings))
    return list(training_batches(dataset, settings, steps, 32, start, images))


def assert_batches_same(first, second):
    assert len(first) == len(second) > 0
    for a, b in zip(first, second, strict=True):
        assert a.image_ids == b.image_ids
        for field in ("images", "boxes", "labels", "weights"):
            assert_close(getattr(a, field), getattr(b, field), rtol=0, atol=0)


@pytest.mark.parametrize("cache", ["ram", "disk"])
@pytest.mark.parametrize("tile", [0, 0.5])
def test_with_tiles_rare_classes_and_a_cache_any_start_and_workers_give_the_same(
    dataset, cache, tile, tmp_path, monkeypatch
):
    monkeypatch.setenv("CSP_DETECT_CACHE", str(tmp_path / "cache"))
    options = {"mosaic": 0.5, "tile": tile, "repeat_rare": 1.0, "cache": cache, "batch": 4, "train_sizes": [32, 64]}
    whole = cached_batches(dataset, settings_of(**options, workers=0), 8)
    assert_batches_same(cached_batches(dataset, settings_of(**options, workers=2), 8), whole)
    assert_batches_same(cached_batches(dataset, settings_of(**options, workers=0), 8, start=5), whole[5:])
    if tile:  # images are kept at their own size then
        assert_batches_same(cached_batches(dataset, settings_of(**options | {"cache": "none"}, workers=0), 8), whole)


def test_tiles_are_taken_with_their_probability_until_the_end(dataset):
    """Of images with sides of 42 to 90 px, letterboxed to 32 px, the whole has a rim of grey, a tile has none."""
    shares = {}
    for tile in (0, 0.5, 1):
        settings = settings_of(size=32, tile=tile, batch=6, workers=0)
        settings.augment.jitter = settings.augment.hue = 0
        settings.augment.saturation = settings.augment.exposure = 1
        images = np.concatenate([b.images.numpy() for b in training_batches(dataset, settings, 30, 32)])
        assert_array_equal(images.shape, (180, 3, 32, 32))
        shares[tile] = 1 - (images == 114).all(axis=(1, 2)).any(axis=1).mean()  # columns of grey
        shares[tile] -= (images == 114).all(axis=(1, 3)).any(axis=1).mean()
    assert shares[0] < 0.1 and 0.35 < shares[0.5] < 0.65 and shares[1] == 1


def test_images_with_rare_classes_come_more_often(dataset):
    """Class 1 is in three images, class 2 in two, one image is empty: factors sqrt(2), sqrt(3), 1 for a share of 1."""
    settings = settings_of(batch=6, repeat_rare=1.0)
    images = DetectionImages(dataset, settings)
    np.testing.assert_allclose(images.stream.factors, np.sqrt([2, 3, 2, 3, 2, 1]))
    taken = Counter(index for plan in plans(images.stream, settings, 2000, 32) for index, _ in plan.images)
    assert sum(taken.values()) == 12_000
    assert taken[1] / taken[5] == pytest.approx(3**0.5, rel=0.05) and taken[0] / taken[5] == pytest.approx(
        2**0.5, rel=0.05
    )
    assert DetectionImages(dataset, settings_of()).stream.factors is None


@pytest.mark.parametrize("workers", [0, 2])
def test_a_damaged_image_is_named_in_the_main_process(dataset, workers):
    path = dataset.images[3].path
    path.write_bytes(path.read_bytes()[:100])
    settings = settings_of(batch=2, workers=workers)
    with pytest.raises(UserError) as caught:
        list(training_batches(dataset, settings, 6, 32))
    assert str(caught.value).startswith(f"{path}: not a readable image (") and "\n" not in str(caught.value)


def test_a_run_that_ends_early_stops_its_workers(dataset):
    batches = training_batches(dataset, settings_of(batch=2, workers=2), 100, 32)
    assert len(list(islice(batches, 2))) == 2
    batches.close()
    assert not [p for p in torch.multiprocessing.active_children() if p.is_alive()]


# ---- classification --------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    """Seven images of noise in two classes."""
    rng = np.random.default_rng(0)
    for i in range(7):
        path = tmp_path / "train" / "ab"[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_image(path, rng.integers(0, 255, (40 + 8 * i, 60, 3), dtype=np.uint8))
    return ImageFolder(tmp_path / "train")


def classifier_settings(**train):
    model, size = None, InputSettings(32, [32, 64])
    return ClassifierSettings(model, size, augment=CropSettings(short_side=[32, 48]), train=TrainSettings(**train))


def classified(folder, settings, steps, start=0):
    return list(training_batches(folder, settings, steps, 32, start, ClassificationImages))


def test_batches_of_classes_follow_the_same_plan(folder):
    settings = classifier_settings(batch=4, accumulate=2, workers=0)
    batches, expected = classified(folder, settings, 12), list(plans(Stream([7]), settings, 12, 32))
    assert len(batches) == 24
    for batch, plan in zip(batches, expected, strict=True):
        assert batch.images.dtype == torch.uint8
        assert batch.images.shape == (2, 3, plan.size, plan.size)
        assert batch.images.is_contiguous(memory_format=torch.channels_last)
        assert batch.image_ids == [folder.names[index] for index, _ in plan.images]
        assert batch.labels.tolist() == [int(name[0] == "b") for name in batch.image_ids]


def test_classes_come_the_same_from_any_start_and_any_workers(folder):
    whole = classified(folder, classifier_settings(batch=3, workers=0), 6)
    for rest in (
        classified(folder, classifier_settings(batch=3, workers=0), 6, start=4),
        classified(folder, classifier_settings(batch=3, workers=1), 6, start=4),
    ):
        for first, second in zip(whole[4:], rest, strict=True):
            assert_close(first.images, second.images, rtol=0, atol=0)
            assert first.image_ids == second.image_ids
    other = classified(folder, classifier_settings(batch=3, workers=0, seed=1), 1)
    assert other[0].image_ids != whole[0].image_ids or (other[0].images != whole[0].images).any()


def test_a_classifiers_corrupt_image_is_named(folder):
    path = folder.folder / folder.names[2]
    path.write_bytes(b"no image")
    with pytest.raises(UserError, match=path.name):
        classified(folder, classifier_settings(batch=7, workers=0), 1)


def test_a_loader_process_outlives_the_signals_that_stop_a_service_but_not_its_end():
    code = """
        import os, signal
        from detect.data.loading.loader import _start_worker
        _start_worker(0)
        for stop in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            os.kill(os.getpid(), stop)
        print("lives", flush=True)
        os.kill(os.getpid(), signal.SIGTERM)
        print("lives")
    """
    ran = subprocess.run([sys.executable, "-c", dedent(code)], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (-signal.SIGTERM, "lives\n"), ran.stderr
