"""Files appear whole under any name that a file can have, and names reach a terminal without steering it."""

import os
import unicodedata

import pytest

from detect.errors import UserError
from detect.files import hidden, missing, name_problem, new_folder, printable, replacing, shortened, write_text

LONG = "0" + "長" * 83 + ".jpg"  # 254 bytes


@pytest.mark.parametrize(
    "name",
    [
        LONG,
        "." + "x" * 254,
        "a." + "x" * 253,
        "写真.png",
        "\u202fAM\u00a0\u3000.png",
        os.fsdecode(b"stra\xdfe.jpg"),
        "\U0001f469\u200d\U0001f680",
    ],
)
def test_a_file_of_any_legal_name_is_written_whole(tmp_path, name):
    write_text(tmp_path / name, "whole")
    assert os.listdir(tmp_path) == [name] and (tmp_path / name).read_text() == "whole"


def test_the_file_in_the_making_keeps_the_suffix_that_writers_look_at(tmp_path):
    with replacing(tmp_path / LONG) as temporary:
        assert temporary.suffix == ".jpg" and temporary.parent == tmp_path and len(temporary.name) < 40


def test_a_name_too_long_for_a_file_is_a_sentence(tmp_path):
    with pytest.raises(UserError, match="cannot be written"):
        write_text(tmp_path / ("x" * 256), "")
    with pytest.raises(UserError, match=r"x: no such file or folder \(tried "):
        raise missing("x" * 300)


def test_a_run_of_a_long_name_gets_its_number(tmp_path):
    with new_folder(tmp_path, "長" * 85) as first, new_folder(tmp_path, "長" * 85) as second:
        assert (first.name, second.name) == ("長" * 84 + "-1", "長" * 84 + "-2")


def test_a_stem_is_cut_between_letters():
    assert shortened("abc", ".png") == "abc"
    assert shortened("長" * 85, ".png") == "長" * 83
    assert len(os.fsencode(shortened("é" * 300, "-12.png"))) <= 255 - 7


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("größe 写真 \u00a0\u202f\u3000 \U0001f469\u200d\U0001f680", None),
        ("a\nb\t\x1b[31m\x00", r"a\nb\t\x1b[31m\x00"),
        ("\x9b31m\x85", r"\x9b31m\x85"),
        ("\u202egnp.exe\u2066\u2028", r"\u202egnp.exe\u2066\u2028"),
        (os.fsdecode(b"stra\xdfe"), r"stra\udcdfe"),
    ],
)
def test_what_would_steer_a_terminal_is_escaped_and_nothing_else(name, shown):
    assert printable(name) == (name if shown is None else shown)


def test_only_control_characters_and_lengths_are_wrong_in_names():
    for code in range(0x110000):
        wrong = unicodedata.category(chr(code)) == "Cc"
        if wrong or code % 97 == 0:
            is_surrogate = 0xD800 <= code < 0xDC80 or 0xDD00 <= code < 0xE000
            assert bool(name_problem(f"a{chr(code)}b")) is (wrong or is_surrogate), hex(code)
    assert name_problem("x" * 255 + "/" + "y" * 255) == ""
    assert name_problem("x" * 256) == "has a part of more than 255 bytes"
    assert name_problem("長" * 86) == "has a part of more than 255 bytes"
    assert name_problem(None) == "is no text" and name_problem(" \u3000") == "is empty"


@pytest.mark.parametrize(
    "address, shown",
    [
        ("rtsp:/us:S3c@h", "rtsp:...@h"),
        ("rtsp:us:S/3@c@h/1", "rtsp:...@h/1"),
        ("//us:S3c@h/1", "//us:...@h/1"),
        ("us:S3c@h", "us:...@h"),
        ("rtsp//us:S3c@h", "rtsp//us:...@h"),
        ("rtsp:/h/user=a&password=S3c", "rtsp:/h/user=a&password=..."),
        (r"C:\me@home\a.jpg", r"C:\me@home\a.jpg"),
        ("runs/lr=0.1/a@2x.png", "runs/lr=0.1/a@2x.png"),
    ],
)
def test_a_mistyped_address_is_told_without_its_password(address, shown):
    assert hidden(address) == shown
    assert str(missing(address)).startswith(f"{shown}: no such file or folder (tried ")
    assert "S3c" not in str(missing(address)) and "S/3" not in str(missing(address))


def test_a_path_longer_than_any_system_takes_is_wrong():
    assert name_problem("a/" * 2047 + "ab") == ""
    assert name_problem("a/" * 2048 + "ab") == "is longer than 4096 bytes"
