"""One process trains in a run's folder at a time, and a dead one keeps nobody out."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from detect.engine.lock import only_here
from detect.errors import UserError

pytest.importorskip("fcntl")
ROOT = Path(__file__).parents[2]


def holder(folder):
    """Another process that has the lock."""
    code = f"""
        import multiprocessing, time
        from pathlib import Path
        from detect.engine.lock import only_here
        with only_here(Path({str(folder)!r})):
            child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))  # as loaders are
            child.start()
            print(child.pid, flush=True)
            time.sleep(60)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    return process, int(process.stdout.readline())


def test_the_second_process_is_refused_until_the_first_is_dead(tmp_path):
    process, child = holder(tmp_path)
    try:
        with (
            pytest.raises(UserError, match="another process is training there; wait until it ends"),
            only_here(tmp_path),
        ):
            pytest.fail("two processes in one folder")
        process.kill()
        process.wait()
        with only_here(tmp_path):  # its loader process lives on
            assert (tmp_path / ".lock").exists()
    finally:
        process.kill()
        os.kill(child, signal.SIGKILL)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_half_written_is_cleared_away(tmp_path):
    (tmp_path / ".writing-0123456789ab.pt").touch()
    (tmp_path / "last.pt").touch()
    with only_here(tmp_path):
        assert {path.name for path in tmp_path.iterdir()} == {"last.pt", ".lock"}
    assert [path.name for path in tmp_path.iterdir()] == ["last.pt"]


def test_a_folder_that_cannot_be_written_to_is_a_sentence(tmp_path):
    with pytest.raises(UserError, match="cannot be written"), only_here(tmp_path / "none"):
        pytest.fail("there is no such folder")
