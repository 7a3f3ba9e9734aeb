"""Formats by name and by suffix."""

from pathlib import Path

import pytest

from detect.api.export import export
from detect.errors import UserError
from detect.exporters.formats import format_of, formats
from detect.weights.files import write_safetensors

NAMES = ["darknet", "onnx", "openvino", "openvino-int8", "safetensors"]


def test_every_exporter_registers_itself():
    assert list(formats()) == NAMES


@pytest.mark.parametrize(
    ("path", "name"),
    [("a.onnx", "onnx"), ("a.xml", "openvino"), ("a.safetensors", "safetensors"), ("a.weights", "darknet")],
)
def test_the_suffix_says_the_format(path, name):
    assert format_of(None, Path(path)).name == name


@pytest.mark.parametrize(
    ("name", "path", "sentence"),
    [
        ("onx", "a.onnx", "did you mean 'onnx'"),
        ("onnx", "a.xml", r"a\.xml: must end in \.onnx for the format onnx"),
        (None, "a.pt", r"a\.pt: must end in the suffix of a format: \.xml"),
        ("openvino-int8", "a.onnx", r"must end in \.xml"),
    ],
)
def test_a_wrong_format_is_one_sentence(name, path, sentence):
    with pytest.raises(UserError, match=sentence):
        format_of(name, Path(path))


@pytest.fixture
def saved(weights, tmp_path):
    write_safetensors(tmp_path / "net.safetensors", weights)
    return tmp_path / "net.safetensors"


@pytest.mark.parametrize(
    ("suffix", "options", "sentence"),
    [
        (".safetensors", {"batch": 4}, "the format safetensors does not take it"),
        (".safetensors", {"data": "images"}, "the format safetensors does not take it"),
        (".weights", {"half": True}, "the format darknet does not take it"),
        (".onnx", {"half": True}, "the format onnx does not take it"),
        (".onnx", {"check": 4}, "AP is computed on labelled images"),
        (".onnx", {"size": 70}, "give a multiple of 32, such as 64"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(saved, tmp_path, suffix, options, sentence):
    with pytest.raises(UserError, match=sentence):
        export(saved, tmp_path / f"out{suffix}", **options)
    assert [path.name for path in tmp_path.iterdir()] == ["net.safetensors"]


def test_programs_export_for_engines(saved, folder, tmp_path):
    lines = []
    told = export(saved, tmp_path / "new" / "net.xml", data=folder, log=lines.append)
    assert told["others"] == [str(tmp_path / "new" / "net.bin")]
    assert told["bytes"] == sum(path.stat().st_size for path in (tmp_path / "new").iterdir())
    assert "OpenVINO on the CPU, f32: maps differ by" in lines[0]
