"""What an image takes to decode is counted in bytes of all copies, from its header, and kept to."""

import subprocess
import sys
import textwrap
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from detect.errors import UserError
from detect.ops.image import read_image
from detect.ops.image_cost import MAX_SCANS, count_scans
from detect.ops.image_header import read_header

ROOT = Path(__file__).parents[2]
NOISE = np.random.default_rng(0).integers(0, 255, (48, 64, 3)).astype(np.uint8)


def jpeg(**options):
    file = BytesIO()
    Image.fromarray(NOISE).save(file, "JPEG", **options)
    return file.getvalue()


def with_more_scans(count):
    """A progressive JPEG whose last scan comes `count` times more."""
    data = jpeg(progressive=True)
    last, end = data.rfind(b"\xff\xda"), data.rfind(b"\xff\xd9")
    return data[:end] + data[last:end] * count + data[end:]


def error_of(read, path):
    with pytest.raises(UserError) as caught:
        read(path)
    return str(caught.value)


def test_a_jpeg_of_thousands_of_scans_is_a_sentence(tmp_path):
    path = tmp_path / "bomb.jpg"
    path.write_bytes(with_more_scans(20_000))
    sentence = f"{path}: has more than {MAX_SCANS} scans, as no camera writes; save it again"
    assert error_of(read_image, path) == sentence
    assert error_of(read_header, path) == sentence
    path.write_bytes(with_more_scans(20))
    assert read_image(path).shape == NOISE.shape


def test_scans_are_those_of_the_image_not_of_its_previews():
    assert count_scans(BytesIO(jpeg())) == 1
    assert count_scans(BytesIO(jpeg(progressive=True))) == 10
    exif = Image.Exif()
    exif[0x010E] = jpeg(progressive=True).decode("latin-1")[:30_000]
    assert count_scans(BytesIO(jpeg(exif=exif))) == 1
    assert count_scans(BytesIO(jpeg() + jpeg())) == 1  # as MPO has them
    file = BytesIO(jpeg())
    file.seek(7)
    count_scans(file)
    assert file.tell() == 7


@pytest.mark.parametrize(
    "suffix, options, gigabytes",
    [
        (".jpg", {"progressive": True, "subsampling": 0}, "2.0"),  # 4 bytes of Pillow's, 6 of libjpeg's
        (".jpg", {"progressive": True}, None),  # 4:2:0: 4 and 3
        (".jpg", {}, None),  # 4 and ours, 3
        (".png", {}, None),
        (".webp", {}, "3.2"),
        (".jp2", {}, "3.8"),
    ],
)
def test_copies_are_counted_in_bytes(tmp_path, monkeypatch, suffix, options, gigabytes):
    path = tmp_path / f"photo{suffix}"
    Image.fromarray(NOISE).save(path, **options)
    real = Image.open(path)
    size = property(lambda self: (20_000, 10_000))  # as if the header said so
    monkeypatch.setattr(type(real), "size", size)
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.skip("it would be decoded"))
    if gigabytes is None:
        read_header(path)
    else:
        sentence = error_of(read_header, path)
        assert f"px of this kind ({real.format}, RGB) take {gigabytes} GB to decode, more than 1.5;" in sentence


PEAK = """
    import resource, sys
    from PIL import Image
    from detect.ops.image import read_image
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    read_image(sys.argv[1])
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize("suffix, mode", [(".png", "RGBA"), (".png", "LA"), (".jpg", "RGB"), (".tif", "F")])
def test_there_is_never_a_third_copy(tmp_path, suffix, mode):
    path, exif = tmp_path / f"turned{suffix}", Image.Exif()
    exif[0x0112] = 6
    Image.new(mode, (6000, 4000)).save(path, exif=exif)
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PEAK), str(path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert int(run.stdout) * 1024 < 24e6 * 7 + 60e6  # bytes: Pillow's copy, ours, and strips


def test_an_image_of_several_strips_is_the_same(tmp_path, monkeypatch):
    path, exif = tmp_path / "photo.png", Image.Exif()
    levels = (np.arange(48 * 64).reshape(48, 64) * 16).astype(np.uint16)
    for orientation in range(1, 9):
        exif[0x0112] = orientation
        for image in (Image.fromarray(NOISE), Image.fromarray(levels), Image.fromarray(NOISE).convert("P")):
            image.save(path, exif=exif)
            monkeypatch.undo()
            whole = read_image(path)
            monkeypatch.setattr("detect.ops.image.STRIP", 64 * 7)
            np.testing.assert_array_equal(read_image(path), whole)


def test_pillows_own_limit_is_named_as_its_own(tmp_path, monkeypatch):
    path = tmp_path / "photo.webp"
    Image.new("RGB", (2000, 1000)).save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500_000)
    sentence = f"{path}: has more than 1 megapixels, the most that Pillow reads of this format; make the image smaller"
    assert error_of(read_image, path) == sentence
