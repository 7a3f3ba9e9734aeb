"""The whole way from files to annotated files."""

import io
import json
import shutil
import sys
import threading
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from PIL import Image

from detect.errors import UserError
from detect.inference.live import Watching
from detect.inference.options import Options
from detect.inference.pipeline import detect_files
from detect.inference.reading import read_frames
from detect.inference.result import describe
from detect.inference.sinks.video_writer import VideoWriter
from detect.inference.sources import Frame, find_items
from detect.ops.image import read_image, write_image
from tests.inference.stand_in import StandIn


class OneDog(StandIn):
    """Finds one dog in everything."""

    def found(self, image):
        return np.array([[4, 4, 30, 30]], np.float32), np.array([0.5]), np.array([1])


def cameras(items, _on_error, on_note, *_):
    """Six frames of every camera, in turns, two of three being dropped."""
    for index in range(6):
        if index == 3:
            on_note("webcam0: sends no more images; connecting again")
        for number, item in enumerate(items):
            image = np.full((48, 64, 3), 100, dtype=np.uint8)
            frame = Frame(image, item.name, index, index / 5, 5.0, None, "live", 2 * index)
            yield replace(frame, clock=1_700_000_000 + index / 5, item=number)


@pytest.fixture
def pretended(monkeypatch):
    """Live sources are `cameras`."""
    monkeypatch.setattr("detect.inference.pipeline.read_frames", cameras)


def write_video(path, fps=10, code="MJPG", images=None):
    noise = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*code), fps, (64, 48))
    for image in images or [noise] * 20:
        writer.write(image)
    writer.release()


def frames_in(path):
    capture, count = cv2.VideoCapture(str(path)), 0
    while capture.read()[0]:
        count += 1
    return count, capture.get(cv2.CAP_PROP_FPS)


@pytest.fixture
def folder(tmp_path):
    """Images and videos of which some are broken."""
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.jpg", "a.png", "z.png"):
        write_image(folder / name, np.full((60, 80, 3), 100, dtype=np.uint8))
    (folder / "broken.jpg").write_bytes((folder / "a.jpg").read_bytes()[:-40])
    write_video(folder / "clip.avi")
    return folder


def test_folder_with_a_broken_image_is_done_but_for_it(folder, tmp_path):
    lines = []
    summary = detect_files(OneDog(), folder, tmp_path / "out", log=lines.append)
    assert [Path(path).name for path in summary["files"]] == ["a.jpg", "a.png", "z.png"]
    assert summary["frames"] == summary["detections"] == 3 and summary["counts"] == {"dog": 3}
    (error,) = summary["errors"]
    assert error.startswith(str(folder / "broken.jpg"))
    assert f"[1/4] {folder}/a.jpg 80x60: 1 dog" in lines and f"error: {error}" in lines
    assert summary["fps"] > 0
    for path in summary["files"]:
        assert (read_image(path) != 100).any()
    assert (read_image(folder / "a.png") == 100).all()


def test_images_and_videos_together(folder, tmp_path):
    sources = [folder / "z.png", folder / "clip.avi", folder / "clip.avi", folder / "a.png"]
    summary = detect_files(OneDog(), sources, tmp_path / "out", log=lambda _: None)
    assert [Path(path).name for path in summary["files"]] == ["z.png", "clip.mp4", "clip-2.mp4", "a.png"]
    assert frames_in(summary["files"][1]) == frames_in(summary["files"][2]) == (20, 10.0)
    content = json.loads(Path(summary["json"]).read_text())
    assert len(content["frames"]) == summary["frames"] == 42 and content["names"] == ["person", "dog"]
    assert content["frames"][5]["time"] == pytest.approx(0.4) and content["frames"][5]["frame"] == 4
    assert content["frames"][5]["detections"][0]["box"] == [4, 4, 30, 30]


def test_sources_beside_the_outputs_are_not_replaced(folder):
    before = {path: path.read_bytes() for path in folder.iterdir()}
    write_video(folder / "clip.mp4", code="mp4v")
    before[folder / "clip.mp4"] = (folder / "clip.mp4").read_bytes()
    summary = detect_files(OneDog(), str(folder / "*"), folder, log=lambda _: None)
    assert len(summary["files"]) == 5
    for path, content in before.items():
        assert path.read_bytes() == content


def test_video_that_breaks_off_keeps_its_frames(folder, tmp_path):
    whole = (folder / "clip.avi").read_bytes()
    (folder / "clip.avi").write_bytes(whole[: len(whole) // 2])
    summary = detect_files(OneDog(), folder / "clip.avi", tmp_path / "out", log=lambda _: None)
    assert "breaks off after frame" in summary["errors"][0]
    assert frames_in(summary["files"][0])[0] == summary["frames"] > 5


def test_ctrl_c_finishes_the_files(folder, tmp_path):
    lines = []
    with pytest.raises(KeyboardInterrupt):
        detect_files(OneDog(interrupt_at=7), folder / "clip.avi", tmp_path / "out", log=lines.append)
    assert frames_in(tmp_path / "out" / "clip.mp4")[0] == 7
    assert len(json.loads((tmp_path / "out" / "detections.json").read_text())["frames"]) == 7
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["clip.mp4", "detections.json"]
    assert "interrupted after 7 frames" in lines[-1]


def test_no_json_where_none_is_wanted(folder, tmp_path):
    summary = detect_files(
        OneDog(), folder / "z.png", tmp_path / "out", Options(outputs=["annotated"]), log=lambda _: None
    )
    assert summary["json"] is None and [p.name for p in (tmp_path / "out").iterdir()] == ["z.png"]


def test_missing_source_makes_no_folder(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        detect_files(OneDog(), tmp_path / "gone.jpg", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_verbose_tells_of_every_frame_of_a_video(folder, tmp_path):
    lines = []
    detect_files(OneDog(), folder / "clip.avi", tmp_path / "out", Options(verbose=True), log=lines.append)
    assert len(lines) == 20 and lines[3] == f"{folder}/clip.avi frame 4 of 20: 1 dog"


def test_bar_is_drawn_only_on_a_terminal(folder, tmp_path, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    for screen, drawn in [(Terminal(), True), (io.StringIO(), False)]:
        monkeypatch.setattr(sys, "stderr", screen)
        detect_files(OneDog(), folder / "clip.avi", tmp_path / "out", log=lambda _: None)
        assert ("20/20" in screen.getvalue() and "1 dog" in screen.getvalue()) == drawn
        assert bool(screen.getvalue()) == drawn


def test_plain_lines_come_every_few_seconds_without_a_terminal(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("detect.inference.progress.PLAIN_LINE_EVERY", 0.0)
    lines = []
    detect_files(OneDog(), folder / "clip.avi", tmp_path / "out", log=lines.append)
    assert len(lines) == 20 and "frame 20 of 20, " in lines[-1] and lines[-1].endswith("fps: 1 dog")
    lines.clear()
    detect_files(OneDog(), folder / "clip.avi", tmp_path / "out", Options(show_progress=False), log=lines.append)
    assert lines == []


def test_dropped_frames_of_live_sources_are_told(tmp_path, pretended, monkeypatch):
    monkeypatch.setattr("detect.inference.progress.PLAIN_LINE_EVERY", 0.0)
    lines = []
    summary = detect_files(OneDog(), ["0", "1"], tmp_path / "out", log=lines.append)
    assert summary["dropped"] == 20 and summary["frames"] == 12
    assert lines.count("webcam0: sends no more images; connecting again") == 1
    told = [line for line in lines if line.startswith("webcam1 frame")]
    assert told[0].startswith("webcam1 frame 1, ") and told[0].endswith(" fps: 1 dog")
    assert told[5].startswith("webcam1 frame 6, ") and told[5].endswith(" fps, 10 dropped: 1 dog")
    sentence = "10 of 16 frames came faster than they could be processed and were dropped"
    assert [line for line in lines if "came faster" in line] == [f"webcam0: {sentence}", f"webcam1: {sentence}"]
    assert list(summary) == [
        "frames", "detections", "fps", "files", "json", "errors", "counts", "limited", "dropped", "latency",
    ]  # fmt: skip
    assert summary["latency"]["p95"] >= summary["latency"]["median"] > 0


def test_live_sources_at_once_have_a_video_each_and_one_file_of_lines(tmp_path, pretended):
    summary = detect_files(OneDog(), ["0", "1"], tmp_path / "out", log=lambda _: None)
    files = sorted(summary["files"])
    assert [Path(path).name for path in files] == ["detections.jsonl", "webcam0.mp4", "webcam1.mp4"]
    assert [frames_in(path)[0] for path in files[1:]] == [6, 6] and summary["json"] is None
    lines = [json.loads(line) for line in Path(files[0]).read_text().splitlines()]
    assert [line["source"] for line in lines] == ["webcam0", "webcam1"] * 6
    assert datetime.fromisoformat(lines[2]["clock"]).timestamp() == 1_700_000_000.2 and lines[2]["time"] == 0.2


def test_live_files_begin_anew_after_a_time_and_are_named_by_it(tmp_path, pretended):
    summary = detect_files(OneDog(), 0, tmp_path / "out", Options(segment=1), log=lambda _: None)
    names = [Path(path).name for path in summary["files"]]
    begins = [datetime.fromtimestamp(1_700_000_000 + i).strftime("%Y%m%d-%H%M%S") for i in range(2)]
    assert sorted(names) == [f"detections_{b}.jsonl" for b in begins] + [f"webcam0_{b}.mp4" for b in begins]
    assert [len((tmp_path / "out" / n).read_text().splitlines()) for n in sorted(names)[:2]] == [5, 1]
    assert [frames_in(tmp_path / "out" / name)[0] for name in sorted(names)[2:]] == [5, 1]


def test_a_live_source_whose_video_cannot_be_written_ends_the_run_with_whole_files(tmp_path, pretended, monkeypatch):
    free = iter([1 << 30] * 6 + [1 << 20] * 99)
    monkeypatch.setattr("detect.files.disk_usage", lambda _: SimpleNamespace(free=next(free)))
    with pytest.raises(UserError, match=r"webcam0\.mp4: ends after 3 frames, the disk is full"):
        detect_files(OneDog(), 0, tmp_path / "out", log=lambda _: None)
    assert frames_in(tmp_path / "out" / "webcam0.mp4")[0] == 3
    assert len((tmp_path / "out" / "detections.jsonl").read_text().splitlines()) == 3


def test_a_folder_that_goes_ends_a_live_run_with_its_cause(tmp_path, pretended):
    class Unplugged(OneDog):
        def found(self, image):
            if list((tmp_path / "out").glob("*.mp4")):  # a video is begun
                shutil.rmtree(tmp_path / "out")
            return super().found(image)

    with pytest.raises(UserError, match="No such file or directory"):
        detect_files(Unplugged(), 0, tmp_path / "out", log=lambda _: None)


def test_dropped_frames_stand_in_every_line_and_the_bar(tmp_path, pretended, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    lines = []
    monkeypatch.setattr(sys, "stderr", Terminal())
    detect_files(OneDog(), 0, tmp_path / "out", Options(verbose=True), log=lines.append)
    assert [line for line in lines if "frame" in line][2] == "webcam0 frame 3, 4 dropped: 1 dog"
    assert "10 dropped: 1 dog" in sys.stderr.getvalue()


def test_dropped_frames_are_told_after_ctrl_c(tmp_path, pretended):
    lines = []
    with pytest.raises(KeyboardInterrupt):
        detect_files(OneDog(interrupt_at=3), 0, tmp_path / "out", log=lines.append)
    assert lines[-2].startswith("interrupted after 3 frames")
    assert lines[-1] == "webcam0: 4 of 7 frames came faster than they could be processed and were dropped"


def test_only_live_sources_have_dropped_frames(folder, tmp_path):
    summary = detect_files(OneDog(), [folder / "clip.avi", folder / "z.png"], tmp_path / "out", log=lambda _: None)
    assert list(summary) == ["frames", "detections", "fps", "files", "json", "errors", "counts", "limited"]


def test_closing_the_window_ends_the_run_and_finishes_the_files(folder, tmp_path, monkeypatch):
    keys = iter([-1] * 4 + [ord("q")])
    monkeypatch.setattr(cv2, "imshow", lambda *_: None)
    monkeypatch.setattr(cv2, "waitKey", lambda _: next(keys))
    summary = detect_files(OneDog(), folder / "clip.avi", tmp_path / "out", Options(show=True), log=lambda _: None)
    assert summary["frames"] == 5 and frames_in(summary["files"][0])[0] == 5
    assert len(json.loads(Path(summary["json"]).read_text())["frames"]) == 5


def test_an_output_that_cannot_be_written_does_not_end_the_others(folder, tmp_path, small_disk):
    noise = np.random.default_rng(0).integers(0, 255, (200, 300, 3), dtype=np.uint8)
    write_image(folder / "big.png", noise)
    write_video(folder / "clip.avi", images=[noise[i : i + 48, i : i + 64] for i in range(20)])
    sources = [folder / "clip.avi", folder / "big.png", folder / "z.png"]
    with small_disk(10_000):
        summary = detect_files(OneDog(), sources, tmp_path / "out", log=lambda _: None)
    wrong = ["clip.mp4: only 0 of 20 frames could be written", "big.png: cannot be written"]
    assert len(summary["errors"]) == 2
    assert all(word in error for word, error in zip(wrong, sorted(summary["errors"], reverse=True), strict=True))
    assert summary["files"] == [str(tmp_path / "out" / "z.png")]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"z.png", "detections.json"}
    assert len(json.loads((tmp_path / "out" / "detections.json").read_text())["frames"]) == summary["frames"] == 22


def test_a_full_disk_keeps_the_frames_of_a_video_before_it(folder, tmp_path, monkeypatch):
    free = iter([1 << 30] * 14 + [1 << 20] * 99)  # asked for the video and for the JSON file
    monkeypatch.setattr("detect.files.disk_usage", lambda _: SimpleNamespace(free=next(free)))
    summary = detect_files(OneDog(), [folder / "clip.avi", folder / "z.png"], tmp_path / "out", log=lambda _: None)
    (error,) = summary["errors"]
    assert "clip.mp4: ends after 7 frames, the disk is full" in error
    assert [Path(path).name for path in summary["files"]] == ["clip.mp4", "z.png"]
    assert frames_in(summary["files"][0])[0] == 7 and summary["frames"] == 21


def test_a_full_disk_keeps_the_json_of_the_frames_before_it(folder, tmp_path, monkeypatch):
    free = iter([1 << 30] * 14 + [0] * 99)
    monkeypatch.setattr("detect.files.disk_usage", lambda _: SimpleNamespace(free=next(free)))
    with pytest.raises(UserError, match=r"detections\.json: ends after 7 frames, the disk is full"):
        detect_files(OneDog(), folder / "clip.avi", tmp_path / "out", log=lambda _: None)
    assert len(json.loads((tmp_path / "out" / "detections.json").read_text())["frames"]) == 7
    assert frames_in(tmp_path / "out" / "clip.mp4")[0] == 7


def test_frames_that_reach_the_limit_are_counted(folder, tmp_path):
    predictor = OneDog()
    for limit, limited in ((1, 21), (2, 0)):
        predictor.max_detections = limit
        summary = detect_files(predictor, [folder / "clip.avi", folder / "z.png"], tmp_path / "out", log=lambda _: None)
        assert summary["limited"] == limited and summary["frames"] == 21


def test_what_is_left_out_and_what_was_chosen_is_told(folder, tmp_path):
    images = [Image.fromarray(np.full((48, 64, 3), level, np.uint8)) for level in (0, 200)]
    images[0].save(folder / "m.gif", save_all=True, append_images=images[1:])
    lines, warnings = [], []
    detect_files(OneDog(), folder, tmp_path / "out", log=lines.append, warn=warnings.append)
    assert any(line.endswith("m.gif 64x48: 1 dog") for line in lines)
    assert warnings[-1] == f"{folder}/m.gif: the first of its images was taken"
    assert warnings[0].startswith(f"{folder}: left out are ") and "1 video (clip.avi)" in warnings[0]


def test_a_second_run_replaces_what_the_first_wrote(folder, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "clip.mp4").write_text("somebody's film")
    for source in (folder / "clip.avi", folder / "z.png", folder / "clip.avi", folder / "z.png"):
        detect_files(OneDog(), source, tmp_path / "out", log=lambda _: None)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "clip.mp4", "clip-2.mp4", "z.png", "detections.json",
    }  # fmt: skip
    assert (tmp_path / "out" / "clip.mp4").read_text() == "somebody's film"
    assert json.loads((tmp_path / "out" / "detections.json").read_text())["files"] == ["clip-2.mp4", "z.png"]


def test_counts_are_told_in_words():
    assert describe({"person": 3, "dog": 1}) == "3 person, 1 dog"
    assert describe({}) == "nothing found"


def test_real_photos_go_the_whole_way(shared, tmp_path):
    summary = detect_files(OneDog(), shared / "demo" / "photos", tmp_path / "out", log=lambda _: None)
    assert summary["frames"] == len(summary["files"]) == 8 and not summary["errors"]


class Slow(StandIn):
    """Finds a box that hangs on the image, and takes its time now and then."""

    def found(self, image):
        level = float(image.mean())
        time.sleep(round(level) % 5 / 1000)
        return np.array([[level / 8, 4, 30 + level / 8, 30]], np.float32), np.array([level / 256]), np.array([0])


def test_stages_that_overlap_give_what_one_after_the_other_gives(tmp_path):
    noise = np.random.default_rng(1).integers(0, 255, (60, 48, 64, 3), dtype=np.uint8)
    write_video(tmp_path / "clip.avi", images=[noise[i] // (1 + i % 5) for i in range(60)])
    options = Options(outputs=["annotated", "json", "jsonl"])
    summary = detect_files(Slow(), tmp_path / "clip.avi", tmp_path / "out", options, log=lambda _: None)
    one_by_one = list(Slow().predict_frames(read_frames(find_items(tmp_path / "clip.avi"))))
    expected = [result.to_dict() for result in one_by_one]
    assert json.loads(Path(summary["json"]).read_text())["frames"] == expected and len(expected) == 60
    lines = (tmp_path / "out" / "detections.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == expected
    with VideoWriter(tmp_path / "expected.mp4", 10) as video:
        for result in one_by_one:
            video.write(result.plot(), result.frame.time)
    assert frame_hashes(tmp_path / "out" / "clip.mp4") == frame_hashes(tmp_path / "expected.mp4")


def frame_hashes(path):
    capture, hashes = cv2.VideoCapture(str(path)), []
    while True:
        found, image = capture.read()
        if not found:
            return hashes
        hashes.append(hash(image.tobytes()))


def test_a_run_leaves_no_thread(folder, tmp_path):
    before = set(threading.enumerate())
    detect_files(OneDog(), folder / "clip.avi", tmp_path / "out", log=lambda _: None)
    with pytest.raises(KeyboardInterrupt):
        detect_files(OneDog(interrupt_at=3), folder / "clip.avi", tmp_path / "out", log=lambda _: None)
    assert set(threading.enumerate()) - before == set()


def test_outputs_that_are_asked_for_and_no_others(folder, tmp_path):
    sources = [folder / "a.png", folder / "clip.avi"]
    options = Options(outputs=["coco", "yolo", "csv", "crops", "jsonl"], watching=Watching(every=10))
    summary = detect_files(OneDog(), sources, tmp_path / "out", options, log=lambda _: None)
    names = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.*"))
    assert names == [
        "counts.csv", "crops/dog/a-1.jpg", "crops/dog/clip-000000-1.jpg", "crops/dog/clip-000010-1.jpg",
        "detections.coco.json", "detections.jsonl", "labels/a.txt", "labels/classes.txt", "labels/clip-000000.txt",
        "labels/clip-000010.txt",
    ]  # fmt: skip
    assert sorted(Path(path).name for path in summary["files"]) == [
        "counts.csv", "crops", "detections.coco.json", "detections.jsonl", "labels",
    ]  # fmt: skip
    assert summary["json"] is None and summary["frames"] == 3


def test_annotated_files_have_the_size_that_is_asked_for(folder, tmp_path):
    sources = [folder / "a.png", folder / "clip.avi"]
    detect_files(OneDog(), sources, tmp_path / "out", Options(resize_output=32), log=lambda _: None)
    assert read_image(tmp_path / "out" / "a.png").shape == (24, 32, 3)
    capture = cv2.VideoCapture(str(tmp_path / "out" / "clip.mp4"))
    assert (capture.get(cv2.CAP_PROP_FRAME_WIDTH), capture.get(cv2.CAP_PROP_FRAME_HEIGHT)) == (32, 24)
    assert json.loads((tmp_path / "out" / "detections.json").read_text())["frames"][0]["width"] == 80


def test_a_video_of_every_tenth_frame_plays_as_long(folder, tmp_path):
    detect_files(
        OneDog(), folder / "clip.avi", tmp_path / "out", Options(watching=Watching(every=10)), log=lambda _: None
    )
    assert frames_in(tmp_path / "out" / "clip.mp4") == (2, 1.0)
