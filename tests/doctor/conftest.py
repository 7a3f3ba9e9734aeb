"""The set that every test of the doctor spoils in its own way."""

import pytest

from tests.doctor.made import Made


@pytest.fixture
def made(tmp_path):
    return Made(tmp_path / "set")
