"""Files within tar files are read where they lie, and no tar file makes us read anything else."""

import gzip
import io
import os
import tarfile

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from detect.errors import UserError
from detect.members import MAX_HEADER, is_file, members, open_binary, stamp
from detect.ops.image import read_image, write_image


def tar_of(path, files, **options):
    """A tar file with these {name: bytes}; a `tarfile.TarInfo` in the place of bytes is written as it is."""
    with tarfile.open(path, "w", **options) as archive:
        for name, content in files.items():
            if isinstance(content, tarfile.TarInfo):
                archive.addfile(content)
                continue
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_a_file_in_a_tar_file_reads_like_any_other(tmp_path, form):
    contents = {"a.bin": bytes(range(256)) * 5, "b/ü" + "x" * 150 + ".txt": b"far", "empty": b""}
    tar = tar_of(tmp_path / "t.tar", contents, format=form)
    assert list(members(tar)) == list(contents)
    for name, content in contents.items():
        assert is_file(tar / name) and stamp(tar / name)[0] == len(content)
        with open_binary(tar / name) as file:
            assert file.read() == content and file.read(1) == b""
            assert file.seek(-len(content), os.SEEK_END) == 0 and file.read(3) == content[:3]
            assert file.seek(7) == 7 and file.read(2) == content[7:9]
    with open_binary(tar / "a.bin") as one, open_binary(tar / "a.bin") as other:
        one.seek(100)
        assert (one.read(1), other.read(1)) == (b"d", b"\0")


def test_what_is_no_file_in_it_is_not_there(tmp_path):
    tar = tar_of(tmp_path / "t.tar", {"a/b.txt": b"b"})
    (tmp_path / "folder.tar").mkdir()
    (tmp_path / "folder.tar" / "c").write_bytes(b"plain")
    for path in (tar / "c", tar / "a", tar / ".." / "x", tmp_path / "none.tar" / "a", tmp_path / "folder.tar" / "a"):
        assert not is_file(path)
        with pytest.raises(OSError):
            open_binary(path)
    assert is_file(tmp_path / "folder.tar" / "c") and stamp(tmp_path / "folder.tar" / "c")[0] == 5


def test_images_are_read_out_of_a_tar_file_and_one_that_is_damaged_is_named(tmp_path):
    image = np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8)
    write_image(tmp_path / "a.png", image)
    content = (tmp_path / "a.png").read_bytes()
    tar = tar_of(tmp_path / "t.tar", {"a.png": content, "b.png": content[:-30] + bytes(30)})
    assert_array_equal(read_image(tar / "a.png"), image)
    with pytest.raises(UserError, match=r"t\.tar/b\.png: not a readable image"):
        read_image(tar / "b.png")
    with pytest.raises(UserError, match=r"t\.tar/c\.png: no such file"):
        read_image(tar / "c.png")


def test_a_tar_file_that_was_written_anew_is_listed_anew(tmp_path):
    tar = tar_of(tmp_path / "t.tar", {"a": b"1"})
    assert list(members(tar)) == ["a"]
    tar_of(tar, {"a": b"1", "b": b"2" * 20_000})
    assert list(members(tar)) == ["a", "b"]


def info(name, kind=tarfile.REGTYPE, link="", size=0):
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.size = kind, link, size
    return made


def test_links_and_devices_are_no_files(tmp_path):
    strange = {name: info(name, kind, "/etc/passwd") for name, kind in (("s", tarfile.SYMTYPE), ("h", tarfile.LNKTYPE))}
    strange["d"] = info("d", tarfile.CHRTYPE)
    assert list(members(tar_of(tmp_path / "t.tar", strange | {"a": b"1"}))) == ["a"]


@pytest.mark.parametrize("name", ["../a", "/etc/passwd", "a/../../b", "a\nb"])
def test_names_that_lead_out_of_it_are_refused(tmp_path, name):
    tar = tar_of(tmp_path / "t.tar", {"good": b"1", name: b"2"})
    with pytest.raises(UserError, match=r"t\.tar: no tar file that can be read \(.*(leads out|control characters)"):
        members(tar)


def test_a_name_that_is_there_twice_is_refused(tmp_path):
    tar = tar_of(tmp_path / "t.tar", {"a": b"1"})
    with tarfile.open(tar, "a") as archive:
        archive.addfile(info("a"))
    with pytest.raises(UserError, match="it holds 'a' twice"):
        members(tar)


@pytest.mark.parametrize("damage", ["cut", "compressed", "text", "empty"])
def test_a_damaged_tar_file_is_one_sentence(tmp_path, damage):
    tar = tar_of(tmp_path / "t.tar", {"a": bytes(4000)})
    content = tar.read_bytes()
    if damage == "compressed":
        tar_of(tar, {"a": bytes(4000)}, format=tarfile.PAX_FORMAT)
        content = gzip.compress(content)
    tar.write_bytes({"cut": content[:2000], "compressed": content, "text": b"no tar\n" * 200, "empty": b""}[damage])
    with pytest.raises(UserError, match=r"t\.tar: no tar file that can be read"):
        members(tar)
    with pytest.raises(UserError, match="no tar file that can be read"):
        open_binary(tar / "a")


@pytest.mark.parametrize("size", [MAX_HEADER + 1, 1 << 40])
def test_a_header_takes_no_more_memory_than_a_header_may(tmp_path, size):
    """A name of a terabyte is announced; what follows is short."""
    header = info("././@LongLink", tarfile.GNUTYPE_LONGNAME, size=size).tobuf(tarfile.GNU_FORMAT)
    (tmp_path / "t.tar").write_bytes(header + bytes(2048))
    with pytest.raises(UserError, match="no header"):
        members(tmp_path / "t.tar")
