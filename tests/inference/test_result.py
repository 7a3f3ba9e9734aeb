"""What a `Result` tells about itself, and the values it is turned into."""

import dataclasses
import json
import sys
from base64 import b64decode
from datetime import datetime
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from detect.errors import UserError
from detect.inference.result import Result
from detect.inference.sinks.json_sinks import JsonSink
from detect.inference.sources import Frame
from detect.ops.image import read_image

NAMES = ("person", "bicycle", "dog")


@pytest.fixture
def result():
    """A dog, a person and another dog."""
    boxes = np.array([[4, 5, 30.12345, 40], [0, 0, 10, 20], [50, 8, 60, 44]], np.float32)
    frame = Frame(np.full((48, 64, 3), 90, dtype=np.uint8), "clip.mp4", 3, 0.12, 25.0, 100, "video")
    return Result(boxes, np.array([0.9, 0.5, 0.3], np.float32), np.array([2, 0, 2]), NAMES, frame)


@pytest.fixture
def empty():
    frame = Frame(np.full((48, 64, 3), 90, dtype=np.uint8), "a.jpg")
    return Result(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64), NAMES, frame)


def test_repr_is_one_short_line(result):
    assert repr(result) == "<Result clip.mp4 64x48: 1 person, 2 dog>"
    strange = dataclasses.replace(result, frame=Frame(result.image, "a\n\x1b[31m.jpg"))
    assert repr(strange) == r"<Result a\n\x1b[31m.jpg 64x48: 1 person, 2 dog>"


def test_iteration_gives_box_score_and_name_best_first(result):
    found = list(result)
    assert len(result) == len(found) == 3
    assert [(score, name) for _, score, name in found] == [
        (pytest.approx(0.9), "dog"),
        (pytest.approx(0.5), "person"),
        (pytest.approx(0.3), "dog"),
    ]
    for (box, score, name), expected in zip(found, result.boxes, strict=True):
        np.testing.assert_array_equal(box, expected)
        assert type(score) is float and type(name) is str


def test_counts_are_in_the_order_of_the_classes(result):
    assert list(result.counts().items()) == [("person", 1), ("dog", 2)]


def test_image_and_source_are_those_of_the_frame(result):
    assert result.image is result.frame.image and result.source == "clip.mp4"


def test_filter_keeps_classes_in_order(result):
    dogs = result.filter(classes=["dog"])
    np.testing.assert_array_equal(dogs.boxes, result.boxes[[0, 2]])
    assert dogs.labels.tolist() == [2, 2] and dogs.names == NAMES and dogs.frame is result.frame
    assert result.filter(classes="person").counts() == {"person": 1}
    assert len(result.filter(classes={"dog", "person"})) == 3 and len(result.filter(classes=[])) == 0
    assert len(result) == 3


def test_filter_keeps_scores_above_the_least(result):
    assert result.filter(min_score=0.4).scores.tolist() == pytest.approx([0.9, 0.5])
    assert len(result.filter(min_score=0.3)) == 2  # as `Predictor`: at or below it is left out
    assert len(result.filter(classes=["dog"], min_score=0.4)) == 1
    assert len(result.filter()) == 3


def test_filter_leaves_the_drawn_image_of_the_whole_behind(result):
    assert (result.annotated != result.filter(classes=[]).annotated).any()
    np.testing.assert_array_equal(result.filter(classes=[]).annotated, result.image)


@pytest.mark.parametrize("classes", ["dgo", ["person", "dgo"]])
def test_unknown_class_is_one_sentence_with_the_nearest(result, classes):
    with pytest.raises(UserError, match=r"^there is no class 'dgo'; did you mean 'dog'\?$"):
        result.filter(classes=classes)


def test_plot_leaves_the_image_alone_and_may_be_drawn_on(result):
    drawn = result.plot()
    assert drawn.shape == (48, 64, 3) and drawn.dtype == np.uint8
    assert (drawn != 90).any() and (result.image == 90).all()
    drawn[:] = 0
    assert (result.plot() != 0).any() and (result.annotated != 0).any()


def test_annotated_is_plot_drawn_once_and_read_only(result):
    np.testing.assert_array_equal(result.annotated, result.plot())
    assert result.annotated is result.annotated
    with pytest.raises(ValueError, match="read-only"):
        result.annotated[0] = 0


@pytest.mark.parametrize(("suffix", "format_name"), [("png", "PNG"), ("jpg", "JPEG"), ("webp", "WEBP")])
def test_suffix_names_the_format_that_is_saved(result, tmp_path, suffix, format_name):
    path = result.save(str(tmp_path / f"drawn.{suffix}"))
    assert path == tmp_path / f"drawn.{suffix}"
    with Image.open(path) as image:
        assert image.format == format_name and image.size == (64, 48)
    if suffix == "png":
        np.testing.assert_array_equal(read_image(path), result.plot())


def test_unknown_format_is_one_sentence(result, tmp_path):
    with pytest.raises(UserError, match=r"cannot write '\.pgn' images; did you mean '\.png'"):
        result.save(tmp_path / "drawn.pgn")


def test_plain_values_are_those_of_the_json_file(result, empty, tmp_path):
    with JsonSink(tmp_path / "detections.json", NAMES) as sink:
        sink.write(result)
        sink.write(empty)
    frames = json.loads((tmp_path / "detections.json").read_text())["frames"]
    assert frames == [result.to_dict(), empty.to_dict()] == [json.loads(r.to_json()) for r in (result, empty)]
    assert "\n" not in result.to_json()


def test_plain_values_are_rounded_and_named(result):
    plain = result.to_dict()
    detections = plain.pop("detections")
    assert plain == {"source": "clip.mp4", "frame": 3, "time": 0.12, "width": 64, "height": 48}
    assert detections[0] == {"box": [4.0, 5.0, 30.123, 40.0], "score": 0.9, "label": 2, "name": "dog"}
    assert [found["name"] for found in detections] == ["dog", "person", "dog"]


def test_nothing_found_is_no_trouble(empty, tmp_path):
    assert len(empty) == 0 and list(empty) == [] and empty.counts() == {}
    assert repr(empty) == "<Result a.jpg 64x48: nothing found>"
    assert len(empty.filter(classes=["dog"], min_score=0.5)) == 0
    np.testing.assert_array_equal(empty.plot(), empty.image)
    np.testing.assert_array_equal(read_image(empty.save(tmp_path / "a.png")), empty.image)
    assert empty.to_dict()["detections"] == [] and empty.to_dict()["time"] is None


def test_missing_supervision_is_one_sentence(result, monkeypatch):
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(UserError, match=r"^supervision is not installed; pip install supervision$"):
        result.to_supervision()


def test_supervision_gets_equal_boxes_scores_and_classes(result, empty):
    pytest.importorskip("supervision")
    found = result.to_supervision()
    np.testing.assert_array_equal(found.xyxy, result.boxes)
    np.testing.assert_array_equal(found.confidence, result.scores)
    np.testing.assert_array_equal(found.class_id, result.labels)
    assert found.data["class_name"].tolist() == ["dog", "person", "dog"]
    assert len(empty.to_supervision()) == 0


def test_supervision_is_handed_what_it_asks_for(result, monkeypatch):
    class Stub:
        @staticmethod
        def Detections(**fields):
            return fields

    monkeypatch.setitem(sys.modules, "supervision", Stub)
    found = result.to_supervision()
    np.testing.assert_array_equal(found["xyxy"], result.boxes)
    np.testing.assert_array_equal(found["confidence"], result.scores)
    np.testing.assert_array_equal(found["class_id"], result.labels)
    assert found["data"]["class_name"].tolist() == ["dog", "person", "dog"]


def test_a_notebook_shows_the_image_and_what_was_found(result):
    one = dataclasses.replace(result, frame=Frame(np.full((100, 3000, 3), 90, np.uint8), "<b>.jpg"))
    html = one._repr_html_()
    encoded = html.split("base64,")[1].split('"')[0]
    image = np.asarray(Image.open(BytesIO(b64decode(encoded))))
    assert image.shape == (43, 1280, 3) and (image != 90).any()
    assert "&lt;b&gt;.jpg 3000x100: " in html and "<b>" not in html


def test_live_results_have_the_clock_and_what_was_followed_its_track():
    frame = Frame(np.zeros((48, 64, 3), np.uint8), "cam", 3, 0.3, medium="live", clock=1_700_000_000.25)
    one = Result(np.zeros((2, 4)), np.zeros(2), np.zeros(2, int), ("cat",), frame, np.array([7, 0]))
    plain = json.loads(one.to_json())
    assert datetime.fromisoformat(plain["clock"]).timestamp() == 1_700_000_000.25
    assert [found["track"] for found in plain["detections"]] == [7, None]
    assert one.filter(min_score=-1).tracks.tolist() == [7, 0] and one.only(np.array([1])).tracks.tolist() == [0]


def test_another_annotated_image_can_be_given(result):
    one, other = result, np.zeros((9, 9, 3), np.uint8)
    shown = one.shown_as(other)
    assert shown.annotated is other and one.annotated is not other and not other.flags.writeable
    assert shown.frame is one.frame and shown.filter().annotated.shape == one.image.shape
