"""Images for screens and pages: the longer side as asked for, the colours in their order."""

from base64 import b64decode
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from detect.ops.preview import data_uri, jpeg, scaled, shrunk

RED = np.full((30, 60, 3), (200, 20, 40), dtype=np.uint8)


@pytest.mark.parametrize(("side", "shape", "ratio"), [(30, (15, 30), 0.5), (120, (60, 120), 2), (None, (30, 60), 1)])
def test_the_longer_side_is_as_asked_for(side, shape, ratio):
    image, found = scaled(RED, side)
    assert image.shape[:2] == shape and found == ratio


def test_small_images_stay_as_they_are():
    assert shrunk(RED, 60)[0] is RED and shrunk(RED, 61) == (RED, 1.0)
    assert shrunk(RED, 20)[0].shape == (10, 20, 3)


def test_a_jpeg_has_the_colours_of_the_image():
    assert data_uri(RED).removeprefix("data:image/jpeg;base64,") != data_uri(RED)
    for data in (jpeg(RED, 95), b64decode(data_uri(RED, 95).partition(",")[2])):
        image = Image.open(BytesIO(data))
        assert image.format == "JPEG" and np.abs(np.asarray(image, dtype=int) - RED).max() <= 4
