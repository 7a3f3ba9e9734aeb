"""What is measured of evaluating; how fast it is, is nobody's claim here."""

import numpy as np
import pytest

from detect.analysis import evaluation_speed
from detect.analysis.evaluation_speed import FOUND, IMAGES, OBJECTS, made_up, measure, table
from tests.cli.command_line import answer, detect

SMALL = {"images": 12, "classes": 4, "objects": 90, "found": 1200}


def test_the_made_up_set_is_of_cocos_size():
    truth, detections = made_up()
    assert (len(truth.image_ids), len(truth), len(detections)) == (IMAGES, OBJECTS, FOUND) == (5000, 37651, 500_000)
    assert (np.bincount(detections.image_ids) == 100).all() and len(truth.category_ids) == 80
    assert truth.boxes.min() >= 0 and (truth.boxes[:, :2] + truth.boxes[:, 2:]).max() < 641
    assert 0 < truth.crowds.mean() < 0.02 and truth.instances[0] > 10 * truth.instances[-1] > 0


@pytest.mark.parametrize("evaluator", ["NumPy", "pycocotools"])
def test_both_evaluators_are_measured_on_the_same(evaluator):
    measured = measure(evaluator, *made_up(**SMALL))
    assert measured["evaluator"] == evaluator and measured["seconds"] > 0
    assert measured["metrics"] == measure("NumPy", *made_up(**SMALL))["metrics"] and 0 < measured["metrics"]["AP"] < 1


def test_the_table_says_whether_the_numbers_are_equal():
    one = {"evaluator": "NumPy", "seconds": 1.25, "mb": 40.0, "metrics": {"AP": 0.5, "AP50": 0.75, "AR100": 1.0}}
    other = one | {"evaluator": "pycocotools", "mb": None}
    machine = {"processor": "x", "cores": 2, "flags": [], "versions": {}, "load": None}
    text = table({"machine": machine, "evaluation": [one, other]})
    assert "NumPy           1.25  40  0.500000  0.750000  1.000000" in text.splitlines()
    assert "pycocotools     1.25   -" in text and text.endswith("numbers are equal to the last digit")
    other["metrics"] = one["metrics"] | {"AR1": 0}
    assert "NOT equal" in table({"machine": machine, "evaluation": [one, other]})
    assert "equal" not in table({"machine": machine, "evaluation": [one]})


def test_the_command_measures_ours_and_pycocotools_when_asked(monkeypatch):
    asked = []

    def measured(evaluator):
        asked.append(evaluator)
        return measure(evaluator, *made_up(**SMALL))

    monkeypatch.setattr(evaluation_speed, "benchmark_evaluation", measured)
    assert answer("benchmark", "--evaluation").keys() == {"machine", "evaluation"} and asked == ["NumPy"]
    ran = detect("benchmark", "--evaluation", "--pycocotools")
    assert ran.status == 0 and asked[1:] == ["NumPy", "pycocotools"] and "equal to the last digit" in ran.out
    assert "--evaluation measures no model" in detect("benchmark", "x.yaml", "--evaluation").err
    assert "--pycocotools goes with --evaluation" in detect("benchmark", "x.yaml", "--pycocotools").err
    assert "name a model to measure" in detect("benchmark").err


def test_a_fresh_process_measures():
    measured = evaluation_speed.benchmark_evaluation("NumPy")
    assert measured.keys() == {"evaluator", "seconds", "mb", "metrics"} and len(measured["metrics"]) == 12
    assert measured["mb"] is None or 0 < measured["mb"] < 400
