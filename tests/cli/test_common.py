"""The table of verbs, and how the command line adds its options to the library's errors."""

import argparse
import ast
import io
import re
import sys
from pathlib import Path

import pytest

from detect.cli import settings
from detect.cli.common import predictor_arguments, with_option
from detect.cli.main import VERBS, main, parser
from detect.errors import UserError

ROOT = Path(__file__).parents[2]


def test_every_verb_has_a_script_of_its_own_name():
    named = {re.search(r'main\(\["(\w+)"', path.read_text())[1] for path in (ROOT / "tools").glob("*.py")
             if path.name not in ("demo.py", "teacher_labels.py")}  # fmt: skip
    assert named == VERBS.keys()


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_is_a_file_with_help_arguments_and_run(verb):
    module = VERBS[verb]
    assert module.__name__ == f"detect.cli.{verb}" and module.HELP
    for part in getattr(module, "VERBS", {verb: module}).values():
        assert callable(part.arguments) and callable(part.run) and part.HELP
    with pytest.raises(SystemExit) as stopped:
        parser().parse_args([verb, "--help"])
    assert stopped.value.code == 0


@pytest.mark.parametrize(
    ("given", "sentence", "argument", "expected"),
    [
        ({"device": "gpu"}, "gpu: not there", "device", "--device gpu: not there"),
        ({"half": True}, "32 bits only", "half", "--half: 32 bits only"),
        ({"min_side": 9}, "no box is so large", "min_side", "--min-side: no box is so large"),
        ({"cfg": None}, "x.weights: need the .cfg", "cfg", "x.weights: need the .cfg; give --cfg FILE"),
        ({"set": []}, "data is missing", "data", "data is missing; give it with --set data=FOLDER"),
        ({}, "data is missing", "data", "data is missing"),
        ({"set": []}, "x.weights: need the .cfg", "cfg", "x.weights: need the .cfg"),
        ({"data": "no"}, "no such file or folder /no", "data", "--data: no such file or folder /no"),
        ({"data": "x"}, "something else", None, "something else"),
    ],
)
def test_errors_name_the_option_of_the_verb(given, sentence, argument, expected):
    assert with_option(UserError(sentence, argument), argparse.Namespace(**given)) == expected


def test_what_an_error_counts_is_listed_below_it(monkeypatch, capsys):
    def fail(args):
        raise UserError("2 images cannot be used; a: cut off", details=["a: cut off", "b\x1b: not there"])

    monkeypatch.setattr(settings, "run", fail)
    assert main(["settings"]) == 1
    assert capsys.readouterr().err == "error: 2 images cannot be used; a: cut off\n  a: cut off\n  b\\x1b: not there\n"


@pytest.mark.parametrize(("encoding", "shown"), [("cp1252", r"\u9577 \udcdf ö"), ("utf-8", r"長 \udcdf ö")])
def test_what_the_console_cannot_show_is_escaped(monkeypatch, encoding, shown):
    console = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", console)
    monkeypatch.setattr(settings, "run", lambda args: print("長 \udcdf ö"))
    assert main(["settings"]) == 0
    console.flush()
    assert console.buffer.getvalue().decode(encoding).strip() == shown


def test_an_error_before_the_arguments_are_known_is_told_as_it_is():
    assert with_option(UserError("x", "data"), None) == "x"


VOTES = [], ["--nms-vote"], ["--no-nms-vote"]


@pytest.mark.parametrize("command", ["predict --source a.jpg", "evaluate w.pt", "label --weights w --source a --out o"])
def test_options_of_tiling_and_nms_reach_the_detector(command):
    given = predictor_arguments(parser().parse_args([*command.split(), "--tile", "640", "--overlap", "0.3"]))
    assert (given["tile"], given["overlap"], "nms" in given) == (640, 0.3, False)
    given = predictor_arguments(parser().parse_args([*command.split(), "--nms", "diou", "--nms-threshold", "0.6"]))
    assert (given["nms"], given["nms_threshold"], "tile" in given) == ("diou", 0.6, False)
    voting = [predictor_arguments(parser().parse_args([*command.split(), *option])).get("nms_vote") for option in VOTES]
    assert voting == [None, True, False]
    with pytest.raises(UserError, match=r"^--overlap is of tiles; give --tile PX with it$"):
        predictor_arguments(parser().parse_args([*command.split(), "--overlap", "0.3"]))


@pytest.mark.parametrize(("option", "value"), [("--tile", "31"), ("--tile", "a"), ("--overlap", "0.9")])
def test_a_tiling_that_cannot_be_is_one_sentence(option, value):
    with pytest.raises(UserError, match=rf"argument {option}: '{value}' is no"):
        parser().parse_args(["predict", "--source", "a.jpg", option, value])


def strings_of(path):
    """Text constants of a file that are no docstrings."""
    tree = ast.parse(path.read_text())
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value


def test_no_error_of_the_library_names_an_option_of_the_command_line():
    files = [path for path in (ROOT / "detect").rglob("*.py") if path.parent.name != "cli"]
    assert len(files) > 80
    named = {
        (path.name, text) for path in files for text in strings_of(path)
        if re.search(r"(?<!docker run )(?<!torchrun )(?<![\w-])--[a-z]", text) and path.name != "document.py"
    }  # fmt: skip
    assert not named
