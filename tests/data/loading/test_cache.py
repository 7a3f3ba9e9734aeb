"""A cache gives the images of its set, shrunk, from whatever process asks, and never old ones."""

import json
import multiprocessing
import os
import pickle
from collections import namedtuple

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from detect.config.schema import AugmentSettings, DataSettings, InputSettings, Settings, TrainSettings
from detect.data.dataset import Dataset
from detect.data.joined import JoinedDataset
from detect.data.loading import cache as caching
from detect.data.loading.cache import STAMP, DiskCache, RAMCache, image_cache
from detect.errors import UserError
from detect.ops.image import write_image
from detect.ops.letterbox import Letterbox

SIZES = [(90, 48), (40, 64), (200, 31), (64, 64)]  # width, height
KINDS = [RAMCache, DiskCache]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("CSP_DETECT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "images"


@pytest.fixture
def dataset(tmp_path):
    """Four images of noise; the first has two boxes, one of them a crowd."""
    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    for i, (width, height) in enumerate(SIZES):
        write_image(tmp_path / "images" / f"{i}.png", rng.integers(0, 255, (height, width, 3), dtype=np.uint8))
    images = [{"id": i, "file_name": f"{i}.png", "width": w, "height": h} for i, (w, h) in enumerate(SIZES)]
    annotations = [{"image_id": 0, "category_id": 1, "bbox": [9, 6, 30, 24], "iscrowd": crowd} for crowd in (0, 1)]
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "a"}]}
    (tmp_path / "set.json").write_text(json.dumps(content))
    return Dataset.of_coco(tmp_path / "set.json", tmp_path / "images")


def assert_same(one, other):
    for name in ("image", "boxes", "labels", "weights"):
        ours, expected = getattr(one, name), getattr(other, name)
        assert ours.dtype == expected.dtype
        assert_array_equal(ours, expected)
    assert one.image_id == other.image_id


@pytest.mark.parametrize("kind", KINDS)
def test_images_at_their_own_size_are_those_of_the_set(kind, dataset):
    cache = kind(dataset, None)
    for _ in range(2):  # decoded, then kept
        for index in range(len(dataset)):
            assert_same(cache.sample(index), dataset.sample(index))
    assert cache.bytes.sum() == 3 * sum(width * height for width, height in SIZES)


@pytest.mark.parametrize("kind", KINDS)
def test_larger_images_are_shrunk_to_what_the_letterbox_makes_of_them_and_no_others(kind, dataset):
    cache = kind(dataset, 64)
    for _ in range(2):
        shapes = [cache.sample(index).image.shape[:2] for index in range(4)]
        assert shapes == [(34, 64), (64, 40), (10, 64), (64, 64)]
        for index, (width, height) in enumerate(SIZES):
            kept, own = cache.sample(index), dataset.sample(index)
            expected = Letterbox(width, height, 64)
            ours = Letterbox(*kept.image.shape[1::-1], 64)
            assert_array_equal(ours.apply(kept.image), expected.apply(own.image))
            np.testing.assert_allclose(ours.apply_boxes(kept.boxes), expected.apply_boxes(own.boxes), rtol=1e-6)
            assert_array_equal(kept.weights, own.weights)


@pytest.mark.parametrize("kind", KINDS)
def test_who_changes_a_sample_changes_nothing_that_is_kept(kind, dataset):
    cache = kind(dataset, 64)
    first = cache.sample(0)
    before = first.image.copy()
    for _ in range(2):
        sample = cache.sample(0)
        assert_array_equal(sample.image, before)
        sample.image[:], sample.boxes[:] = 0, 0


@pytest.mark.parametrize("kind", KINDS)
def test_what_one_process_has_decoded_no_other_decodes(kind, dataset):
    """The files are gone by then."""
    cache = kind(dataset, 64)
    expected = [cache.sample(0)]
    reader = multiprocessing.get_context("fork").Process(target=cache.sample, args=(1,))
    reader.start()
    reader.join(60)
    assert reader.exitcode == 0
    stat = {index: os.stat(dataset.images[index].path) for index in range(2)}
    for index in range(2):
        image = np.random.default_rng(1).integers(0, 255, (4, 4, 3), dtype=np.uint8)
        dataset.images[index].path.write_bytes(image.tobytes().ljust(stat[index].st_size)[: stat[index].st_size])
        os.utime(dataset.images[index].path, ns=(stat[index].st_atime_ns, stat[index].st_mtime_ns))
    assert_same(cache.sample(0), expected[0])
    assert cache.sample(1).image.shape == (64, 40, 3)
    with pytest.raises(UserError, match="not a readable image"):
        dataset.sample(1)


def test_files_serve_the_next_run_until_the_image_changes(dataset, folder):
    DiskCache(dataset, 64).sample(0)
    (path,) = folder.glob("*/*")
    assert path.stat().st_size == STAMP.size + 64 * 34 * 3
    before = path.stat().st_mtime_ns
    again = DiskCache(dataset, 64)
    assert again.missing == again.bytes[1:].sum()
    assert (again.sample(0).image.mean() > 100, path.stat().st_mtime_ns) == (True, before)
    write_image(dataset.images[0].path, np.zeros((48, 90, 3), np.uint8))
    assert again.sample(0).image.max() == 0 == DiskCache(dataset, 64).sample(0).image.max()
    assert list(folder.glob("*/*")) == [path]  # nothing of the old image is left


def test_every_size_has_files_of_its_own(dataset, folder):
    shapes = [DiskCache(dataset, longest).sample(0).image.shape for longest in (64, 32, None, 64)]
    assert shapes == [(34, 64, 3), (17, 32, 3), (48, 90, 3), (34, 64, 3)]
    assert len(list(folder.glob("*/*"))) == 3


@pytest.mark.parametrize("damage", [lambda whole: whole[:-1], lambda whole: b"", lambda whole: b"x" + whole[1:]])
def test_a_damaged_file_is_written_anew(dataset, folder, damage):
    expected = DiskCache(dataset, 64).sample(0)
    (path,) = folder.glob("*/*")
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    assert_same(DiskCache(dataset, 64).sample(0), expected)
    assert path.read_bytes() == whole


def test_processes_that_write_the_same_files_at_once_leave_whole_ones(dataset, folder):
    fork = multiprocessing.get_context("fork")
    writers = [fork.Process(target=_write_often, args=(DiskCache(dataset, 64),)) for _ in range(3)]
    for writer in writers:
        writer.start()
    cache = DiskCache(dataset, 64)
    expected = Letterbox(*SIZES[0], 64).apply(dataset.sample(0).image)
    for _ in range(50):
        found = cache.kept(0)
        assert found is None or (Letterbox(64, 34, 64).apply(found) == expected).all()
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    assert len(list(folder.glob("*/*"))) == 4 and cache.kept(3) is not None


def _write_often(cache):
    for _ in range(5):
        for index in range(4):
            image = cache.sample(index).image
            cache.keep(index, image)


def test_an_image_from_before_1970_is_kept_too(dataset, folder):
    os.utime(dataset.images[0].path, (-9e8, -9e8))
    first = DiskCache(dataset, 64).sample(0)
    assert len(list(folder.glob("*/*"))) == 1
    assert_same(DiskCache(dataset, 64).sample(0), first)


def test_a_disk_that_is_full_costs_the_cache_not_the_training(dataset, folder, small_disk):
    cache = DiskCache(dataset, 64)
    with small_disk(1000):
        first = cache.sample(0)
    assert_same(cache.sample(0), first)
    assert len(list(folder.glob("*/*"))) == 1  # the second time


def test_too_little_room_is_one_sentence_before_anything_is_taken(dataset, monkeypatch):
    needed = sum(width * height * 3 for width, height in SIZES)
    monkeypatch.setattr(caching, "free_memory", lambda: int(needed / 0.8) - 2)
    with pytest.raises(UserError, match=r"^data.cache: 4 images of their own size need 0.00 GB of RAM, and of the 0.00 "
                       r"GB that are free 80% may be taken; set data.cache=disk or none$"):  # fmt: skip
        RAMCache(dataset, None)
    RAMCache(dataset, 32)
    monkeypatch.setattr(caching, "disk_usage", lambda folder: namedtuple("Usage", "free")(needed))
    with pytest.raises(UserError, match=r"^data.cache: .* GB of disk in .*; set data.cache=none$"):
        DiskCache(dataset, None)
    for index in range(3):
        DiskCache(dataset, 32).sample(index)
    assert DiskCache(dataset, 32).missing == 32 * 32 * 3


def test_memory_that_loader_processes_would_not_share_is_refused(dataset, monkeypatch):
    monkeypatch.setattr(multiprocessing, "get_start_method", lambda: "spawn")
    with pytest.raises(UserError, match=r"^data.cache: ram is shared with loader processes that are forked"):
        RAMCache(dataset, 64)
    RAMCache(dataset, 64, is_shared=False)
    assert_same(pickle.loads(pickle.dumps(DiskCache(dataset, 64))).sample(0), RAMCache(dataset, 64, False).sample(0))


def settings_of(cache, train_sizes=None, **augment):
    return Settings(None, InputSettings(48, train_sizes), DataSettings("x", cache=cache), AugmentSettings(**augment),
                    train=TrainSettings(workers=0))  # fmt: skip


def test_images_are_kept_as_large_as_the_largest_input_needs_them(dataset):
    assert image_cache(dataset, settings_of("none")) is None
    assert image_cache(dataset, settings_of("ram")).longest == 48
    assert image_cache(dataset, settings_of("disk", [32, 64])).longest == 64
    assert image_cache(dataset, settings_of("ram", [32, 64], tile=0.5)).longest is None  # at their own resolution
    text = image_cache(dataset, settings_of("ram")).describe()
    assert text == "cache: 4 images of at most 48 px need 0.00 GB of RAM"


@pytest.mark.parametrize("kind", KINDS)
def test_joined_sets_are_kept_with_the_labels_of_the_first(kind, dataset):
    joined = JoinedDataset([dataset, dataset])
    for index in range(8):
        assert_same(kind(joined, None).sample(index), joined.sample(index))
