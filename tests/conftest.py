"""Fixtures that every test may use."""

import os
import resource
import signal
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two test processes share two cores; before torch is imported

# a shell's background and nohup ignore these, and so would all that the tests interrupt
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture
def shared():
    """The folder of real photos and videos beside the checkout; a user's machine has none, then the test is skipped.

    `.ci/run` sets REQUIRE_SHARED, which turns the skip into a failure.
    """
    if not SHARED.is_dir():
        if os.environ.get("REQUIRE_SHARED"):
            pytest.fail(f"{SHARED} is missing")
        pytest.skip("needs the photos in ../shared, which only the developers' machines have")
    return SHARED


@pytest.fixture
def small_disk():
    """A block in which no file can grow beyond so many bytes: as on a full disk, its last write is a short one."""

    @contextmanager
    def limited(size):
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            signal.signal(signal.SIGXFSZ, before)

    return limited


@pytest.fixture(scope="module")
def one_thread():
    """PyTorch on one thread, whatever the environment says: small networks are faster, and sums have one order."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def small_backbone():
    """`{name: Small}`: a backbone of five layers, for claims that do not hang on the size of the model."""
    import torch

    from detect.models.layers import ConvNormAct
    from detect.models.registry import BACKBONES

    class Small(torch.nn.Module):
        channels, strides = (8, 8, 16, 16), (4, 8, 16, 32)

        def __init__(self):
            super().__init__()
            widths = (3, 8, *self.channels)
            self.layers = torch.nn.ModuleList(ConvNormAct(a, b, 3, stride=2) for a, b in pairwise(widths))

        def forward(self, images):
            maps = [images]
            for layer in self.layers:
                maps.append(layer(maps[-1]))
            return maps[2:]

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(BACKBONES._classes, "Small", Small)
        yield "Small"


@pytest.fixture
def server():
    """A `tests.small_server.Server` on 127.0.0.1."""
    from tests.small_server import running

    with running() as server:
        yield server


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The folder of fetched files, not there yet; the environment names no proxy and does not say offline."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("CSP_DETECT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CSP_DETECT_OFFLINE", "")
    return tmp_path / "cache"
