"""Every kind of source, and what happens to those that fail."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from detect.errors import UserError
from detect.inference.reading import read_frames
from detect.inference.sources import Frame, ended_by, find_items
from detect.ops.image import write_image
from tests.inference.made_videos import NOISE, flat, read, write_video


def refused(source):
    with pytest.raises(UserError) as caught:
        find_items(source)
    return str(caught.value)


def test_folder_gives_its_images_sorted_and_no_subfolders(tmp_path):
    for level, name in enumerate(["b.png", "a.PNG", "sub/c.png", ".hidden.png"]):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_image(tmp_path / "x.png", flat(level))
        (tmp_path / "x.png").rename(tmp_path / name)
    frames = read(tmp_path)
    assert [frame.source for frame in frames] == [str(tmp_path / "a.PNG"), str(tmp_path / "b.png")]
    assert [int(frame.image[0, 0, 0]) for frame in frames] == [1, 0]
    assert {frame.medium for frame in frames} == {"image"} and frames[0].time is None


def test_pattern_gives_images_and_videos_sorted(tmp_path):
    write_image(tmp_path / "b.png", flat(0))
    write_video(tmp_path / "a.mp4", NOISE[:2])
    (tmp_path / "c.txt").touch()
    assert [item.medium for item in find_items(str(tmp_path / "*"))] == ["video", "image"]


def test_what_a_folder_leaves_out_is_said(tmp_path):
    folder = tmp_path / "all"
    (folder / "sub").mkdir(parents=True)
    for name in ("a.jpg", "b.png", "c.png"):
        write_image(folder / name, flat(9))
    (folder / "b.png").rename(folder / "b.jfif")
    (folder / "c.png").rename(folder / "c")
    (folder / "d.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(99))
    (folder / "e.jpg").symlink_to("nowhere")
    (folder / "f").symlink_to("nowhere")
    for number in range(3):
        (folder / f"{number}.txt").write_text("notes")
    (folder / "x.bin").write_bytes(bytes(99))
    write_video(folder / "g.mp4", NOISE[:2])
    os.mkfifo(folder / "pipe.png")
    notes, errors = [], []
    items = find_items(folder, on_note=notes.append)
    assert [Path(item.value).name for item in items] == ["a.jpg", "b.jfif", "c", "d.heic", "e.jpg"]
    assert notes == [
        f"{folder}: left out are 1 dead link (f), 1 folder (sub), 2 other files (pipe.png, x.bin), "
        "3 texts (0.txt, 1.txt, ...), 1 video (g.mp4)"
    ]
    assert [Path(frame.source).name for frame in read_frames(items, errors.append)] == ["a.jpg", "b.jfif", "c"]
    assert "HEIC" in str(errors[0]) and "is a link to nowhere" in str(errors[1])
    notes.clear()
    items = find_items(f"{folder}/*", on_note=notes.append)
    assert [item.medium for item in items] == ["image"] * 5 + ["video"]
    assert notes == [
        f"{folder}/*: left out are 1 dead link (f), 2 other files (pipe.png, x.bin), 3 texts (0.txt, 1.txt, ...)"
    ]


def test_folders_that_hold_no_image_say_what_they_hold(tmp_path):
    (tmp_path / "more").mkdir()
    assert "holds no images but 1 folder (more) (subfolders are not searched)" in refused(tmp_path)


def test_notes_of_an_image_come_with_it(tmp_path):
    images = [Image.fromarray(flat(level)) for level in (0, 200)]
    images[0].save(tmp_path / "a.gif", save_all=True, append_images=images[1:])
    assert read(tmp_path / "a.gif")[0].note == "the first of its images was taken"


def test_brackets_of_a_folder_are_its_name(tmp_path):
    for folder in ("x[1]", "x1"):
        (tmp_path / folder).mkdir()
        write_image(tmp_path / folder / "a.png", flat(9))
    assert [item.value for item in find_items(f"{tmp_path}/x[1]/*.png")] == [f"{tmp_path}/x[1]/a.png"]
    assert [item.value for item in find_items(f"{tmp_path}/x[1]")] == [f"{tmp_path}/x[1]/a.png"]
    assert [item.value for item in find_items(f"{tmp_path}/x[0-9]/*.png")] == [f"{tmp_path}/x1/a.png"]


def test_a_pattern_without_a_folder_is_looked_for_here(tmp_path, monkeypatch):
    write_image(tmp_path / "a.png", flat(9))
    monkeypatch.chdir(tmp_path)
    assert [item.value for item in find_items("*.png")] == ["a.png"]


def test_a_folder_named_by_a_number_comes_before_a_webcam(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "2024").mkdir()
    write_image(tmp_path / "2024" / "a.png", flat(9))
    notes = []
    assert [item.value for item in find_items("2024", on_note=notes.append)] == ["2024/a.png"]
    assert notes == ["2024: is taken for the file or folder of this name; the webcam is /dev/video2024"]
    assert [find_items(webcam)[0].value for webcam in (2024, "/dev/video2024", "2023")] == [2024, 2024, 2023]


def test_a_list_of_files_is_no_video(tmp_path):
    (tmp_path / "list.txt").write_text("a.jpg\nbüro.jpg\n" * 500)
    assert "list.txt: is a text; if it lists images or videos, give those themselves" in refused(tmp_path / "list.txt")


def test_name_with_brackets_is_a_file_first(tmp_path):
    write_image(tmp_path / "a[1].png", flat(9))
    assert read(str(tmp_path / "a[1].png"))[0].image[0, 0, 0] == 9


def test_image_without_suffix_is_recognised(tmp_path):
    write_image(tmp_path / "a.png", flat(9))
    (tmp_path / "a.png").rename(tmp_path / "upload")
    assert read(tmp_path / "upload")[0].medium == "image"


def test_arrays_and_pillow_images_in_a_list_are_named(tmp_path):
    turned = Image.fromarray(flat(7))
    turned.getexif()[0x0112] = 6
    write_image(tmp_path / "a.png", flat(1))
    frames = read([flat(5), turned, tmp_path / "a.png"])
    assert [frame.source for frame in frames] == ["image0", "image1", str(tmp_path / "a.png")]
    assert [frame.image.shape for frame in frames] == [(48, 64, 3), (64, 48, 3), (48, 64, 3)]


@pytest.mark.parametrize("array", [np.zeros((4, 4, 3)), np.zeros((4, 4), np.uint8), np.zeros((0, 4, 3), np.uint8)])
def test_array_of_another_kind_is_refused(array):
    with pytest.raises(UserError, match="give uint8 RGB"):
        read(array)


def test_missing_file_names_where_and_the_nearest(tmp_path, monkeypatch):
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "street.mp4").touch()
    monkeypatch.chdir(tmp_path)
    message = refused("videos/stret.mp4")
    assert f"tried {tmp_path}/videos/stret.mp4" in message and "did you mean 'street.mp4'?" in message
    assert "did you mean 'videos'?" in refused("vidoes/street.mp4")


def test_empty_folder_pattern_and_nonsense_are_refused(tmp_path):
    assert "holds no images" in refused(tmp_path)
    assert "no image or video fits this pattern" in refused(str(tmp_path / "*.jpg"))
    for nonsense in (None, 3.5, True, ""):
        assert refused(nonsense).startswith("source is ")


def test_only_known_addresses_are_opened():
    assert "did you mean 'http'?" in refused("htp://camera/1")
    assert "cannot open such an address" in refused("file:///etc/passwd")
    assert "cannot open such an address" in refused("concat://a|b")


@pytest.mark.parametrize(
    "address, name",
    [
        ("rtsp://admin:S3c@camera.local:554/live/1?token=S3c", "rtsp://camera.local/live/1"),
        ("rtsp://h/user=admin&password=S3c", "rtsp://h/user=..."),
        ("rtsp://h:554/user=admin_password=S3c_channel=1.sdp", "rtsp://h/user=..."),
        ("http://h/x;password=S3c", "http://h/x;password=..."),
        ("rtsp://us:pa/S3c@h/x", "rtsp://h/x"),
        ("rtsp://us:p@S3c@h/x", "rtsp://h/x"),
        ("rtsp://us:p?S3c@h/x", "rtsp://h/x"),
        ("rtsp://us:p#S3c@h/x", "rtsp://h/x"),
        ("rtsp:///us:S3c@h", "rtsp://h"),
        ("http://us%3AS3c@h/x#S3c", "http://h/x"),
        ("http://h/x?mail=a@b", "http://h/x"),
        ("HTTP://Us:S3c@[::1]/x", "http://[::1]/x"),
        ("udp://@239.0.0.1:1234", "udp://239.0.0.1"),
        ("tcp://:80", "tcp://stream"),
    ],
)
def test_password_of_a_stream_is_not_shown(address, name):
    (item,) = find_items(address)
    assert item.name == name and item.value == address


@pytest.mark.parametrize("source", ["rtsp:/us:S3c@h", "//us:S3c@h/1", "rtsp:/us:S3c@h/*", "smb://us:S3c@h"])
def test_password_of_what_is_no_address_is_not_shown(source):
    assert "S3c" not in refused(source)


def test_files_end_when_the_next_source_begins_and_live_ones_do_not():
    def frame(item, medium, index=0):
        return Frame(flat(0), "x", index, medium=medium, item=item)

    known = {1: frame(1, "video", 9), 2: frame(2, "live", 5)}
    assert ended_by(frame(3, "live"), known) == ended_by(frame(3, "image"), known) == [1]
    assert ended_by(frame(3, "live", 1), known) == []


def test_live_sources_have_names_of_their_own():
    addresses = ["rtsp://camera/live?channel=1", "rtsp://camera/live?channel=2", 0, "http://camera/"]
    assert [item.name for item in find_items(addresses)] == [
        "rtsp://camera/live", "rtsp://camera/live (2)", "webcam0", "http://camera/",
    ]  # fmt: skip


@pytest.mark.parametrize("source", ["20240131120000", "9" * 5000, 20240131120000, -100_000])
def test_a_long_number_is_no_webcam(source):
    with pytest.raises(UserError, match=r"check the path|no such file or folder|the numbers of webcams go up to 99999"):
        find_items(source)


@pytest.mark.parametrize("source", [0, "0", "/dev/video0", np.int64(0)])
def test_webcam_is_named_by_its_number(source):
    assert find_items(source) == [("live", "webcam0", 0)]
