"""Weights by name on the command line: the table, a name as weights, and --offline."""

import pytest

from detect.cli.main import parser
from detect.weights import zoo
from tests.cli.command_line import answer, detect
from tests.small_zoo import fill

WITH_WEIGHTS = (
    "predict --source x", "evaluate x", "export x --out y", "benchmark x", "field_of_view x", "classify evaluate x",
    "train x", "classify train x", "label --weights x --source y --out z",
)  # fmt: skip


@pytest.fixture
def small_net(server, cache, tmp_path, monkeypatch):
    """The zoo's only classic; an empty folder is the working one."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return fill(server, tmp_path, monkeypatch, mask=((0, 1, 2), (1, 2, 3)))


def test_the_table_lists_every_name_with_size_classes_ap_licence_and_place(cache):
    ran = detect("zoo")
    lines = ran.out.splitlines()
    assert ran.status == 0 and lines[0].split()[:4] == ["name", "MB", "px", "classes"]
    for entry in (*zoo.RELEASED, *zoo.CLASSICS):
        (line,) = (line for line in lines if line.split()[:1] == [entry.name])
        for cell in (str(entry.size), str(entry.classes), entry.ap, entry.licence):
            assert cell in line
        assert line.endswith("here" if entry in zoo.RELEASED else "to fetch")
    assert str(cache) in lines[-1]


def test_the_table_as_json(cache):
    found = answer("zoo")
    assert found["cache"] == str(cache) and [row["name"] for row in found["weights"]] == zoo.known_names()
    for row in found["weights"]:
        assert row["bytes"] > 1e6 and row["classes"] == 80 and row["here"] is (row["url"] is None)


@pytest.mark.parametrize("verb", ["predict", "label", "evaluate", "export", "benchmark", "field_of_view"])
def test_every_verb_that_takes_a_detectors_weights_says_that_a_name_will_do(verb, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    with pytest.raises(SystemExit):
        parser().parse_args([verb, "--help"])
    assert ".pt, .safetensors, .weights, or a name of detect zoo" in capsys.readouterr().out


def test_a_classifier_is_no_name_of_the_zoo_and_nothing_is_fetched_to_say_so(small_net, server, cache):
    ran = detect("classify", "evaluate", "small-net")
    assert ran.status == 1 and not server.seen and not cache.exists()
    assert ran.err == "error: small-net: is a detector, no classifier; use tools/train.py and tools/evaluate.py\n"


def test_a_name_is_taken_as_weights_and_the_corrected_mask_is_said(small_net, tmp_path):
    ran = detect("export", "small-net", "--out", tmp_path / "x.safetensors")
    assert ran.status == 0 and "small-net's weights were trained with 1,2,3, and that is taken" in ran.err
    assert (tmp_path / "x.safetensors").is_file()


def test_offline_is_one_sentence_and_nothing_is_asked(small_net, server, cache, tmp_path):
    ran = detect("export", "small-net", "--out", tmp_path / "x.safetensors", "--offline")
    assert ran.status == 1 and not server.seen and not cache.exists()
    assert ran.err.startswith("error: offline, and ") and ran.err.count("\n") == 1
    assert f"{server.url}/small.names" in ran.err and str(cache / "small.names") in ran.err


def test_offline_what_is_here_is_taken(small_net, server, tmp_path):
    assert detect("export", "small-net", "--out", tmp_path / "x.safetensors").status == 0
    count = len(server.seen)
    assert detect("export", "small-net", "--out", tmp_path / "y.safetensors", "--offline").status == 0
    assert len(server.seen) == count == 3


@pytest.mark.parametrize("line", WITH_WEIGHTS)
def test_every_verb_that_takes_weights_can_be_told_to_fetch_nothing(line):
    assert parser().parse_args(line.split()).offline is False
    assert parser().parse_args([*line.split(), "--offline"]).offline is True
