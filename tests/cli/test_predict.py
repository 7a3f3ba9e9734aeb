"""`detect predict` with the options of videos and cameras."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.cli.command_line import answer, detect
from tests.small_server import CameraServer, running

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = ("--size", 64, "--min-score", 0.01)  # of the released weights: quick, and finds something anywhere


@pytest.fixture
def clip(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    writer = cv2.VideoWriter(str(tmp_path / "clip.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 5, (64, 48))
    for index in range(12):
        writer.write(np.roll(noise, index, axis=1))
    writer.release()
    return tmp_path / "clip.avi"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--outputs", "csv,jsnl"], "--outputs: there is no output 'jsnl'; did you mean 'jsonl'"),
        (["--line", "1,2,3"], "--line: '1,2,3' is no line; give x1,y1,x2,y2 in px of the image"),
        (["--segment", "10 min"], "is no length of time; give 90s, 10m or 1h"),
        (["--zone", "gone.json"], "gone.json: no such file"),
        (["--every", "0"], "'0' is no whole number from 1"),
        (["--resize-output", "8"], "'8' is no whole number from 16"),
        (["--no-save", "--outputs", "csv"], "not allowed with argument"),
        (["--classes", "persn"], "--classes: there is no class 'persn'; did you mean 'person'"),
        (["--classes", " ,"], "argument --classes: ' ,' names nothing"),
        (["--outputs", ""], "argument --outputs: '' names nothing"),
    ],
)
def test_a_mistake_is_one_sentence_and_leaves_nothing(clip, tmp_path, monkeypatch, options, sentence):
    monkeypatch.chdir(tmp_path)
    ran = detect("predict", "--source", clip, *SMALL, *options)
    assert ran.status == 1 and sentence in ran.err and ran.err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["clip.avi"]


def test_what_is_asked_for_is_written(clip, tmp_path):
    (tmp_path / "zones.json").write_text('{"all": [[-9, -9], [99, -9], [99, 99], [-9, 99]]}')
    counting = ("--track", "--line", "32,0,32,48", "--zone", tmp_path / "zones.json")
    wanted = ("--outputs", "annotated, coco,csv,jsonl", "--every", 2, "--resize-output", 128)
    summary = answer("predict", "--source", clip, *SMALL, *counting, *wanted, "--out", tmp_path / "out")
    assert {Path(file).name for file in summary["files"]} == {
        "clip.mp4", "detections.coco.json", "counts.csv", "detections.jsonl",
    }  # fmt: skip
    rows = [json.loads(line) for line in (tmp_path / "out" / "detections.jsonl").read_text().splitlines()]
    assert [row["frame"] for row in rows] == [0, 2, 4, 6, 8, 10] and summary["frames"] == 6
    assert all(row["zones"][0]["inside"] == len(row["detections"]) for row in rows)
    assert all("track" in found for row in rows for found in row["detections"]) and "lines" in rows[0]
    coco = json.loads((tmp_path / "out" / "detections.coco.json").read_text())
    assert len(coco["images"]) == 6 and coco["categories"][0] == {"id": 1, "name": "person"}
    assert coco["categories"][-1]["id"] == 90  # COCO's own numbers, which the weights know
    with open(tmp_path / "out" / "counts.csv", newline="") as file:
        assert [row["frames"] for row in csv.DictReader(file)] == ["3", "2", "1"]
    assert cv2.VideoCapture(str(tmp_path / "out" / "clip.mp4")).get(cv2.CAP_PROP_FRAME_WIDTH) == 128


def test_only_the_classes_that_are_looked_for_are_found(clip, tmp_path):
    everything = answer("predict", "--source", clip, *SMALL, "--no-save")
    (name, count), *others = everything["counts"].items()
    some = answer("predict", "--source", clip, *SMALL, "--no-save", "--classes", name)
    assert some["counts"] == {name: count} and others


def test_nothing_is_written_where_nothing_is_to_be_saved(clip, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    summary = answer("predict", "--source", clip, *SMALL, "--no-save")
    assert summary["files"] == [] and summary["json"] is None and summary["frames"] == 12
    assert [path.name for path in tmp_path.iterdir()] == ["clip.avi"]


def test_two_cameras_run_until_the_service_is_stopped(tmp_path):
    images = [cv2.imencode(".jpg", np.full((48, 64, 3), level, np.uint8))[1].tobytes() for level in range(0, 250, 10)]
    with running(CameraServer(images)) as one, running(CameraServer(images)) as other:
        command = [sys.executable, "-m", "detect.cli.main", "predict", "--source", one.url, "--source", other.url]
        command += [*map(str, SMALL), "--out", str(tmp_path / "out"), "--segment", "1h", "--quiet"]
        service = subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
        until = time.monotonic() + 60
        while time.monotonic() < until and service.poll() is None and len(lines_in(tmp_path / "out")) < 20:
            time.sleep(0.1)
        service.send_signal(signal.SIGTERM)
        _, said = service.communicate(timeout=30)
    assert service.returncode == 143 and "interrupted after" in said and "Traceback" not in said
    lines = lines_in(tmp_path / "out")
    assert len(lines) >= 20 and all(json.loads(line)["clock"] for line in lines)
    videos = sorted((tmp_path / "out").glob("*.mp4"))
    assert len(videos) == 2 and all(cv2.VideoCapture(str(path)).read()[0] for path in videos)


def lines_in(folder):
    return [line for path in folder.glob("*.jsonl") for line in path.read_text().splitlines()]
