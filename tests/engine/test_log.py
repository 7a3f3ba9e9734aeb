"""What a training shows is readable: lengths of time, numbers in results.csv, a bar while it is evaluated."""

import csv
import os
import sys

import pytest

from detect.engine import detection
from detect.engine.detection import DetectionTask
from detect.engine.log import TrainingLog, duration, note
from detect.engine.train import Trainer
from tests.engine.test_train import settings_of, squares  # noqa: F401  squares is a fixture


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (29, "29 s"),
        (99.4, "99 s"),
        (100, "2 min"),
        (3000, "50 min"),
        (6000, "1.67 h"),
        (360_000, "100 h"),
    ],
)
def test_lengths_of_time_have_the_unit_that_fits(seconds, text):
    assert duration(seconds) == text


def test_the_last_line_names_no_time_left(tmp_path, capsys):
    log = TrainingLog(tmp_path, total_steps=2, start=0)
    log.last_line -= 60
    log.step(1, 0, {"box": 1.5}, 0.01, 10, 0)
    log.step(2, 0, {"box": 1.5}, 0.01, 10, 0)
    log.close()
    first, last = (tmp_path / "log.txt").read_text().splitlines()
    assert first.endswith("s left") and "0 min" not in first
    assert last.endswith("img/s  data 0%")


def test_numbers_in_results_have_six_digits(tmp_path):
    log = TrainingLog(tmp_path, total_steps=2, start=0)
    log.results(
        [{"step": 1234567, "box": 0.12345678901234567, "lr": 1e-5}, {"step": 2, "box": 1.0, "lr": 0.1, "AP": 0.25}]
    )
    log.close()
    rows = list(csv.DictReader((tmp_path / "results.csv").open()))
    assert rows[0] == {"step": "1234567", "box": "0.123457", "lr": "1e-05", "AP": ""}
    assert rows[1] == {"step": "2", "box": "1", "lr": "0.1", "AP": "0.25"}


def test_a_log_takes_names_that_are_no_utf8(tmp_path):
    note(tmp_path / "log.txt", os.fsdecode(b"stra\xdfe"))
    assert (tmp_path / "log.txt").read_text() == "stra\\udcdfe\n"


@pytest.mark.usefixtures("one_thread", "small_backbone")
@pytest.mark.parametrize("is_terminal", [True, False])
def test_an_evaluation_shows_a_bar_on_a_terminal(squares, tmp_path, monkeypatch, is_terminal):  # noqa: F811
    shown = []
    whole = detection.detect_images

    def detect_images(*arguments, show_progress):
        shown.append(show_progress)
        return whole(*arguments)

    monkeypatch.setattr(detection, "detect_images", detect_images)
    trainer = Trainer(DetectionTask(settings_of(squares, steps=1)), tmp_path)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal, raising=False)
    trainer.evaluate()
    assert shown == [is_terminal]
