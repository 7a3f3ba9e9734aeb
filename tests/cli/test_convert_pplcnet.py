"""`detect convert_pplcnet` writes weights to start from, and says how."""

import cv2
import numpy as np
import pytest

from tests.cli.command_line import answer, detect
from tests.weights.test_pplcnet import arrays_of, saved


@pytest.fixture
def backbone(tmp_path):
    return saved(tmp_path, arrays_of())


def test_it_says_what_to_give_to_a_training(backbone, tmp_path):
    out = tmp_path / "x.safetensors"
    ran = detect("convert_pplcnet", backbone, "--out", out)
    assert ran.status == 0 and out.is_file()
    assert ran.out == (
        "PP-LCNet x0.25, norms as identities\n"
        f"""{out}: start from it with --set train.init={out} --set 'train.freeze=["backbone.*.norm"]'\n"""
    )


def test_norms_are_measured_on_a_folder_of_photos(backbone, tmp_path):
    for number in range(3):
        image = np.random.default_rng(number).integers(0, 255, (40, 60, 3), np.uint8)
        cv2.imwrite(str(tmp_path / f"{number}.png"), image)
    out = tmp_path / "x.safetensors"
    told = answer("convert_pplcnet", backbone, "--images", tmp_path, "--out", out)
    assert told == {"file": str(out), "scale": 0.25, "images": 3, "errors": []}


def test_a_broken_photo_is_left_out_and_counted(backbone, tmp_path):
    photos, out = tmp_path / "photos", tmp_path / "x.safetensors"
    photos.mkdir()
    (photos / "broken.png").write_bytes(b"none")
    ran = detect("convert_pplcnet", backbone, "--images", photos, "--out", out)
    assert ran.status == 1 and not out.exists()
    assert ran.err.endswith("photos: none of its 1 images can be read; give photos\n")
    cv2.imwrite(str(photos / "good.png"), np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8))
    ran = detect("convert_pplcnet", backbone, "--images", photos, "--out", out)
    first, last = ran.err.splitlines()
    assert first.startswith(f"error: {photos}/broken.png: ") and last == "left out: 1 of 2 images"
    assert ran.status == 1 and out.is_file() and ran.out.startswith("PP-LCNet x0.25, norms measured on 1 images\n")


def test_mistakes_are_one_sentence(backbone, tmp_path):
    ran = detect("convert_pplcnet", backbone, "--out", tmp_path / "x.pt")
    assert (ran.status, ran.err) == (1, f"error: --out {tmp_path / 'x.pt'}: must end in .safetensors\n")
    (tmp_path / "clip.mp4").touch()
    ran = detect("convert_pplcnet", backbone, "--images", tmp_path / "clip.mp4", "--out", tmp_path / "x.safetensors")
    assert ran.status == 1 and ran.err.endswith("clip.mp4: holds no images; give photos\n")
    assert not (tmp_path / "x.safetensors").exists()
