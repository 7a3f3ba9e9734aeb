"""A file comes whole and with the recorded SHA-256, or not at all and with one sentence; the server is on 127.0.0.1."""

import hashlib
import os
import socket
import stat

import pytest
from requests import Response

from detect.errors import UserError
from detect.files import cache_folder
from detect.weights import fetch
from detect.weights.fetch import Remote, fetched, stay_encrypted

CONTENT = bytes(range(256)) * 4000  # about 1 MB, many pieces


@pytest.fixture
def remote(server, cache):
    """The honest one; tests make it another."""
    server.files["x.weights"] = CONTENT
    return remote_of(server)


def remote_of(server, content=CONTENT, folder="", file="x.weights"):
    return Remote(f"{server.url}{folder}/{file}", hashlib.sha256(content).hexdigest(), len(content))


def refused(remote):
    """The sentence of a fetch that fails; it names the address and the place, and nothing is left in the cache."""
    with pytest.raises(UserError) as caught:
        fetched(remote)
    sentence = str(caught.value)
    assert remote.url in sentence and str(remote.path) in sentence and "\n" not in sentence
    folder = remote.path.parent
    assert not folder.exists() or not list(folder.iterdir())
    return sentence


def test_a_file_comes_whole_once_and_with_a_bar(remote, server, cache, capfd):
    (path,) = fetched(remote)
    assert path == cache / "x.weights" and path.read_bytes() == CONTENT
    assert os.listdir(cache) == ["x.weights"] and stat.S_IMODE(path.stat().st_mode) == 0o644
    out, err = capfd.readouterr()
    assert not out and "x.weights: 100%" in err and "1.02M/1.02M" in err
    assert fetched(remote)[0] == path and len(server.seen) == 1


def test_what_was_put_there_by_hand_is_taken(remote, server, cache):
    cache.mkdir()
    (cache / "x.weights").write_bytes(CONTENT)
    assert fetched(remote)[0].read_bytes() == CONTENT and not server.seen


def test_another_file_in_its_place_is_replaced_but_not_before_the_right_one_is_there(remote, server, cache):
    cache.mkdir()
    (cache / "x.weights").write_bytes(b"old")
    server.faults["/x.weights"] = "cut"
    with pytest.raises(UserError, match="was cut off"):
        fetched(remote)
    assert (cache / "x.weights").read_bytes() == b"old"
    server.faults.clear()
    assert fetched(remote)[0].read_bytes() == CONTENT


def test_a_wrong_hash_is_one_sentence_and_the_file_is_gone(remote, server):
    server.files["x.weights"] = CONTENT[:-1] + b"!"
    assert "gave another file than the recorded one" in refused(remote)


def test_more_bytes_than_recorded_are_not_taken(remote, server):
    server.files["x.weights"], server.faults["/x.weights"] = CONTENT * 40, "endless"
    assert "more bytes than the recorded file" in refused(remote)


def test_a_text_has_a_limit_as_well(remote, server):
    server.files["x.cfg"] = b"#" * (fetch.TEXT_BYTES + 1)
    text = Remote(f"{server.url}/x.cfg", hashlib.sha256(server.files["x.cfg"]).hexdigest())
    assert "more bytes than the recorded file" in refused(text)


@pytest.mark.parametrize(
    ("fault", "words"),
    [("cut", "was cut off"), ("forbidden", "answered 403 Forbidden"), ("stall", "did not answer in time")],
)
def test_a_server_that_fails_is_one_sentence(remote, server, monkeypatch, fault, words):
    monkeypatch.setattr(fetch, "READ", 0.3)
    server.faults["/x.weights"] = fault
    assert words in refused(remote)


def test_no_server_is_one_sentence(cache):
    with socket.socket() as nobody:  # a port that is taken, and nobody listens
        nobody.bind(("127.0.0.1", 0))
        remote = Remote(f"http://127.0.0.1:{nobody.getsockname()[1]}/x.weights", "0" * 64, 9)
        assert "perhaps there is no network" in refused(remote)


def test_a_file_that_moved_is_followed(remote, server):
    server.faults["/x.weights"] = "elsewhere"
    assert fetched(remote)[0].read_bytes() == CONTENT
    assert [path for path, _ in server.seen] == ["/x.weights", "/other/x.weights"]


def leads(url, to):
    response = Response()
    response.status_code, response.url, response.headers["location"] = 302, url, to
    return response


def test_https_is_never_left():
    for to in ("https://other/x", "/x?at=12:30", "//other/x"):
        stay_encrypted(leads("https://host/x", to))
    with pytest.raises(OSError, match="leads to http://other/x"):
        stay_encrypted(leads("https://host/x", "http://other/x"))


def test_the_proxy_of_the_environment_is_asked(server, cache, monkeypatch):
    server.files["x.weights"] = CONTENT
    monkeypatch.setenv("http_proxy", server.url)
    remote = Remote("http://weights.invalid/x.weights", hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))
    assert fetched(remote)[0].read_bytes() == CONTENT
    assert [path for path, _ in server.seen] == ["http://weights.invalid/x.weights"]


def test_servers_see_who_asks(remote, server):
    fetched(remote)
    assert server.seen[0][1]["User-Agent"] == fetch.AGENT


def test_offline_nothing_is_fetched_and_the_sentence_says_where_to_put_it(remote, server, cache, monkeypatch):
    monkeypatch.setenv("CSP_DETECT_OFFLINE", "1")
    assert refused(remote).startswith("offline, and ") and not server.seen
    cache.mkdir()
    (cache / "x.weights").write_bytes(b"old")
    with pytest.raises(UserError, match=r"offline, and .* is another file"):
        fetched(remote)
    (cache / "x.weights").write_bytes(CONTENT)
    assert fetched(remote)[0].read_bytes() == CONTENT and not server.seen


@pytest.mark.parametrize("offline", ["", "1"])
def test_the_sentence_names_all_files_that_are_missing(server, cache, monkeypatch, offline):
    monkeypatch.setenv("CSP_DETECT_OFFLINE", offline)
    files = [Remote(f"{server.url}/{name}", "0" * 64) for name in ("a.names", "a.cfg", "a.weights")]
    with pytest.raises(UserError) as caught:
        fetched(*files)
    assert all(remote.url in str(caught.value) for remote in files)


def test_a_cache_that_cannot_be_written_is_one_sentence(remote, cache):
    cache.write_text("a file where the folder should be")
    with pytest.raises(UserError, match=r"x\.weights: cannot be (written|read)"):
        fetched(remote)


def test_the_cache_is_in_the_home_unless_it_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("CSP_DETECT_CACHE", raising=False)
    assert cache_folder() == tmp_path / ".cache" / "csp-detect"
    monkeypatch.setenv("CSP_DETECT_CACHE", "~/elsewhere")
    assert cache_folder() == tmp_path / "elsewhere"
