"""All sinks of a run are finished."""

import cv2
import pytest

from detect.inference.sinks.image_sinks import ImageSink
from detect.inference.sinks.output_names import OutputNames
from detect.inference.sinks.sink import opened
from detect.inference.window import WindowSink
from tests.inference.made_results import result


def test_annotated_image_is_drawn_once_for_all_sinks(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr("detect.inference.result.draw", lambda image, *_: drawn.append(1) or image.copy())
    monkeypatch.setattr(cv2, "imshow", lambda *_: None)
    monkeypatch.setattr(cv2, "waitKey", lambda _: -1)
    names = OutputNames(tmp_path)
    sinks = [ImageSink(names), ImageSink(names), WindowSink()]
    for one in (result(), result(source="b.jpg")):
        for sink in sinks:
            sink.write(one)
    assert len(drawn) == 2 and len(names.taken) == 4


def test_opened_sinks_are_finished_last_first_whatever_happens():
    class Noted:
        def __init__(self, name):
            self.name = name

        def __enter__(self):
            events.append(f"open {self.name}")

        def __exit__(self, *_):
            events.append(f"finish {self.name}")

        def write(self, _):
            pass

    class Plain:
        def write(self, _):
            pass

    events = []
    with pytest.raises(RuntimeError), opened([Noted("a"), Plain(), Noted("b")]):
        raise RuntimeError
    assert events == ["open a", "open b", "finish b", "finish a"]
