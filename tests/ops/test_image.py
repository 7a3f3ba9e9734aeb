"""The one decoder of images: what a viewer shows, or one sentence."""

import os
import resource
import struct
import warnings
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from detect.errors import UserError
from detect.files import replacing
from detect.ops.image import is_image, read_image, read_noted, write_image

GRADIENT = np.add.outer(np.arange(16), np.arange(24)).astype(np.uint8) * 6


@pytest.fixture
def corners():
    """RGB [20, 30, 3] whose four corners differ."""
    image = np.full((20, 30, 3), 128, dtype=np.uint8)
    image[:10, :15], image[:10, 15:], image[10:, :15] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    return image


def error_of(path):
    with pytest.raises(UserError) as caught:
        read_image(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def png_header(width, height):
    """The first bytes of a PNG of that size, and hardly any corners."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(999))) + chunk(b"IEND", b"")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_exif_orientation_is_applied(tmp_path, corners, orientation, suffix):
    stored = {
        1: corners,
        2: corners[:, ::-1],
        3: corners[::-1, ::-1],
        4: corners[::-1],
        5: corners.transpose(1, 0, 2),
        6: np.rot90(corners, 1),
        7: corners[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(corners, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"photo{suffix}"
    Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif, quality=100, subsampling=0)
    found = read_image(path)
    assert found.shape == corners.shape
    assert np.abs(found[2::15, 2::24].astype(int) - corners[2::15, 2::24]).max() < 12


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_does_not_matter(tmp_path, corners):
    path = tmp_path / "photo.jpg"
    Image.fromarray(corners).save(path, exif=b"Exif\0\0II*\0\xff\xff\xff\xff garbage")
    assert read_image(path).shape == corners.shape


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "YCbCr", "RGB"])
def test_other_modes_become_rgb(tmp_path, mode):
    image = Image.fromarray(GRADIENT).convert(mode)
    path = tmp_path / ("photo.tif" if mode in ("CMYK", "YCbCr") else "photo.png")
    image.save(path)
    found = read_image(path)
    assert found.dtype == np.uint8 and found.shape == (16, 24, 3) and found.flags.writeable
    if mode != "1":
        assert np.abs(found.astype(int) - GRADIENT[..., None]).max() <= 8


def test_cmyk_jpeg_keeps_its_colours(tmp_path):
    path = tmp_path / "print.jpg"
    Image.new("RGB", (16, 16), (250, 20, 30)).convert("CMYK").save(path, quality=100)
    assert np.abs(read_image(path)[8, 8].astype(int) - (250, 20, 30)).max() < 12


@pytest.mark.parametrize(
    ("stored", "suffix"),
    [
        (GRADIENT.astype(np.uint16) * 257, ".png"),
        (GRADIENT.astype(np.int32) * 257, ".tif"),
        (GRADIENT.astype(np.float32), ".tif"),
        (GRADIENT.astype(np.float32) / 255, ".tif"),
    ],
    ids=["16 bit", "32 bit", "float to 255", "float to 1"],
)
def test_deep_images_are_scaled_to_8_bits(tmp_path, stored, suffix):
    path = tmp_path / f"deep{suffix}"
    Image.fromarray(stored).save(path)
    found = read_image(path)
    assert found.shape == (16, 24, 3)
    np.testing.assert_array_equal(found, np.repeat(GRADIENT[..., None], 3, axis=2))


def with_stated_bits(path, bits):
    """Say in a PNG how many bits of its levels are significant."""
    content, data = bytes([bits]), path.read_bytes()
    chunk = struct.pack(">I", 1) + b"sBIT" + content + struct.pack(">I", zlib.crc32(b"sBIT" + content))
    path.write_bytes(data[:33] + chunk + data[33:])


RAMP = np.linspace(0, 4095, 64).reshape(8, 8)
EXACT = np.rint(np.arange(64) * 255 / 63).reshape(8, 8)


@pytest.mark.parametrize("name", ["max.tif", "bits.png"])
def test_levels_of_12_bits_are_scaled_by_what_the_file_states(tmp_path, name):
    stated = {"tiffinfo": {281: (4095,)}} if name == "max.tif" else {}
    Image.fromarray((RAMP / 2).astype(np.uint16)).save(tmp_path / name, **stated)
    if name == "bits.png":
        with_stated_bits(tmp_path / name, 12)
    found, note = read_noted(tmp_path / name)
    assert np.abs(found[..., 0] - EXACT / 2).max() <= 1 and note == ""


@pytest.mark.parametrize(("bits", "greatest"), [(8, 200), (10, 1023), (12, 4095), (14, 9000)])
def test_levels_of_fewer_bits_are_seen_and_that_is_said(tmp_path, bits, greatest):
    stored = (RAMP * greatest / 4095).astype(np.uint16)
    Image.fromarray(stored).save(tmp_path / "grey.png")
    found, note = read_noted(tmp_path / "grey.png")
    np.testing.assert_array_equal(found[..., 1], np.rint(stored * (255 / (2**bits - 1))))
    assert note == f"its levels, up to {greatest}, were taken for {bits} bits"


@pytest.mark.parametrize(
    ("stored", "note"),
    [
        (RAMP.astype(np.float32), "its levels, 0 to 4095, were scaled to 0 to 255"),
        ((RAMP - 2000).astype(np.float32), "its levels, -2000 to 2095, were scaled to 0 to 255"),
        ((RAMP * 100).astype(np.int32), "its levels, 0 to 409500, were scaled to 0 to 255"),
        (np.zeros((8, 8), np.uint16), ""),
    ],
)
def test_levels_out_of_the_usual_are_scaled_by_their_range(tmp_path, stored, note):
    Image.fromarray(stored).save(tmp_path / "grey.tif")
    found, said = read_noted(tmp_path / "grey.tif")
    assert said == note and np.abs(found[..., 2] - (EXACT if note else 0)).max() <= 1


@pytest.mark.parametrize(("greatest", "words"), [(4095, "is dark: its colours of 16 bits"), (65535, "")])
def test_dark_colours_of_16_bits_are_said(tmp_path, greatest, words):
    colours = np.linspace(0, greatest, 192).reshape(8, 8, 3).astype(np.uint16)
    cv2.imwrite(str(tmp_path / "deep.png"), colours)
    note = read_noted(tmp_path / "deep.png")[1]
    assert note.startswith(words) and bool(note) == bool(words)


@pytest.mark.parametrize("suffix", [".gif", ".tif", ".webp", ".png"])
def test_the_first_of_several_images_is_said(tmp_path, suffix):
    images = [Image.fromarray(np.full((8, 8, 3), level, np.uint8)) for level in (0, 100, 200)]
    images[0].save(tmp_path / f"one{suffix}")
    images[0].save(tmp_path / f"many{suffix}", save_all=True, append_images=images[1:])
    assert read_noted(tmp_path / f"one{suffix}")[1] == ""
    found, note = read_noted(tmp_path / f"many{suffix}")
    assert found.max() == 0 and note == "the first of its images was taken"


def test_a_heic_photo_is_named(tmp_path):
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99))
    assert "a HEIC photo, which no decoder here reads: save it as JPEG" in error_of(tmp_path / "a.heic")


def test_a_link_to_nothing_is_named(tmp_path):
    (tmp_path / "a.jpg").symlink_to("/nowhere/e.jpg")
    assert "a.jpg: is a link to /nowhere/e.jpg, which is not there" in error_of(tmp_path / "a.jpg")


def test_nan_in_a_float_image_is_black(tmp_path):
    stored = np.full((4, 4), 0.5, dtype=np.float32)
    stored[0, 0] = np.nan
    Image.fromarray(stored).save(tmp_path / "float.tif")
    found = read_image(tmp_path / "float.tif")
    assert found[0, 0, 0] == 0 and found[1, 1, 0] == 128


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_is_laid_on_white(tmp_path, mode):
    image = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    image.paste((0, 0, 0, 255), (0, 0, 4, 8))
    path = tmp_path / "logo.png"
    image.convert(mode).save(path)
    found = read_image(path)
    assert found[4, 1].tolist() == [0, 0, 0] and found[4, 6].tolist() == [255, 255, 255]


def test_one_pixel_works(tmp_path):
    write_image(tmp_path / "dot.png", np.full((1, 1, 3), 7, dtype=np.uint8))
    assert read_image(tmp_path / "dot.png").tolist() == [[[7, 7, 7]]]


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp", ".tif", ".gif"])
def test_truncated_image_is_named(tmp_path, suffix):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    path = tmp_path / f"photo{suffix}"
    Image.fromarray(noise).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert error_of(path).startswith(f"{path}: not a readable image (")


def test_truncation_is_the_reason_given(tmp_path, corners):
    path = tmp_path / "photo.jpg"
    Image.fromarray(corners).save(path)
    path.write_bytes(path.read_bytes()[:-30])
    expected = "not a readable image (image file is truncated); remove it or save it again"
    assert error_of(path) == f"{path}: {expected}"


@pytest.mark.filterwarnings("ignore:Truncated File Read")
def test_every_cut_gives_an_image_or_a_sentence(tmp_path, corners):
    for suffix in (".jpg", ".png", ".tif", ".webp"):
        path = tmp_path / f"photo{suffix}"
        Image.fromarray(corners).save(path)
        whole = path.read_bytes()
        for length in range(0, len(whole), max(len(whole) // 25, 1)):
            path.write_bytes(whole[:length])
            try:
                np.testing.assert_array_equal(read_image(path), corners)  # only the file's last mark is missing
                assert length > len(whole) * 0.8
            except UserError as error:
                assert str(error).startswith(f"{path}: not a readable image (")


@pytest.mark.parametrize("content", [b"", b"hello, I am no image", bytes(4000), b"%!PS-Adobe-3.0 EPSF-3.0\n" * 9])
def test_what_is_no_image_is_refused(tmp_path, content):
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    assert error_of(path).startswith(f"{path}: not a readable image (")
    assert not is_image(path)


def test_a_bomb_is_refused_before_memory_is_taken(tmp_path):
    path = tmp_path / "bomb.png"
    path.write_bytes(png_header(20_000, 20_000))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        message = error_of(path)
    assert message == f"{path}: 20000x20000 px are 400 megapixels, more than 200; make the image smaller"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB


def test_pillows_own_limit_plays_no_part(tmp_path, corners, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    Image.fromarray(corners).save(tmp_path / "photo.png")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(read_image(tmp_path / "photo.png"), corners)
    assert Image.MAX_IMAGE_PIXELS == 10


def test_missing_image_names_the_nearest(tmp_path):
    (tmp_path / "street.jpg").touch()
    message = error_of(tmp_path / "stret.jpg")
    assert str(tmp_path / "stret.jpg") in message and "did you mean 'street.jpg'?" in message


def test_control_characters_of_a_name_do_not_reach_the_terminal(tmp_path):
    path = tmp_path / "a\x1b[31m\n.jpg"
    path.touch()
    assert "\x1b" not in error_of(path)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".webp", ".tiff"])
def test_written_image_is_read_back(tmp_path, suffix):
    image = np.repeat(GRADIENT[..., None], 3, axis=2)
    write_image(tmp_path / f"out{suffix}", image)
    assert np.abs(read_image(tmp_path / f"out{suffix}").astype(int) - image).max() < 16
    assert [p.name for p in tmp_path.iterdir()] == [f"out{suffix}"]


def test_writing_where_one_cannot_is_one_sentence(tmp_path, corners):
    with pytest.raises(UserError, match=r"cannot be written \(No such file"):
        write_image(tmp_path / "nowhere" / "out.png", corners)
    with pytest.raises(UserError, match=r"cannot write '\.xyz' images"):
        write_image(tmp_path / "out.xyz", corners)


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "out.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["out.txt"]


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".webp", ".tif"])
def test_a_cut_image_never_takes_the_name(tmp_path, small_disk, suffix):
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), dtype=np.uint8)
    path = tmp_path / f"out{suffix}"
    write_image(path, noise)
    whole = path.read_bytes()
    with small_disk(len(whole) - 3000), pytest.raises(UserError, match=r"out.*: cannot be written \(File too large\)"):
        write_image(path, noise[::-1])
    assert path.read_bytes() == whole and list(tmp_path.iterdir()) == [path]


def test_real_photos_are_read(shared):
    for path in sorted((shared / "demo" / "photos").glob("*.jpg"))[:2]:
        assert max(read_image(path).shape) == 640
