"""Who may ask."""

import socket
import time
from http.client import HTTPConnection

import pytest
from served import clip, jpeg, running, server
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

import detect.api.serve
from detect.errors import UserError
from detect.serve.access import is_loopback
from detect.serve.run import check_address, listening

TOKEN = "0123456789abcdef0123"


def test_other_sites_are_kept_out():
    with TestClient(server().app, base_url="http://localhost:8000") as client:
        post = lambda **headers: client.post("/detect", content=jpeg(), headers=headers).status_code  # noqa: E731
        assert post() == post(Origin="http://localhost:8000") == 200
        assert post(Origin="http://evil.example") == 403
        assert post(Origin="http://localhost:9000") == 403
        assert post(Host="evil.example") == 403  # a name that points to 127.0.0.1
        assert post(Origin="null") == 403
        assert post(Host="[::1]:8000") == 200


@pytest.mark.parametrize("broken", ["[", "::1]:80", "[zz]", "", "user@evil.example"])
def test_broken_names_are_refused_like_others(broken):
    with TestClient(server().app, base_url="http://localhost") as client:
        assert client.get("/state", headers={"Host": broken}).status_code == 403
        assert client.get("/state", headers={"Origin": f"http://{broken}"}).status_code == 403


def test_every_address_of_this_machine_alone_may_be_its_name():
    with TestClient(server().app, base_url="http://127.0.0.2:8000") as client:
        assert client.get("/state").status_code == 200


def test_no_page_of_another_site_shows_an_image_of_ours():
    with TestClient(server().app, base_url="http://localhost") as client:
        assert client.get("/state").headers["cross-origin-resource-policy"] == "same-origin"


def test_no_page_of_another_site_watches(tmp_path):
    with TestClient(server(clip(tmp_path / "clip.avi")).app, base_url="http://localhost") as client:
        foreign = client.websocket_connect("/watch", headers={"Origin": "http://evil.example"})
        with pytest.raises(WebSocketDisconnect) as closed, foreign:
            pass
        assert closed.value.code == 1008


def test_with_a_token_only_who_has_it_may_ask():
    with TestClient(server(token=TOKEN).app, base_url="http://camera.example") as client:
        assert client.get("/state").status_code == 401
        for open_to_all in ("/health", "/health?token=wrong", "/health?token="):
            answer = client.get(open_to_all)
            assert answer.status_code == 200 and TOKEN not in str(answer.headers)
        assert client.get("/state", headers={"Authorization": "Bearer wrong"}).status_code == 401
        assert client.get("/state", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
        assert client.get("/state").status_code == 401  # it is not remembered
        opened = client.get(f"/?token={TOKEN}")
        cookie = opened.headers["set-cookie"]
        assert opened.status_code == 200 and "HttpOnly" in cookie and "SameSite=Strict" in cookie
        assert client.get("/state").status_code == 200  # by the cookie


def test_pages_load_nothing_from_other_hosts():
    with TestClient(server().app, base_url="http://localhost") as client:
        for path in ("/", "/page.js", "/page.css"):
            answer = client.get(path)
            assert answer.status_code == 200 and "http" not in answer.text.replace('protocol.replace("http"', "")
            assert answer.headers["content-security-policy"].startswith("default-src 'self'")


def test_an_address_that_others_reach_wants_a_token():
    check_address("127.0.0.1", None)
    check_address("0.0.0.0", TOKEN)
    for host in ("0.0.0.0", "192.168.1.7", "::", "camera.example"):
        with pytest.raises(UserError, match="others can reach this address"):
            check_address(host, None)
    with pytest.raises(UserError, match="at least 16 letters and digits"):
        check_address("0.0.0.0", "secret")


def test_a_token_that_can_be_guessed_is_refused_by_programs_too():
    for token in ("", "secret", "0123456789abcdef 123", "é" * 20):
        with pytest.raises(UserError, match="at least 16 letters and digits"):
            server(token=token)
    for score in (0.01, 2):
        with pytest.raises(UserError, match=r"give a number from 0\.05 to 1"):
            detect.api.serve.server("none.xml", min_score=score)


def test_loopback_is_told_from_other_addresses():
    assert all(map(is_loopback, ("localhost", "127.0.0.1", "127.9.9.9", "::1")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "10.0.0.1", "localhost.evil.example")))


def test_who_does_not_get_to_the_end_of_asking_is_left(monkeypatch):
    monkeypatch.setattr("detect.serve.run.PATIENCE", 0.3)
    with running(server()) as address:
        port = int(address.rpartition(":")[2])
        silent, slow = (socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(2))
        slow.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\nGET /hea")
        busy = HTTPConnection("127.0.0.1", port, timeout=10)
        busy.connect()
        mine = busy.sock
        for _ in range(8):
            busy.request("GET", "/health")
            assert busy.getresponse().read() and busy.sock is mine
            time.sleep(0.1)
        while slow.recv(4096):
            pass
        assert silent.recv(4096) == b""
        for connection in (silent, slow, busy):
            connection.close()


def test_a_name_of_a_host_that_cannot_be_one_is_a_sentence():
    for name in ("a" * 70, "a..b"):
        with pytest.raises(UserError, match="is no name of a host") as error:
            listening(name, 0)
        assert error.value.argument == "host"


def test_answers_are_sent_at_once():
    with listening("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP  # else every answer would wait 40 ms for the one before


def test_a_port_that_is_taken_is_one_sentence():
    with listening("127.0.0.1", 0) as taken:
        with pytest.raises(UserError, match="is taken by another program") as error:
            listening("127.0.0.1", taken.getsockname()[1])
        assert error.value.argument == "port"
