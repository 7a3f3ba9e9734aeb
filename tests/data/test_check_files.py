"""Every image file of a set that cannot be used is found at once, before anything is trained or detected."""

import numpy as np
import pytest
from PIL import Image

from detect.data import check_files as module
from detect.data.check_files import check_files
from detect.data.records import ImageRecord
from detect.errors import UserError

NOISE = np.random.default_rng(0).integers(0, 255, (30, 40, 3), dtype=np.uint8)


@pytest.fixture
def records(tmp_path):
    """Six images of 40x30 px that are as recorded."""
    names = ("a.jpg", "b.jpg", "c.png", "d.webp", "e.bmp", "f.tif")
    for name in names:
        Image.fromarray(NOISE).save(tmp_path / name)
    return [ImageRecord(number, tmp_path / name, 40, 30) for number, name in enumerate(names)]


def test_sound_files_are_not_decoded(records, monkeypatch):
    decoded = []
    monkeypatch.setattr(module, "read_image", lambda path: decoded.append(path.name) or NOISE)
    check_files("x.json", records)
    assert decoded == ["e.bmp"]  # which does not say where it ends


def test_all_that_cannot_be_used_are_listed(records, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(NOISE).save(tmp_path / "a.jpg", exif=exif)
    for name in ("b.jpg", "c.png", "d.webp", "e.bmp", "f.tif"):
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[: len(content) * 2 // 3])
    records.append(ImageRecord(9, tmp_path / "sub" / "a.jpeg", 40, 30))
    with pytest.raises(UserError) as caught:
        check_files("x.json", records)
    first = (
        f"{tmp_path / 'a.jpg'}: is 30x40 px upright, but its annotation says 40x30; "
        "correct the record of image 0 and its boxes, or, if EXIF turns the image, save it without"
    )
    absent = f"{tmp_path / 'sub' / 'a.jpeg'}: is not there; did you mean 'a.jpg'?"
    assert str(caught.value) == f"x.json: 7 of its 7 images cannot be used; {absent}"
    assert caught.value.details[:2] == [absent, first]
    for record, sentence in zip(records[1:6], caught.value.details[2:], strict=True):
        assert sentence.startswith(f"{record.path}: not a readable image"), sentence


def test_a_jpeg_with_something_behind_its_end_is_sound(records, tmp_path):
    with open(tmp_path / "b.jpg", "ab") as file:
        file.write(b"a video, as some phones add it")
    check_files("x.json", records)


def test_a_png_that_says_at_its_end_how_it_is_turned_is_taken_as_it_is_decoded(records, tmp_path, monkeypatch):
    records[2].width, records[2].height = 30, 40
    monkeypatch.setattr(module, "read_image", lambda path: NOISE.transpose(1, 0, 2))
    assert module.problem_of(records[2]) is None
    monkeypatch.undo()
    assert module.problem_of(records[2]).id == "image.turned"
