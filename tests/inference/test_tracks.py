"""Ids that stay and crossings that are known, in a made-up video."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from detect.errors import UserError
from detect.inference.counting import Line
from detect.inference.live import Watching
from detect.inference.options import Options
from detect.inference.pipeline import detect_files
from detect.inference.tracks import Tracker
from tests.inference.made_results import result
from tests.inference.made_videos import write_video
from tests.inference.stand_in import StandIn

WIDTH, HEIGHT, FRAMES = 320, 240, 60
# what moves: (grey level, class, place of the middle of its lower edge in px by frame)
MOVERS = (
    (100, 0, lambda i: (20 + 4.5 * i, 90)),  # to the right, across the line at x = 160
    (150, 0, lambda i: (300 - 4.5 * i, 150)),  # to the left
    (200, 1, lambda i: (120 - abs(i - 30), 220)),  # comes near and turns
    (250, 0, lambda i: (20 + 4.5 * i, 200)),  # to the right
)
SIDE = 24


class Seer(StandIn):
    """Finds the squares of `MOVERS` by their grey levels; one is not found in every seventh frame."""

    def __init__(self, blind=True):
        super().__init__()
        self.frame, self.blind = -1, blind

    def found(self, image):
        self.frame += 1
        boxes, labels = [], []
        for number, (level, label, _) in enumerate(MOVERS):
            rows, columns = np.nonzero(np.abs(image[..., 0].astype(int) - level) < 12)
            if len(rows) > 50 and not (self.blind and self.frame % 7 == number):
                boxes.append([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
                labels.append(label)
        order = np.random.default_rng(self.frame).permutation(len(boxes))  # detectors keep no order
        boxes = np.array(boxes, np.float32).reshape(-1, 4)[order]
        return boxes, np.linspace(0.9, 0.5, len(boxes), dtype=np.float32), np.array(labels, int)[order]


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    images = []
    for i in range(FRAMES):
        image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        for level, _, place in MOVERS:
            x, y = map(round, place(i))
            image[y - SIDE : y, max(x - SIDE // 2, 0) : x + SIDE // 2] = level
        images.append(image)
    return write_video(tmp_path_factory.mktemp("tracks") / "clip.avi", images, fps=10, code="MJPG")


def rows_of(folder):
    return [json.loads(line) for line in (folder / "detections.jsonl").read_text().splitlines()]


def levels_of(rows):
    """The sets of tracks that each mover had, by where it is in each frame."""
    tracks = [set() for _ in MOVERS]
    for row in rows:
        for found in row["detections"]:
            left, _, right, bottom = found["box"]
            places = [place(row["frame"]) for _, _, place in MOVERS]
            near = [abs((left + right) / 2 - x) + abs(bottom - y) for x, y in places]
            tracks[int(np.argmin(near))].add(found["track"])
    return tracks


@pytest.mark.parametrize("blind", [False, True])
def test_numbers_stay_and_crossings_are_counted(video, tmp_path, blind):
    options = Options(outputs=["jsonl", "csv", "annotated"], track=True, lines=[Line((160, 0), (160, HEIGHT))])
    options = replace(options, zones={"left half": np.array([[0, 0], [160, 0], [160, 240], [0, 240]], np.float32)})
    lines = []
    detect_files(Seer(blind), video, tmp_path, replace(options, verbose=True), log=lines.append)
    rows = rows_of(tmp_path)
    tracks = [of - {None} for of in levels_of(rows)]
    assert [len(of) for of in tracks] == [1, 1, 1, 1] and set.union(*tracks) == {1, 2, 3, 4}
    assert rows[-1]["lines"] == [{"line": [160, 0, 160, HEIGHT], "in": 1, "out": 2}]  # left is where x is larger
    assert rows[0]["zones"] == [{"zone": "left half", "inside": 3}] or blind
    if not blind:  # at the end one has gone left, two right, one has turned
        assert rows[-1]["zones"] == [{"zone": "left half", "inside": 2}]
    assert "line 1: 1 in, 2 out, left half: " in lines[-1]
    with open(tmp_path / "counts.csv", newline="") as file:
        table = list(csv.DictReader(file))
    assert [sum(int(row[f"line 1 {way}"]) for row in table) for way in ("in", "out")] == [1, 2]
    assert len(table) == FRAMES / 10 and {row["person"] for row in table} == {"3"}


def test_numbers_stay_where_frames_are_left_out(video, tmp_path):
    options = Options(outputs=["jsonl"], track=True, watching=Watching(every=3))
    detect_files(Seer(blind=False), video, tmp_path, options, log=lambda _: None)
    assert [len(of - {None}) for of in levels_of(rows_of(tmp_path))] == [1, 1, 1, 1]


def test_each_source_has_numbers_of_its_own(video, tmp_path):
    options = Options(outputs=["jsonl"], lines=[Line((160, 0), (160, HEIGHT))])
    detect_files(Seer(blind=False), [video, video], tmp_path, options, log=lambda _: None)
    rows = rows_of(tmp_path)
    assert len(rows) == 2 * FRAMES and rows[FRAMES]["frame"] == 0
    assert rows[FRAMES]["lines"][0]["in"] == 0 and rows[-1]["lines"][0] == rows[FRAMES - 1]["lines"][0]
    assert {found["track"] for found in rows[FRAMES + 5]["detections"]} == {1, 2, 3, 4}


def test_classes_that_are_not_looked_for_are_neither_followed_nor_counted(video, tmp_path):
    options = Options(outputs=["jsonl"], classes=["dog"], lines=[Line((160, 0), (160, HEIGHT))])
    summary = detect_files(Seer(blind=False), video, tmp_path, options, log=lambda _: None)
    assert summary["counts"] == {"dog": FRAMES}
    assert rows_of(tmp_path)[-1]["lines"][0] == {"line": [160, 0, 160, HEIGHT], "in": 0, "out": 0}
    with pytest.raises(UserError, match="there is no class 'dgo'; did you mean 'dog'") as caught:
        detect_files(Seer(), video, tmp_path / "none", Options(classes=["dgo"]))
    assert caught.value.argument == "classes" and not (tmp_path / "none").exists()


def test_the_order_of_detections_stays_and_nothing_is_left_out():
    tracker = Tracker(0.25)
    boxes = [[i * 20, 0, i * 20 + 10, 10] for i in range(5)]
    for index in range(4):
        one = result(boxes=boxes, index=index, time=index / 10, medium="video")
        scores = np.array([0.9, 0.8, 0.3, 0.26, 0.25], np.float32)
        followed = tracker.follow(replace(one, scores=scores))
        np.testing.assert_array_equal(followed.boxes, one.boxes)
    assert followed.tracks.tolist()[2:] == [0, 0, 0] and set(followed.tracks.tolist()[:2]) == {1, 2}
    assert followed.only(np.array([1])).tracks.tolist() == [followed.tracks[1]]
    assert len(tracker.follow(result(boxes=(), index=4, time=0.4, medium="video")).tracks) == 0


def test_a_missing_library_names_the_extra(video, tmp_path, monkeypatch):
    from detect.extras import not_installed

    monkeypatch.setitem(__import__("sys").modules, "trackers", None)
    with pytest.raises(ModuleNotFoundError) as caught:
        detect_files(Seer(), video, tmp_path / "none", Options(track=True), log=lambda _: None)
    assert "pip install 'csp-detect[track]'" in str(not_installed(caught.value))
