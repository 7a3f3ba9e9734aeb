"""What the command line sets for libraries before they are imported, and leaves as the user has it."""

import os

import pytest

from detect.cli.main import prepare


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.setenv(name, "to be put back")
        monkeypatch.delenv(name)


def test_threads_of_pytorch_wait_but_shortly():
    prepare()
    assert os.environ["GOMP_SPINCOUNT"] == "1000"


@pytest.mark.parametrize(("name", "value"), [("OMP_WAIT_POLICY", "ACTIVE"), ("GOMP_SPINCOUNT", "77")])
def test_what_the_user_set_stays(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    prepare()
    assert os.environ.get("GOMP_SPINCOUNT") in (None, "77")
    assert os.environ[name] == value
