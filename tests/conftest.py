"""Fixtures that every test may use."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two test processes share two cores; before torch is imported

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
