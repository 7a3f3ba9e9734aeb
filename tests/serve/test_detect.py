"""POST /detect: images in, JSON out, and one sentence for everything else."""

import threading
import time
from io import BytesIO
from urllib.error import HTTPError
from urllib.request import urlopen

import numpy as np
import pytest
from browser import wait_for
from PIL import Image
from served import Finder, jpeg, running, server
from starlette.testclient import TestClient

from detect.errors import UserError
from detect.inference.tiling import Tiling
from detect.serve import upload
from detect.serve.app import Server
from detect.serve.engine import Busy, SharedEngine
from detect.serve.images import DECODED


@pytest.fixture
def client():
    with TestClient(server().app, base_url="http://localhost") as client:
        yield client


def test_an_image_is_answered_with_what_the_detector_finds(client):
    answer = client.post("/detect", content=jpeg(64, 48), headers={"Content-Type": "image/jpeg"})
    assert answer.status_code == 200
    told = answer.json()
    assert (told["width"], told["height"]) == (64, 48)
    assert told["detections"] == [
        {"box": [0, 0, 32, 24], "score": 0.9, "label": 0, "name": "person"},
        {"box": [0, 0, 32, 48], "score": 0.4, "label": 1, "name": "dog"},
    ]
    assert told["seconds"] >= 0


def test_parameters_choose_scores_and_classes(client):
    found = lambda query: [d["score"] for d in client.post(f"/detect?{query}", content=jpeg()).json()["detections"]]  # noqa: E731
    assert found("min_score=0.05") == [0.9, 0.4, 0.1]
    assert found("min_score=0.05&classes=person") == [0.9, 0.1]
    assert found("classes=dog,person") == [0.9, 0.4]


def test_a_turned_photo_is_answered_upright(client):
    file, exif = BytesIO(), Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (64, 48)).save(file, "JPEG", exif=exif)
    told = client.post("/detect", content=file.getvalue()).json()
    assert (told["width"], told["height"]) == (48, 64)


def answer_of(address, body):
    """The status of an answer."""
    try:
        return urlopen(f"{address}/detect", data=body, timeout=20).status
    except HTTPError as error:
        return error.code


def bomb():
    """A small PNG that says to have 400 megapixels."""
    file = BytesIO()
    Image.new("1", (20_000, 20_000)).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    "query, body, kind, status, words",
    [
        ("", b"", "image/jpeg", 400, "empty"),
        ("", b"no image at all", "image/jpeg", 422, "not a readable image"),
        ("", jpeg()[:200], "image/jpeg", 422, "the image: "),
        ("", jpeg(), "text/html", 415, "must be an image"),
        ("", b"--x\r\n", "multipart/form-data; boundary=x", 415, "no form"),
        ("", bomb(), "image/png", 413, "megapixels"),
        ("min_score=2", jpeg(), "image/jpeg", 400, "min_score must be a number from 0.05 to 1"),
        ("min_score=nan", jpeg(), "image/jpeg", 400, "min_score"),
        ("min_score=x", jpeg(), "image/jpeg", 400, "min_score"),
        ("classes=cat", jpeg(), "image/jpeg", 400, "no class 'cat'"),
        ("score=0.5", jpeg(), "image/jpeg", 400, "no parameter 'score'"),
    ],
)
def test_what_cannot_be_answered_is_one_sentence(client, query, body, kind, status, words):
    answer = client.post(f"/detect?{query}", content=body, headers={"Content-Type": kind})
    assert answer.status_code == status
    assert words in answer.json()["error"] and "\n" not in answer.json()["error"]


def test_the_size_of_a_body_has_a_bound(client, monkeypatch):
    monkeypatch.setattr(upload, "MAX_BYTES", 1000)
    assert client.post("/detect", content=b"x" * 1001).status_code == 413
    parts = (b"x" * 300 for _ in range(5))  # without a length
    assert client.post("/detect", content=parts).status_code == 413


def test_damaged_images_get_an_answer_of_the_four_hundreds(client):
    rng = np.random.default_rng(0)
    whole = np.frombuffer(jpeg(), np.uint8)
    for _ in range(300):
        body = whole.copy()
        body[rng.integers(len(body), size=rng.integers(1, 30))] = rng.integers(256)
        answer = client.post("/detect", content=body[: rng.integers(len(body) + 1)].tobytes())
        assert answer.status_code == 200 or answer.status_code in (400, 413, 422), answer.text


def test_other_methods_and_addresses_are_told(client):
    assert client.get("/detect").status_code == 405
    assert client.get("/nothing").status_code == 404
    assert "openapi" in client.get("/../../etc/passwd").json()["error"]


def test_the_description_names_every_address(client):
    told = client.get("/openapi.json").json()
    assert set(told["paths"]) == {"/detect", "/state", "/health", "/metrics"}
    for path, methods in told["paths"].items():
        for method in methods:
            assert client.request(method, path).status_code != 404


def test_eight_at_once_are_all_answered_and_the_numbers_add_up(client):
    answers = []
    ask = lambda: answers.append(client.post("/detect", content=jpeg()).status_code)  # noqa: E731
    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 8
    client.post("/detect", content=b"")
    numbers = client.get("/metrics").text
    assert 'detect_requests_total{status="200"} 8' in numbers
    assert 'detect_requests_total{status="400"} 1' in numbers
    assert 'detect_request_seconds_bucket{le="+Inf"} 8' in numbers
    assert "detect_request_seconds_count 8" in numbers


def test_images_are_taken_in_the_order_they_came_and_the_line_has_an_end():
    finder = Finder(seconds=0.02)
    engine = SharedEngine(finder, waiting=3)
    with engine.place(), engine.place():
        with engine.place():
            waiting = [engine.submit(np.zeros((10 + n, 10, 3), np.uint8)) for n in range(3)]
            with pytest.raises(Busy, match="3 images are waiting"), engine.place():
                pass
            for future in waiting:
                future.result()
        assert [shape[0] for shape in finder.images] == [10, 11, 12]
        with engine.place():  # there is room again
            pass


def test_who_finds_no_room_is_asked_to_come_again():
    made = Server(SharedEngine(Finder(), waiting=0), "a test", 0.25, 0.05)
    with TestClient(made.app, base_url="http://localhost") as client:
        answer = client.post("/detect", content=jpeg())
    assert answer.status_code == 503 and answer.headers["retry-after"] == "1"


def test_images_that_arrive_take_no_more_memory_than_there_is(client, monkeypatch):
    monkeypatch.setattr(upload, "MAX_HELD", len(jpeg()))
    for _ in range(3):  # what is answered is forgotten
        assert client.post("/detect", content=jpeg()).status_code == 200
    assert client.post("/detect", content=jpeg() + b"0").status_code == 503
    assert client.post("/detect", content=jpeg()).status_code == 200


def test_few_images_are_decoded_at_a_time_and_all_are_answered(monkeypatch):
    decoded, most = [], []
    monkeypatch.setattr("detect.serve.images.read_upload", lambda body: decoded.append(0) or upload.read_upload(body))
    finder = Finder(seconds=0.02)
    found = finder.detect_batch
    finder.detect_batch = lambda images: most.append(len(decoded) - len(finder.images)) or found(images)
    answers = []
    with TestClient(server(finder=finder).app, base_url="http://localhost") as client:
        ask = lambda: answers.append(client.post("/detect", content=jpeg()).status_code)  # noqa: E731
        threads = [threading.Thread(target=ask) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert answers == [200] * 20 and 1 < max(most) <= DECODED


def test_an_image_of_too_many_tiles_is_the_askers_fault():
    lines, finder = [], Finder()
    made = Server(SharedEngine(finder), "a test", 0.25, 0.05, log=lines.append)
    with TestClient(made.app, base_url="http://localhost") as client:
        finder.detect_batch = lambda images: [Tiling(32, 0).views(10_000, 10_000)]
        answer = client.post("/detect", content=jpeg())
    assert answer.status_code == 413 and "makes 97,969 tiles of 32 px" in answer.json()["error"] and not lines


@pytest.mark.parametrize(
    "error, told, said",
    [
        (UserError("boxes that are no finite number"), "boxes that are no finite number", "boxes that are no"),
        (RuntimeError("/home/me/model.xml"), "the detector failed on this image", "/home/me/model.xml"),
    ],
)
def test_a_detector_that_fails_is_the_servers_fault_and_the_next_image_is_answered(error, told, said):
    lines, finder = [], Finder()
    made = Server(SharedEngine(finder), "a test", 0.25, 0.05, log=lines.append)
    with TestClient(made.app, base_url="http://localhost") as client:
        finder.detect_batch = lambda images: (_ for _ in ()).throw(error)
        answer = client.post("/detect", content=jpeg())
        del finder.detect_batch
        assert client.post("/detect", content=jpeg()).status_code == 200
        assert 'detect_requests_total{status="500"} 1' in client.get("/metrics").text
    assert answer.status_code == 500 and answer.json() == {"error": told}
    assert len(lines) == 1 and said in lines[0]


def test_who_waits_when_the_server_stops_is_told():
    finder, answers = Finder(seconds=0.5), []
    with running(server(finder=finder)) as address:
        ask = lambda: answers.append(answer_of(address, jpeg()))  # noqa: E731
        threads = [threading.Thread(target=ask) for _ in range(10)]
        for thread in threads:
            thread.start()
        wait_for(lambda: len(finder.started) == 1, "the first image")
        time.sleep(0.2)
    for thread in threads:
        thread.join()
    assert sorted(set(answers)) == [200, 503] and answers.count(200) == 1
