"""What crosses lines and stands in zones, against crossings that are known."""

import json

import numpy as np
import pytest

from detect.errors import UserError
from detect.inference.counting import FORGOTTEN, Counter, Line, is_inside, read_zones

DOWN = Line((100, 0), (100, 200))  # who walks along it has larger x on the left hand


def boxes_at(*feet, width=20.0, height=40.0):
    """Boxes whose lower edges have their middles there."""
    return np.array([[x - width / 2, y - height, x + width / 2, y] for x, y in feet], np.float32).reshape(-1, 4)


def walk(counter, paths, step=0.1):
    """The last `Counts` after all tracks have gone their ways, a point a frame."""
    for number, feet in enumerate(zip(*paths.values(), strict=True)):
        counts = counter.count(boxes_at(*feet), np.array(list(paths)), number * step)
    return counts


@pytest.mark.parametrize(
    ("way", "crossed"),
    [
        ([(150, 100), (120, 100), (80, 100), (50, 100)], (1, 0)),  # from the left to the right of who walks down
        ([(50, 100), (80, 100), (120, 100), (150, 100)], (0, 1)),
        ([(150, 100), (50, 100), (150, 100), (50, 100)], (2, 1)),
        ([(150, 250), (50, 250), (50, 100), (50, 50)], (0, 0)),  # past its end
        ([(150, 100), (100, 100), (150, 100), (150, 120)], (0, 0)),  # up to it and back
        ([(150, 100), (100.4, 100), (99.7, 100), (100.3, 100)], (0, 0)),  # stands on it
        ([(150, 100), (100.4, 100), (99.7, 100), (60, 100)], (1, 0)),  # stood on it, then went on
        ([(50, 150), (50, 20), (50, 150), (50, 20)], (0, 0)),  # along it
    ],
)
def test_a_crossing_counts_once_and_in_its_direction(way, crossed):
    assert walk(Counter([DOWN]), {7: way}).crossed == (crossed,)


def test_tracks_and_lines_are_counted_for_themselves():
    across = Line((0, 100), (200, 100))
    paths = {1: [(150, 50), (50, 50)], 2: [(50, 50), (150, 50)], 3: [(150, 150), (50, 50)], 0: [(150, 50), (50, 50)]}
    assert walk(Counter([DOWN, across]), paths).crossed == ((2, 1), (0, 1))  # 0 is no track


def test_a_track_that_was_hidden_has_crossed():
    counter = Counter([DOWN])
    counter.count(boxes_at((150, 100)), np.array([5]), 0.0)
    counter.count(boxes_at(), np.zeros(0, int), 0.1)
    assert counter.count(boxes_at((60, 100)), np.array([5]), 0.2).crossed == ((1, 0),)


def test_tracks_of_days_take_no_memory():
    counter = Counter([DOWN])
    for number in range(5000):
        counter.count(boxes_at((150, 100)), np.array([number + 1]), number * 1.0)
    assert len(counter._last) <= FORGOTTEN + 1


def test_a_zone_counts_feet_not_heads():
    zones = {"door": np.array([[0, 100], [100, 100], [100, 200], [0, 200]], np.float32)}
    counts = Counter(zones=zones).count(boxes_at((50, 150), (50, 90), (99, 199), (150, 150)), None, 0.0)
    assert counts.inside == (2,)
    assert counts.to_dict() == {"zones": [{"zone": "door", "inside": 2}]}


def test_counts_as_plain_values():
    counts = walk(Counter([DOWN]), {7: [(150, 100), (50, 100)]})
    assert counts.to_dict() == {"lines": [{"line": [100, 0, 100, 200], "in": 1, "out": 0}]}
    assert Counter().count(boxes_at((1, 1)), None, 0.0).to_dict() == {}


def test_a_line_is_four_numbers():
    assert Line.of(" 1, 2.5,3,-4") == Line((1, 2.5), (3, -4))
    for wrong in ("1,2,3", "1,2,3,x", "1,2,1,2", "1,2,3,nan", "1,2,3,1e30", "", "1;2;3;4"):
        with pytest.raises(UserError, match="give x1,y1,x2,y2 in px of the image") as caught:
            Line.of(wrong)
        assert caught.value.argument == "line"


def test_zones_are_read_from_json(tmp_path):
    (tmp_path / "z.json").write_text(
        json.dumps({"door": [[0, 0], [10, 0], [10, 10.5]], "hall": [[0, 0], [1, 0], [1, 1]]})
    )
    zones = read_zones(tmp_path / "z.json")
    assert list(zones) == ["door", "hall"] and zones["door"].tolist() == [[0, 0], [10, 0], [10, 10.5]]
    assert is_inside(zones["door"], (9, 5)) and not is_inside(zones["door"], (1, 9))


WRONG = (
    "[[0, 0], [1, 1]]",
    "[[0, 0], [1, 1], [2]]",
    '"door"',
    "[[0, 0], [1, 1], [2, 1e9]]",
    "[[0, 0], [1, 1], [NaN, 2]]",
)


@pytest.mark.parametrize("content", ["[]", "{}", "3", *(f'{{"a": {zone}}}' for zone in (*WRONG, "null"))])
def test_what_is_no_zone_is_one_sentence(tmp_path, content):
    (tmp_path / "z.json").write_text(content)
    with pytest.raises(UserError, match=r"z\.json: "):
        read_zones(tmp_path / "z.json")
