"""The table of models beside each other: what is in it; how fast they are, is nobody's claim here."""

import csv
import subprocess
import sys

import pytest

from detect.analysis import benchmark as of_benchmark
from detect.analysis.bare import Layer
from detect.analysis.benchmark import BLOCK, COLUMNS, DISCARDED, benchmark, in_turns, table
from detect.analysis.contenders import Contender
from tests.cli.command_line import answer, detect

pytestmark = pytest.mark.usefixtures("one_thread")
FAST = ("--rounds", 2, "--threads", 1)


@pytest.fixture
def without_memory(monkeypatch):
    """No process of its own for each row."""
    monkeypatch.setattr(of_benchmark, "peak_memory", lambda of, cache: 123.4)


def quiet(line):
    pass


def test_networks_take_turns_in_blocks_and_the_first_runs_are_discarded():
    calls = []
    times = in_turns([lambda: calls.append("a"), lambda: calls.append("b")], rounds=BLOCK + 2)
    assert [len(of) for of in times] == [BLOCK + 2, BLOCK + 2]
    blocks, whole, rest = [], DISCARDED + BLOCK, DISCARDED + 2
    for letter, count in (("a", whole), ("b", whole), ("b", rest), ("a", rest)):
        blocks += [letter] * count
    assert calls == blocks


def test_milliseconds_are_measured(monkeypatch):
    clock = iter(range(1000))
    monkeypatch.setattr(of_benchmark.time, "perf_counter", lambda: next(clock) / 4)
    assert in_turns([lambda: None], rounds=2)[0] == [250, 250]


@pytest.mark.usefixtures("without_memory")
def test_a_row_says_what_was_measured(foreign_xml, monkeypatch):
    monkeypatch.setattr(of_benchmark, "in_turns", lambda runs, rounds: [[10.0] * 19 + [30.0], [5.0] * 20])
    contenders = [Contender(name, foreign_xml(), precision="f32", threads=1) for name in ("a", "b")]
    result = benchmark(contenders, rounds=20, say=quiet)
    first, second = result["rows"]
    assert tuple(first) == COLUMNS
    assert first == {
        "model": "a", "size": 32, "engine": "openvino", "precision": "f32", "threads": 1, "p50_ms": 10.0,
        "p95_ms": pytest.approx(11), "images_per_second": 100.0, "peak_mb": 123.4, "ap": None, "ap_on": None,
        "ratio": 1.0,
    }  # fmt: skip
    assert second["ratio"] == 2 and result["base"] == "a"
    assert [row["ratio"] for row in benchmark(contenders, 1, 20, say=quiet)["rows"]] == [0.5, 1]


def test_the_table_names_machine_rows_and_what_they_mean():
    row = dict.fromkeys(COLUMNS) | {
        "model": "net", "size": 416, "engine": "openvino", "precision": "bf16", "threads": 2, "p50_ms": 3.14159,
        "p95_ms": 4.0, "images_per_second": 318.3, "ratio": 1.0,
    }  # fmt: skip
    machine = {"processor": "A Chip", "cores": 2, "flags": ["avx2"], "versions": {"OpenVINO": "1"}, "load": 0.5}
    result = {"machine": machine, "rounds": 60, "base": "net", "rows": [row], "profiles": {}}
    lines = table(result).splitlines()
    assert lines[0] == "A Chip, 2 cores, avx2; OpenVINO 1; load 0.5"
    assert "the network alone" in lines[1] and "60 runs" in lines[1]
    assert lines[3].split() == ["net", "416", "openvino", "bf16", "2", "3.14", "4.00", "318.3", "-", "-", "-", "1.00"]
    assert "engine and Python included" in lines[4] and len(lines) == 5
    row |= {"ap": 26.8, "ap_on": "COCO test-dev", "peak_mb": 187.6}
    lines = table(result).splitlines()
    assert "188  26.8  COCO test-dev" in lines[3] and "not measured here" in lines[5]


def test_the_layers_of_a_profile_are_summed_by_type():
    row = dict.fromkeys(COLUMNS, 1) | {"model": "net", "precision": "f32", "ap": None, "ap_on": None}
    layers = [Layer("c1", "Convolution x", 2.0), Layer("p", "Pooling y", 1.0), Layer("c2", "Convolution x", 5.0)]
    machine = {"processor": "A Chip", "cores": 2, "flags": [], "versions": {}, "load": None}
    result = {"machine": machine, "rounds": 1, "base": "net", "rows": [row], "profiles": {0: layers}}
    text = table(result)
    profile = [
        line.split() for line in text[text.index("net f32, layer by layer: 8.00 ms in 3 layers") :].splitlines()[1:]
    ]
    assert profile[1:3] == [["7.000", "88%", "2", "Convolution", "x"], ["1.000", "12%", "1", "Pooling", "y"]]
    assert [line[-1] for line in profile[4:]] == ["c2", "c1", "p"]


@pytest.mark.usefixtures("without_memory")
def test_the_command_compares_ours_with_files_of_other_tools(small_cfg, foreign_xml, foreign_onnx, tmp_path):
    models = (small_cfg, f"{small_cfg}:onnx", "--against", f"{foreign_xml()}:f32", foreign_onnx())
    files = ("--csv", tmp_path / "t.csv", "--plot", tmp_path / "t.png")
    result = answer("benchmark", *models, *FAST, *files, "--device", "cpu")
    assert result.keys() == {"machine", "rounds", "base", "rows", "profiles"} and result["base"] == "foreign"
    rows = result["rows"]
    assert [row["engine"] for row in rows] == ["torch", "onnx", "openvino", "openvino"]
    assert [row["size"] for row in rows] == [32, 32, 32, 32] and {row["threads"] for row in rows} == {1}
    assert all(row["ratio"] == pytest.approx(rows[2]["p50_ms"] / row["p50_ms"]) for row in rows)
    with open(tmp_path / "t.csv", newline="") as file:
        written = list(csv.DictReader(file))
    assert [row["model"] for row in written] == [row["model"] for row in rows]
    assert tuple(written[0]) == COLUMNS and float(written[0]["p50_ms"]) == rows[0]["p50_ms"]
    assert (tmp_path / "t.png").stat().st_size > 1000


@pytest.mark.usefixtures("without_memory")
def test_the_command_tells_the_layers_that_openvino_executed(foreign_xml, foreign_onnx):
    arguments = ("benchmark", f"{foreign_xml()}:f32", f"{foreign_onnx()}:onnx", *FAST, "--profile")
    assert answer(*arguments)["profiles"].keys() == {"0"}
    ran = detect(*arguments)
    assert ran.status == 0 and "foreign f32, layer by layer" in ran.out and "Convolution " in ran.out
    ran = detect("benchmark", f"{foreign_onnx()}:onnx", *FAST, "--profile")
    assert ran.status == 1 and "only OpenVINO tells" in ran.err


def test_files_are_measured_without_pytorch_memory_included(foreign_xml, tmp_path):
    code = "import sys; sys.modules['torch'] = None; from detect.cli.main import main; sys.exit(main())"
    arguments = [
        "benchmark",
        f"{foreign_xml()}:f32",
        "--rounds",
        "1",
        "--threads",
        "1",
        "--csv",
        str(tmp_path / "t.csv"),
    ]
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, stdout=subprocess.DEVNULL)
    (row,) = csv.DictReader((tmp_path / "t.csv").read_text().splitlines())
    assert not sys.platform.startswith("linux") or 30 < float(row["peak_mb"]) < 600


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--image", "x.jpg"], "--image goes with --stages"),
        (["--batch", "3"], "--batch goes with --training"),
        (["--stages", "--csv", "x.csv"], "--csv does not go with --stages"),
        (["--stages", "--training"], "not allowed with"),
        (["--set", "input.size=64"], "--set: changes configurations, and no model here is one"),
        (["--against", "none.onnx"], "none.onnx: no such file"),
        (["--engine", "tensorrt"], "invalid choice: 'tensorrt'"),
    ],
)
def test_a_mistake_is_one_sentence(options, words, foreign_xml):
    ran = detect("benchmark", foreign_xml(), *options)
    assert ran.status == 1 and not ran.out and ran.err.startswith("error: ") and words in ran.err
    assert ran.err.count("\n") == 1
