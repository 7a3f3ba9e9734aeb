"""`detect check` and `detect anchors` as a user meets them."""

import json
from pathlib import Path

import pytest

import detect as package
from detect.doctor.document import table
from tests.cli.command_line import answer, detect
from tests.doctor.made import Made
from tests.doctor.test_checks import same_name, truncated, twice

CONFIG = Path(__file__).parents[2] / "configs" / "csppelee_efm.yaml"


@pytest.fixture
def made(tmp_path):
    return Made(tmp_path / "set")


def test_a_sound_set_is_fine(made):
    ran = detect("check", made.write())
    assert (ran.status, ran.err) == (0, "") and ran.out.endswith("nothing found: the data are sound\n")


def test_warnings_are_told_and_no_error(made):
    twice(made)
    ran = detect("check", made.write(), "--quick")
    assert ran.status == 0 and "0 errors, 1 warning, 0 notes" in ran.out


def test_errors_are_told_in_every_form_and_mended(made, tmp_path):
    truncated(made)
    same_name(made)
    ran = detect("check", made.write(), "--html", tmp_path / "page.html", "--fix", tmp_path / "out", "--json")
    assert ran.status == 1
    report = json.loads(ran.out)
    assert [one["id"] for one in report["findings"]][:2] == ["class.same_name", "image.truncated"]
    assert report["errors"] == 2 and len(report["fixed"]) == 3
    assert "examine it with: python tools/check.py" in ran.err and "image.truncated" in ran.err
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")
    assert detect("check", tmp_path / "out").status == 0
    assert package.check(made.root, quick=True)["errors"] == 2


def test_boxes_are_compared_with_a_configuration_or_weights(made):
    report = json.loads(detect("check", made.write(), "--config", CONFIG, "--json").out)
    assert [one["id"] for one in report["findings"]] == ["anchor.fit"]
    report = json.loads(detect("check", made.root, "--weights", "csptiny_efm_coco3k", "--json").out)
    assert [one["id"] for one in report["findings"]] == ["anchor.fit"]


def test_anchors_are_fitted_and_written(made, tmp_path):
    found = answer("anchors", made.write(), "--config", CONFIG, "--size", "96", "--write", tmp_path / "mine.yaml")
    assert [len(scale) for scale in found["anchors"]] == [3, 3, 3]
    ran = detect("train", tmp_path / "mine.yaml", "--print-config")
    assert ran.status == 0 and f"anchors: {found['anchors']}" in ran.out
    assert package.anchors(made.root, count=6, size=96)["configured"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["check"], "error: give the data folder or data YAML to examine"),
        (["check", "{set}x"], "error: no such file or folder {set}x; did you mean 'set'?"),
        (["check", "{set}/images"], "error: {set}/images: holds no annotations that are known"),
        (["check", "{set}", "--config", "a.yaml", "--weights", "w.pt"], "error: give a configuration or weights"),
        (["check", "{set}", "--fix", "{set}"], "error: {set}: holds something already; name a new folder"),
        (
            ["anchors", "{set}", "--write", "x.yaml"],
            "error: name the configuration that gets the anchors; give --config",
        ),
        (["anchors", "{set}", "--count", "8"], "error: --count: 8 anchors cannot be shared by 3 scales evenly"),
    ],
)
def test_mistakes_are_one_sentence(made, arguments, message):
    made.write()
    ran = detect(*[word.format(set=made.root) for word in arguments])
    assert ran.status == 1 and len(ran.err.splitlines()) == 1
    assert ran.err.startswith(message.format(set=made.root)), ran.err


def test_all_that_can_be_found_is_listed():
    assert detect("check", "--list").out == f"{table()}\n"
