"""Images that look the same are found, whatever their size and compression; others are not."""

from io import BytesIO

import cv2
import numpy as np
import pytest
from PIL import Image

from detect.data.near_duplicates import BITS, NEAR, groups_of, near_pairs, perceptual_hash


def photo(seed):
    """A made-up photo of 160x120 px: blurred colours."""
    coarse = np.random.default_rng(seed).integers(0, 255, (9, 12, 3), dtype=np.uint8)
    return cv2.resize(coarse, (160, 120), interpolation=cv2.INTER_CUBIC)


def saved_anew(image):
    file = BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=40)
    return np.asarray(Image.open(file))


CHANGES = {
    "the same": lambda image: image,
    "JPEG": saved_anew,
    "half": lambda image: cv2.resize(image, (80, 60), interpolation=cv2.INTER_AREA),
    "double": lambda image: cv2.resize(image, (320, 240)),
    "stretched": lambda image: cv2.resize(image, (160, 160)),
    "brighter": lambda image: np.clip(image * 1.1 + 5, 0, 255).astype(np.uint8),
    "grey": lambda image: np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_photo_is_near_itself_and_far_from_others(change):
    hashes = np.stack([perceptual_hash(photo(seed)) for seed in range(20)])
    changed = np.stack([perceptual_hash(CHANGES[change](photo(seed))) for seed in range(20)])
    assert hashes.shape == (20, 2) and hashes.dtype == np.uint64
    pairs = near_pairs(np.concatenate([hashes, changed]))
    assert pairs.tolist() == [[seed, seed + 20] for seed in range(20)]


def test_a_mirrored_photo_is_another():
    assert near_pairs(np.stack([perceptual_hash(photo(0)), perceptual_hash(photo(0)[:, ::-1])])).tolist() == []


def test_pairs_are_those_of_a_plain_comparison(monkeypatch):
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2, (60, BITS), dtype=np.uint8)
    for i in range(1, 60, 3):  # of each third, the distances 0, 1, ... to the one before
        bits[i] = bits[i - 1]
        bits[i, rng.permutation(BITS)[: i // 3 + 1]] ^= 1
    hashes = np.packbits(bits, axis=1).view(np.uint64)
    expected = [[i, j] for i in range(60) for j in range(i + 1, 60) if (bits[i] != bits[j]).sum() <= NEAR]
    assert len(expected) == NEAR
    monkeypatch.setattr("detect.data.near_duplicates.BLOCK", 200)  # three rows at once
    assert near_pairs(hashes).tolist() == expected
    assert near_pairs(hashes[:0]).tolist() == []


def test_groups_are_linked_through_others():
    pairs = np.array([[1, 4], [4, 5], [0, 5], [2, 3]])
    assert groups_of(7, pairs).tolist() == [0, 0, 2, 2, 0, 0, 6]
    assert groups_of(2, np.zeros((0, 2), int)).tolist() == [0, 1]
