"""A header tells the upright size, and the end of the file whether it is all there, as decoding does."""

import numpy as np
import pytest
from PIL import Image

from detect.errors import UserError
from detect.ops.image import read_image
from detect.ops.image_header import read_header

FORMATS = ["jpg", "png", "gif", "webp", "tif"]
NOISE = np.random.default_rng(0).integers(0, 255, (30, 40, 3), dtype=np.uint8)


@pytest.mark.parametrize("suffix", [*FORMATS, "bmp", "ppm"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_the_size_is_that_of_the_decoded_image(tmp_path, suffix, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    keeps_exif = suffix in ("jpg", "png", "webp", "tif")
    Image.fromarray(NOISE).save(tmp_path / f"a.{suffix}", **({"exif": exif} if keeps_exif else {}))
    header = read_header(tmp_path / f"a.{suffix}")
    assert (header.height, header.width) == read_image(tmp_path / f"a.{suffix}").shape[:2]
    assert header.is_certain is (suffix in ("jpg", "png", "webp"))
    assert header.is_whole is (suffix in FORMATS)  # of the others only decoding tells


def test_a_png_without_exif_before_its_image_may_have_it_behind(tmp_path):
    Image.fromarray(NOISE).save(tmp_path / "a.png")
    assert read_header(tmp_path / "a.png") == (40, 30, True, False, False)


@pytest.mark.parametrize("suffix", ["jpg", "png", "gif", "tif"])
def test_a_file_cut_short_is_not_whole(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(NOISE).save(path)
    content = path.read_bytes()
    for length in (len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        assert not read_header(path).is_whole


def test_a_webp_cut_short_is_no_image(tmp_path):
    Image.fromarray(NOISE).save(tmp_path / "a.webp")
    (tmp_path / "a.webp").write_bytes((tmp_path / "a.webp").read_bytes()[:-1])
    with pytest.raises(UserError, match="not a readable image"):
        read_header(tmp_path / "a.webp")


@pytest.mark.parametrize("content", [b"", b"no image", b"\xff\xd8\xff\xd9", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_image_is_one_sentence(tmp_path, content):
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(UserError, match="not a readable image"):
        read_header(tmp_path / "a.jpg")
    with pytest.raises(UserError, match="no such file"):
        read_header(tmp_path / "b.jpg")
