"""A small detector, its weights, and images to compare on."""

from dataclasses import replace

import numpy as np
import pytest

from detect.exporters.formats import Request
from detect.inference.thresholds import Thresholds
from detect.ops.image import write_image
from detect.weights.files import Weights
from tests.small_detector import seeing_everything

SIZE = 64


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """What engines remember stays in a folder of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CSP_DETECT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def weights(one_thread, small_backbone):
    """Of a detector of three classes that sees objects of every score everywhere."""
    network, settings = seeing_everything(small_backbone, SIZE)
    categories = [{"id": 10 * label, "name": name} for label, name in enumerate(["a", "b", "ü, c"])]
    weights = Weights.of(network, settings, categories, "small.pt")
    return replace(weights, thresholds=Thresholds((0.3, 0.4, 0.5), 0.5, "9 images of val.json"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with 100 images of noise."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for number in range(100):
        write_image(folder / f"{number:03}.png", rng.integers(0, 255, (40, 64, 3), dtype=np.uint8))
    return folder


@pytest.fixture
def request_on(folder):
    """Makes a `Request` whose images are those of `folder`."""
    return lambda **options: Request(data=folder, **options)


@pytest.fixture
def squares():
    return np.random.default_rng(1).integers(0, 255, (5, SIZE, SIZE, 3), dtype=np.uint8)
