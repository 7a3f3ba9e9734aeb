"""POST /detect: images in, JSON out, and one sentence for everything else."""

import threading
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from served import Finder, jpeg, server
from starlette.testclient import TestClient

from detect.serve import upload
from detect.serve.engine import Busy, SharedEngine


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
    waiting = [engine.submit(np.zeros((10 + n, 10, 3), np.uint8)) for n in range(3)]
    with pytest.raises(Busy, match="3 images are waiting"):
        engine.submit(np.zeros((10, 10, 3), np.uint8))
    for future in waiting:
        future.result()
    assert [shape[0] for shape in finder.images] == [10, 11, 12]
    engine.submit(np.zeros((10, 10, 3), np.uint8)).result()  # there is room again


def test_who_finds_no_room_is_asked_to_come_again():
    made = server()
    made.engine = SharedEngine(Finder(), waiting=0)
    with TestClient(made.app, base_url="http://localhost") as client:
        answer = client.post("/detect", content=jpeg())
    assert answer.status_code == 503 and answer.headers["retry-after"] == "1"
