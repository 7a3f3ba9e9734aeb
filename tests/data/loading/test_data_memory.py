"""What is free is the least of what the system and the container tell."""

import pytest

from detect.data.loading.memory import free_memory


@pytest.fixture
def group(tmp_path):
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.current").write_text("700000\n")
    (tmp_path / "memory.stat").write_text("anon 400000\ninactive_file 200000\nactive_file 7\n")
    return tmp_path


@pytest.fixture
def system(tmp_path):
    path = tmp_path / "meminfo"
    path.write_text("MemTotal:       24000 kB\nMemFree:         100 kB\nMemAvailable:    2000 kB\n")
    return path


def test_files_that_the_system_keeps_are_free(system, group, tmp_path):
    assert free_memory(system, tmp_path / "none") == 2000 * 1024
    assert free_memory(tmp_path / "none", group) == 500_000
    assert free_memory(system, group) == 500_000


def test_a_group_without_a_limit_is_left_out(system, group):
    (group / "memory.max").write_text("max\n")
    assert free_memory(system, group) == 2000 * 1024


def test_what_tells_nothing_is_no_limit(tmp_path):
    assert free_memory(tmp_path / "none", tmp_path / "none") is None
    (tmp_path / "meminfo").write_text("nonsense")
    assert free_memory(tmp_path / "meminfo", tmp_path) is None
