"""A file is found by every spelling of its name that means it, and by no other."""

import os
import unicodedata
from pathlib import Path

import pytest

from detect.data.formats.image_files import ImageFiles


@pytest.fixture
def folder(tmp_path):
    """A folder of images: files by their names, with nothing in them."""
    root = tmp_path / "images"
    for name in ("a.png", "sub/p0.png", "sub/UP.PNG", "größe.jpg", "two.jpg", "Two.jpg"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("sub\\p0.png", "sub/p0.png"),
        ("A.PNG", "a.png"),
        ("SUB\\up.png", "sub/UP.PNG"),
        (unicodedata.normalize("NFD", "größe.jpg"), "größe.jpg"),
        (unicodedata.normalize("NFD", "GRÖSSE.JPG"), "größe.jpg"),
        ("images/a.png", "a.png"),
        ("images\\sub\\up.png", "sub/UP.PNG"),
        ("{folder.parent.name}/images/a.png", "a.png"),
        ("{folder}/sub/p0.png", "sub/p0.png"),
        ("{folder}/sub/../a.png", "a.png"),
    ],
)
def test_another_spelling_is_found_and_told(folder, tmp_path, name, found):
    files, name = ImageFiles(folder), name.format(folder=folder)
    assert files.find(name) == folder / found
    form = " in another form of Unicode" if name == unicodedata.normalize("NFD", "größe.jpg") else ""
    assert files.notes(Path("x.json")) == [
        f"x.json: 1 files have another spelling in {folder}, the first: '{name}' is there as '{found}'{form}"
    ]
    (tmp_path / "link").symlink_to(folder)
    assert ImageFiles(tmp_path / "link").find(name) == folder / found


@pytest.mark.parametrize(
    "name", ["a.png", "./sub//p0.png", "two.jpg", "Two.jpg", "none.png", "TWO.jpg", "sub/a.png", "images/none.png"]
)
def test_a_name_as_it_is_written_or_of_no_file_or_of_several_stays(folder, name):
    files = ImageFiles(folder)
    assert files.find(name) == folder / name
    assert files.notes(Path("x.json")) == []


@pytest.mark.parametrize(
    "name",
    [
        "Screenshot 2024-05-01 at 9.41.00\u202fAM.png",
        "Snímek\u00a0obrazovky.png",
        "写真\u3000一.jpg",
        "\U0001f469\u200d\U0001f680.jpg",
        "\u202eabc.png",
        "two  spaces .jpg",
        "back\\slash.png",
        "C:drive.png",
        "9:41.png",
        os.fsdecode(b"stra\xdfe.jpg"),
        "長" * 83 + ".jpg",
    ],
)
def test_every_name_that_a_file_can_have_is_a_name(folder, name):
    (folder / name).touch()
    assert ImageFiles(folder).find(name) == folder / name


@pytest.mark.parametrize(
    "name",
    [None, 7, "", " ", "a\n.png", "a\x00.png", "a\x1b[2J.png", "\x85.png", "\ud800.png", "長" * 86, "x" * 256]
    + [
        "../a.png",
        "sub/../../a.png",
        "..\\a.png",
        "/etc/passwd",
        "C:\\a.png",
        "\\\\host\\share\\a.png",
        "/",
        "/a.png",
        "..",
        "./../a.png",
    ],
)
def test_what_is_no_name_of_a_file_in_the_folder_is_none(folder, name):
    assert ImageFiles(folder).find(name) is None


def test_links_that_lead_out_lead_nowhere(folder, tmp_path):
    (tmp_path / "secret.png").touch()
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    (folder / "up").symlink_to(tmp_path)
    for name in ("link.png", "LINK.png", "up/secret.png", "up\\secret.png", str(tmp_path / "secret.png")):
        assert ImageFiles(folder).find(name) is None, name


def test_the_nearest_file_is_named(folder):
    files = ImageFiles(folder)
    assert files.hint("C:\\photos\\a.png") == files.hint("/home/me/a.png") == "; did you mean 'a.png'?"
    assert files.hint("something else") == files.hint(None) == ""


@pytest.mark.parametrize(
    "name",
    [
        "https://host:8080/data/upload/3/1f6d2c3a-a.png",
        "/data/local-files/?d=photos/a.png",
        "s3://bucket/photos/a.png",
        "1f6d2c3a-a.png",
        "https://host/my%20photos/%61.png",
    ],
)
def test_names_of_label_studio_stand_for_the_file(folder, name):
    files = ImageFiles(folder)
    assert files.find(name) == folder / "a.png"
    assert files.notes("set.json")[0].startswith(f"set.json: 1 files have another spelling in {folder}, the first: ")


@pytest.mark.parametrize("name", ["/home/me/set/a.png", "C:\\set\\a.png", "../other/a.png", "data/obj/a.png"])
def test_the_end_of_a_path_of_another_machine_counts_where_it_may(folder, name):
    assert ImageFiles(folder, by_end=True).find(name) == folder / "a.png"
    assert ImageFiles(folder).find(name) != folder / "a.png"


def test_the_longest_end_counts(folder):
    (folder / "more").mkdir()
    (folder / "more" / "a.png").touch()
    assert ImageFiles(folder, by_end=True).find("/home/me/more/a.png") == folder / "more" / "a.png"


def test_no_end_of_a_path_leads_out(folder, tmp_path):
    (tmp_path / "secret.png").touch()
    for name in ("/x/../secret.png", "https://host/../secret.png", str(tmp_path / "secret.png")):
        path = ImageFiles(folder, by_end=True).find(name)
        assert path is None or path == folder / "secret.png"


@pytest.mark.parametrize("name", ["loop.png", "loop/a.png", "{folder}/loop/a.png"])
def test_a_link_to_itself_is_no_file(folder, name):
    (folder / "loop.png").symlink_to("loop.png")
    (folder / "loop").symlink_to("loop")
    path = ImageFiles(folder, by_end=True).find(name.format(folder=folder))
    assert path is None or not os.path.isfile(path) or path == folder / "a.png"
