"""Class names of Darknet's .names files."""

import pytest

from detect.darknet import read_names
from detect.darknet.names import COCO
from detect.errors import UserError


def test_names_are_the_lines(tmp_path):
    path = tmp_path / "my.names"
    path.write_bytes("cat\r\nguinea pig\n\n  größe \n".encode())
    assert read_names(path, 3) == ["cat", "guinea pig", "größe"]
    strange = ["\u3000一", "a\u00a0b\u202f", "\U0001f469\u200d\U0001f680"]
    path.write_text("\n".join(strange), encoding="utf-8")
    assert read_names(path, 3) == strange


def test_darknets_coco_names_become_cocos(tmp_path):
    path = tmp_path / "coco.names"
    others = [f"thing {i}" for i in range(80 - len(COCO))]
    path.write_text("\n".join([*others, *COCO]))
    assert read_names(path, 80) == [*others, *COCO.values()]
    path.write_text("aeroplane\nsofa\n")  # of VOC: as they are
    assert read_names(path, 2) == ["aeroplane", "sofa"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"cat\n", "holds 1 names, but the .cfg has 2 classes"),
        (b"\xff\xfe\n", "is no UTF-8 text"),
        (b"cat\ncat\n", "'cat' is listed twice"),
        (b"cat\nd\x1b[31mog\n", r"'d\\x1b\[31mog' holds control characters; take them out"),
        (b"x\n" * (1 << 20), "larger than 1 MiB"),
    ],
)
def test_bad_files_are_one_sentence(tmp_path, content, message):
    path = tmp_path / "my.names"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_names(path, 2)


def test_a_missing_file_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        read_names(tmp_path / "my.names", 2)
