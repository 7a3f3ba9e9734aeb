"""Who may ask."""

import socket

import pytest
from served import clip, jpeg, server
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from detect.errors import UserError
from detect.serve.run import check_address, is_loopback, listening

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


def test_no_page_of_another_site_watches(tmp_path):
    with TestClient(server(clip(tmp_path / "clip.avi")).app, base_url="http://localhost") as client:
        foreign = client.websocket_connect("/watch", headers={"Origin": "http://evil.example"})
        with pytest.raises(WebSocketDisconnect) as closed, foreign:
            pass
        assert closed.value.code == 1008


def test_with_a_token_only_who_has_it_may_ask():
    with TestClient(server(token=TOKEN).app, base_url="http://camera.example") as client:
        assert client.get("/state").status_code == 401
        assert client.get("/health").status_code == 200
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


def test_loopback_is_told_from_other_addresses():
    assert all(map(is_loopback, ("localhost", "127.0.0.1", "127.9.9.9", "::1")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "10.0.0.1", "localhost.evil.example")))


def test_answers_are_sent_at_once():
    with listening("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP  # else every answer would wait 40 ms for the one before


def test_a_port_that_is_taken_is_one_sentence():
    with listening("127.0.0.1", 0) as taken:
        with pytest.raises(UserError, match="is taken by another program") as error:
            listening("127.0.0.1", taken.getsockname()[1])
        assert error.value.argument == "port"
