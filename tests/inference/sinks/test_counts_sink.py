"""Counts, second by second."""

import csv
from dataclasses import replace

import numpy as np

from detect.inference.counting import Counts, Line
from detect.inference.sinks.counts_sink import CountsSink
from detect.inference.sinks.output_names import OutputNames
from tests.inference.made_results import result

CLASSES = [(0, "cat"), (1, "dog, small")]
LINES = (Line((0, 0), (1, 1)), Line((0, 0), (2, 2)))


def rows_in(folder):
    with open(folder / "counts.csv", newline="") as file:
        return list(csv.reader(file))


def dogs(count, index, time, **about):
    return result(boxes=[[1, 2, 3, 4]] * count, source="clip.avi", index=index, time=time, medium="video", **about)


def test_a_second_has_the_most_that_a_frame_of_it_has(tmp_path):
    with CountsSink(OutputNames(tmp_path), CLASSES) as sink:
        for index, count in enumerate([1, 3, 0, 2, 2, 0, 0, 5]):
            sink.write(dogs(count, index, index / 3))
        assert len(rows_in(tmp_path)) == 3  # what is over is on the disk
    assert rows_in(tmp_path) == [
        ["source", "time", "frames", "cat", "dog, small"],
        ["clip.avi", "0", "3", "0", "3"],
        ["clip.avi", "1", "3", "0", "2"],
        ["clip.avi", "2", "2", "0", "5"],
    ]


def test_crossings_are_those_of_the_second_and_zones_have_the_most(tmp_path):
    zones = {"door\n": np.zeros((3, 2), np.float32)}
    with CountsSink(OutputNames(tmp_path), CLASSES[1:], lines=2, zones=list(zones)) as sink:
        for index, (crossed, inside) in enumerate([(0, 1), (2, 3), (2, 0), (3, 0), (3, 2)]):
            counts = Counts(LINES, ((crossed, 0), (0, crossed // 2)), zones, (inside,))
            sink.write(replace(dogs(1, index, index / 2), counted=counts))
    header, *rows = rows_in(tmp_path)
    assert header[4:] == ["line 1 in", "line 1 out", "line 2 in", "line 2 out", "zone door\\n"]
    assert [row[1:] for row in rows] == [
        ["0", "2", "1", "2", "0", "0", "1", "3"],
        ["1", "2", "1", "1", "0", "0", "0", "0"],
        ["2", "1", "1", "0", "0", "0", "0", "2"],
    ]


def test_live_sources_at_once_have_rows_of_their_own_by_the_clock(tmp_path):
    with CountsSink(OutputNames(tmp_path), CLASSES) as sink:
        for index in range(4):
            for item in (0, 1):
                clock = 1_700_000_000.5 + index / 2
                one = result(source=f"cam{item}", index=index, time=index / 2, medium="live", clock=clock, item=item)
                sink.write(one if item else one.only(np.zeros(1, bool)))
    _, *rows = rows_in(tmp_path)
    assert [row[0] for row in rows] == ["cam0", "cam1"] * 3 and [row[2] for row in rows] == [
        "1",
        "1",
        "2",
        "2",
        "1",
        "1",
    ]
    assert [row[4] for row in rows] == ["0", "1"] * 3
    assert rows[0][1][17:19] == "20" and rows[2][1][17:19] == "21" and len(rows[0][1]) == 25  # ISO 8601 to the second


def test_images_and_the_next_video_have_rows_of_their_own(tmp_path):
    with CountsSink(OutputNames(tmp_path), CLASSES) as sink:
        sink.write(result(source="a.jpg"))
        sink.write(result(source="b.jpg", item=1))
        for item in (2, 3):
            for index in range(2):
                sink.write(dogs(1, index, float(index), item=item))
    assert [row[:3] for row in rows_in(tmp_path)[1:]] == [
        ["a.jpg", "", "1"], ["b.jpg", "", "1"], *[["clip.avi", str(second), "1"] for second in (0, 1)] * 2,
    ]  # fmt: skip
