"""What lies at an address comes whole or not at all, by no shell, and every way of failing is one sentence."""

import hashlib
import os
import stat
import threading

import pytest

from detect.data.formats import remote
from detect.data.formats.remote import beside, checked, fetch, is_address
from detect.errors import UserError

CONTENT = bytes(range(256)) * 9000  # 2.3 MB: several chunks
SIZE = len(CONTENT)
SHA256 = hashlib.sha256(CONTENT).hexdigest()

pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(remote, "PAUSES", (0, 0))


@pytest.fixture
def tar(server):
    server.files["a.tar"] = CONTENT
    return f"{server.url}/data/a.tar"


def refused(address, path, match, limit=SIZE, sha256=SHA256):
    with pytest.raises(UserError, match=match):
        fetch(address, path, limit, sha256)
    assert not list(path.parent.iterdir())


@pytest.mark.parametrize("fault", ["", "elsewhere", "endless"])
def test_a_file_comes_whole(server, tar, tmp_path, fault):
    server.faults["/data/a.tar"] = fault
    fetch(tar, tmp_path / "a.tar", len(CONTENT), SHA256)
    assert (tmp_path / "a.tar").read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar"]


def test_what_was_cut_off_is_fetched_again(server, tar, tmp_path):
    class Once(dict):
        def get(self, key, default=None):
            return self.pop(key, default)

    server.faults = Once({"/data/a.tar": "cut"})
    fetch(tar, tmp_path / "a.tar", len(CONTENT), SHA256)
    assert (tmp_path / "a.tar").read_bytes() == CONTENT
    assert [path for path, _ in server.seen] == ["/data/a.tar"] * 2


def test_what_is_cut_off_every_time_is_one_sentence(server, tar, tmp_path):
    server.faults["/data/a.tar"] = "cut"
    refused(tar, tmp_path / "a.tar", rf"{tar}: was cut off on its way; try again")
    assert len(server.seen) == 3


def test_what_is_not_there_is_not_asked_for_again(server, tmp_path):
    refused(f"{server.url}/none.tar", tmp_path / "a.tar", "the server has no such file, or refuses it")
    assert len(server.seen) == 1


def test_a_server_that_is_silent_is_given_up(server, tar, tmp_path, monkeypatch):
    monkeypatch.setattr(remote, "PATIENCE", 0.5)
    monkeypatch.setattr(remote, "PAUSES", ())
    server.faults["/data/a.tar"] = "stall"
    refused(tar, tmp_path / "a.tar", r"nothing came of it for 0\.5 s")


@pytest.mark.parametrize("fault", ["stall", "cut"])
def test_a_fetch_that_is_to_stop_neither_waits_for_the_server_nor_tries_again(
    server, tar, tmp_path, monkeypatch, fault
):
    monkeypatch.setattr(remote, "PAUSES", (600,))
    server.faults["/data/a.tar"] = fault
    stop = threading.Event()
    threading.Timer(0.5, stop.set).start()
    with pytest.raises(UserError, match=r"the fetch was stopped|was cut off"):
        fetch(tar, tmp_path / "a.tar", SIZE, SHA256, stop)
    assert not list(tmp_path.iterdir()) and len(server.seen) == 1


def test_a_server_that_is_not_there_is_one_sentence(tmp_path):
    refused("http://127.0.0.1:9/a.tar", tmp_path / "a.tar", "cannot be reached")


def test_another_file_and_a_longer_one_are_refused(tar, tmp_path):
    refused(tar, tmp_path / "a.tar", "is another file than the recorded one", sha256="0" * 64)
    refused(tar, tmp_path / "a.tar", "more than the 1000 bytes", limit=1000)


def test_nothing_is_fetched_offline_and_passwords_are_not_told(server, tmp_path, monkeypatch):
    monkeypatch.setenv("CSP_DETECT_OFFLINE", "1")
    refused("https://me:secret@host/a.tar", tmp_path / "a.tar", r"^offline, and https:\.\.\.@host/a\.tar is not here")
    assert not server.seen


def program(folder, name, text):
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_buckets_are_read_by_their_programs_and_never_by_a_shell(tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    for name in ("aws", "gsutil"):
        program(tmp_path / "bin", name, f'for one; do echo "$one" >> {tmp_path}/{name}.txt; done; printf content')
    for address in ("s3://bucket/a;touch$IFS/tmp/x.tar", "gs://bucket/$(touch).tar"):
        fetch(address, tmp_path / "a.tar", 100)
        assert (tmp_path / "a.tar").read_bytes() == b"content"
    expected = "s3\ncp\ns3://bucket/a;touch$IFS/tmp/x.tar\n-\n"
    assert (tmp_path / "aws.txt").read_text() == expected
    assert (tmp_path / "gsutil.txt").read_text() == "cat\ngs://bucket/$(touch).tar\n"
    program(tmp_path / "bin", "aws", "exit 3")
    with pytest.raises(UserError, match=r"s3://bucket/b\.tar: aws ended with status 3"):
        fetch("s3://bucket/b.tar", tmp_path / "b.tar", 100)


@pytest.mark.parametrize("address", ["ftp://h/a", "file:///etc/passwd", "ais://b/a", "http://h/{a,b}", "https://h/a b"])
def test_other_addresses_are_refused(address, tmp_path):
    assert is_address(address)
    with pytest.raises(UserError, match="no address that data are read from"):
        checked(address)


def test_what_is_an_address():
    assert not any(map(is_address, ("pipe:cat a", "a/b", "C:\\a", "/a", "a.yaml", "")))
    assert beside("https://h/sets/shards.json", "ü 1.tar") == "https://h/sets/%C3%BC%201.tar"
