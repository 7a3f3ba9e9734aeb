"""The machine in words."""

import os

from detect.analysis import machine as of_machine
from detect.analysis.machine import described, machine

CPUINFO = (
    "processor\t: 0\nmodel name\t: A Chip\nflags\t\t: fpu avx2 avx512_vnni\n\nprocessor\t: 1\nmodel name\t: Other\n"
)


def test_processor_flags_versions_and_load_are_named(monkeypatch, tmp_path):
    monkeypatch.setattr(of_machine, "_cpuinfo", lambda: {"model name": "A Chip", "flags": "fpu avx2 avx512_vnni"})
    monkeypatch.setattr(os, "getloadavg", lambda: (1.26, 0, 0))
    found = machine()
    assert found["processor"] == "A Chip" and found["flags"] == ["avx2", "avx512_vnni"] and found["load"] == 1.3
    assert found["cores"] >= 1 and {"Python", "PyTorch"} <= found["versions"].keys()
    line = described(found)
    assert line.startswith(f"A Chip, {found['cores']} cores, avx2 avx512_vnni; Python 3.")
    assert f"PyTorch {found['versions']['PyTorch']}" in line and line.endswith("; load 1.3")


def test_what_linux_tells_of_the_first_core_is_read(monkeypatch):
    monkeypatch.setattr(of_machine.Path, "read_text", lambda self: CPUINFO)
    assert of_machine._cpuinfo() == {"processor": "0", "model name": "A Chip", "flags": "fpu avx2 avx512_vnni"}


def test_a_machine_that_tells_nothing_is_described_too(monkeypatch):
    monkeypatch.setattr(of_machine, "_cpuinfo", dict)
    monkeypatch.delattr(os, "getloadavg")
    found = machine()
    assert found["flags"] == [] and found["load"] is None and "flags unknown" in described(found)
