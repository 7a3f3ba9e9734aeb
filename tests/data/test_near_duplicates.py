"""Near-duplicates: what is found, and what is not taken for one."""

import cv2
import numpy as np
import pytest
from PIL import Image

from detect.data.near_duplicates import BLOCK, Looks, groups_of, look_at, near_duplicates


def scene(seed, size=(160, 120)):
    """An image with structure: smooth random patches, uint8 RGB."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC))


@pytest.fixture
def save(tmp_path):
    def write(name, image, **options):
        Image.fromarray(image).save(tmp_path / name, **options)
        return str(tmp_path / name)

    return write


def test_a_copy_of_other_size_compression_or_brightness_is_found(save):
    image = scene(1)
    darker = (image * 0.7).astype(np.uint8)
    paths = [
        save("a.png", image),
        save("other.png", scene(2)),
        save("b.jpg", image, quality=30),
        save("c.png", cv2.resize(image, (300, 225))),
        save("d.jpg", darker, quality=80),
    ]
    pairs = near_duplicates(look_at(paths))
    assert set(groups_of(5, pairs).tolist()) == {0, 1}
    assert groups_of(5, pairs).tolist() == [0, 1, 0, 0, 0]


def test_different_images_are_none(save):
    looks = look_at([save(f"{seed}.png", scene(seed)) for seed in range(60)])
    assert looks.is_read.all() and len(near_duplicates(looks)) == 0


@pytest.mark.parametrize("name", ["turned.jpg", "turned.tif"])
def test_an_image_turned_by_exif_is_the_same_as_it_stands_upright(save, name):
    image = scene(3)
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned to the right
    turned = save(name, np.rot90(image).copy(), exif=exif, quality=95)
    assert near_duplicates(look_at([save("a.png", image), turned])).tolist() == [[0, 1]]


def test_what_is_no_image_is_like_nothing(save, tmp_path):
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_text("no image")
    looks = look_at([str(tmp_path / "a.jpg"), str(tmp_path / "b.jpg"), str(tmp_path / "none.jpg")])
    assert looks.is_read.tolist() == [False] * 3 and len(near_duplicates(looks)) == 0


def test_no_images_give_no_pairs():
    assert near_duplicates(look_at([])).shape == (0, 2)


def test_every_pair_within_six_bits_is_found_and_no_other():
    rng = np.random.default_rng(5)
    hashes = rng.integers(0, 2**63, BLOCK + 300, dtype=np.uint64) << np.uint64(1)
    near, far = hashes[7], hashes[9]
    for bit in (0, 9, 21, 33, 47, 60):
        near ^= np.uint64(1) << np.uint64(bit)
    for bit in (1, 10, 22, 34, 48, 61, 63):
        far ^= np.uint64(1) << np.uint64(bit)
    hashes = np.concatenate([hashes, [near, far]])
    px = np.zeros((len(hashes), 16, 16), np.uint8)
    pairs = near_duplicates(Looks(hashes, px, np.ones(len(hashes), bool)))
    assert pairs.tolist() == [[7, BLOCK + 300]]


def test_equal_hashes_of_different_px_are_no_pair():
    px = np.zeros((3, 16, 16), np.uint8)
    px[1, :8] = 200
    looks = Looks(np.zeros(3, np.uint64), px, np.ones(3, bool))
    assert near_duplicates(looks).tolist() == [[0, 2]]


def test_groups_are_chains_of_pairs():
    assert groups_of(6, [(4, 5), (0, 3), (3, 4)]).tolist() == [0, 1, 2, 0, 0, 0]
