"""Outputs never take the place of a file that is none of ours."""

import time

import numpy as np
import pytest

from detect.errors import UserError
from detect.inference.result import Result
from detect.inference.sinks.json_sinks import JsonSink
from detect.inference.sinks.output_names import FrameNames, OutputNames, outputs_beside
from detect.inference.sources import Frame


def test_outputs_of_one_name_do_not_replace_each_other(tmp_path):
    names = OutputNames(tmp_path / "out")
    sources = ["x/a.jpg", "x/a.png", "y/a.jpg", "y/A.JPG", "a-2.jpg", "b.gif"]
    assert [names.take(source).name for source in sources] == [
        "a.jpg", "a.png", "a-2.jpg", "A-3.jpg", "a-2-2.jpg", "b.png",
    ]  # fmt: skip
    assert names.take("x/clip.avi", ".mp4") != names.take("x/clip.mov", ".mp4")


LONG = "x" * 248


@pytest.mark.parametrize(
    ("sources", "names"),
    [
        (["a.jpg", "a.png", "b.jpg"], ["a", "a-2", "b"]),
        (["clip.mp4", "clip-000001.jpg", "clip.avi"], ["clip-000001", "clip-000001-2", "clip-2-000001"]),
        (["clip-000001.jpg", "Clip.mp4", "clip-000001.png"], ["clip-000001", "Clip-2-000001", "clip-000001-2"]),
        (["clip-2-000001.jpg", "clip.mp4", "CLIP.mp4"], ["clip-2-000001", "clip-000001", "CLIP-3-000001"]),
        (["day-20240131.jpg", "day-20240201.jpg"], ["day-20240131", "day-20240201"]),
    ],
)
def test_no_two_frames_have_one_name(sources, names):
    of_a_run = FrameNames()
    media = ["image" if source[-3:] in ("jpg", "png") else "video" for source in sources]
    frames = [Frame(None, s, 1, medium=m, item=k) for k, (s, m) in enumerate(zip(sources, media, strict=True))]
    assert [of_a_run.of(frame) for frame in frames] == names == [of_a_run.of(frame) for frame in frames]


def test_long_names_that_differ_at_their_end_stay_apart():
    of_a_run = FrameNames()
    names = [of_a_run.of(Frame(None, f"{LONG}{end}.jpg", item=k)) for k, end in enumerate("ab")]
    assert len(set(names)) == 2 and all(len(name) + len("-00000.jpeg") <= 255 for name in names)


def test_a_source_is_never_replaced(tmp_path):
    for name in ("a.png", "a-2.png"):
        (tmp_path / name).touch()
    earlier(tmp_path, ["a.png", "a-2.png", "a-3.png"])
    names = OutputNames(tmp_path, [tmp_path / "a.png", str(tmp_path / "a-2.png"), "not there"])
    assert names.take(str(tmp_path / "a.png")).name == "a-3.png"


def earlier(folder, files):
    """The JSON file of an earlier run that wrote `files`."""
    with JsonSink(folder / "detections.json", ("cat",), lambda: files) as sink:
        sink.write(Result(np.zeros((0, 4)), np.zeros(0), np.zeros(0, int), ("cat",), Frame(np.zeros((9, 9, 3)), "a")))


def test_outputs_of_an_earlier_run_are_replaced_and_nothing_else(tmp_path):
    earlier(tmp_path, ["a.png", "clip.mp4"])
    for name in ("a.png", "clip.mp4", "b.png", "film.mp4", "B-2.png"):
        (tmp_path / name).touch()
    names = OutputNames(tmp_path)
    taken = [names.take("x/a.png"), names.take("clip.avi", ".mp4"), names.take("b.png"), names.take("film.avi", ".mp4")]
    assert [path.name for path in taken] == ["a.png", "clip.mp4", "b-2.png", "film-2.mp4"]
    assert names.json == tmp_path / "detections.json"
    assert names.ours() == ["a.png", "b-2.png", "clip.mp4", "film-2.mp4"]


@pytest.mark.parametrize("content", ["", "[]", '{"frames": []}', '{"frames": [\n{}\n], "names": 3, "files": 3}', "\0"])
def test_a_json_file_of_somebody_else_stays(tmp_path, content):
    (tmp_path / "detections.json").write_text(content)
    (tmp_path / "a.png").touch()
    for _ in range(2):  # the second time it is ours
        names = OutputNames(tmp_path)
        assert names.json == tmp_path / "detections-2.json" and outputs_beside(tmp_path / "detections.json") is None
        assert names.take("a.png").name == "a-2.png"
        earlier(tmp_path, [])
        (tmp_path / "detections.json").rename(tmp_path / "detections-2.json")
        (tmp_path / "detections.json").write_text(content)


def test_many_sources_of_one_name_are_named_quickly(tmp_path):
    names = OutputNames(tmp_path)
    start = time.perf_counter()
    assert len({names.take(f"{i}/image.jpg") for i in range(3000)}) == 3000
    assert time.perf_counter() - start < 2


def test_address_makes_a_harmless_file_name(tmp_path):
    names = OutputNames(tmp_path)
    assert names.take("rtsp://cam.local/../../live 1", ".mp4").name == "cam.local_.._.._live_1.mp4"
    assert names.take("rtsp:///", ".mp4").parent == tmp_path


def test_folder_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        OutputNames(tmp_path / "file" / "out")
