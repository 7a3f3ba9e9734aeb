"""The fastest way is measured once and remembered."""

import time

import pytest

from detect.inference.fastest import fastest


@pytest.fixture
def file(tmp_path, cache, monkeypatch):
    monkeypatch.setattr("detect.inference.fastest.SECONDS", 0.02)
    (tmp_path / "net.xml").write_text("network")
    return tmp_path / "net.xml"


def runner(seconds, made):
    def make(way):
        made.append(way)
        return lambda: time.sleep(seconds[way])

    return make


def test_it_is_found_and_remembered(file):
    made = []
    ways = runner({"f32": 0.004, "bf16": 0.001}, made)
    assert fastest("engine 1", file, ["f32", "bf16"], ways) == "bf16"
    assert made == ["f32", "bf16"]
    assert fastest("engine 1", file, ["f32", "bf16"], ways) == "bf16"
    assert made == ["f32", "bf16"]


def test_another_engine_or_file_is_measured_anew(file):
    made = []
    ways = runner({"f32": 0.004, "bf16": 0.001}, made)
    fastest("engine 1", file, ["f32", "bf16"], ways)
    fastest("engine 2", file, ["f32", "bf16"], ways)
    file.write_text("another network")
    fastest("engine 1", file, ["f32", "bf16"], ways)
    assert len(made) == 6


def test_one_way_needs_no_measuring(file):
    assert fastest("engine 1", file, ["f32"], None) == "f32"


@pytest.mark.parametrize("text", ["", "{}", '{"fastest": "f64"}', "[1]", '{"fastest": ["f32"]}'])
def test_what_is_remembered_wrongly_is_measured_anew(file, cache, text):
    ways = runner({"f32": 0.004, "bf16": 0.001}, [])
    fastest("engine 1", file, ["f32", "bf16"], ways)
    (remembered,) = (cache / "fastest").iterdir()
    remembered.write_text(text)
    assert fastest("engine 1", file, ["f32", "bf16"], ways) == "bf16"


def test_a_cache_that_cannot_be_written_is_no_fault(file, cache):
    cache.write_text("a file where the folder should be")
    assert fastest("engine 1", file, ["f32", "bf16"], runner({"f32": 0.004, "bf16": 0.001}, [])) == "bf16"
