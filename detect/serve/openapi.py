"""What can be asked, as an OpenAPI description."""

from typing import Any

from detect.serve.upload import MAX_BYTES, MAX_PIXELS
from detect.version import __version__

_DETECTION = {
    "type": "object",
    "properties": {
        "box": {
            "type": "array",
            "items": {"type": "number"},
            "description": "left, top, right, bottom in px of the upright image",
        },
        "score": {"type": "number"},
        "label": {"type": "integer", "description": "number of the class, from 0"},
        "name": {"type": "string"},
    },
}
_ERROR = {"type": "object", "properties": {"error": {"type": "string", "description": "one sentence"}}}
_STATUSES = {
    "400": "an empty or broken request, or a parameter out of range",
    "401": "the token is missing or wrong",
    "403": "the request comes from another site",
    "408": "the image did not arrive in time",
    "413": "the image is too large",
    "415": "the body is no image",
    "422": "the image cannot be read",
    "503": "too many images are waiting",
}


def _answer(text: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def _parameter(name: str, schema: dict[str, Any], text: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": text}


def description(lowest: float) -> dict[str, Any]:
    """The OpenAPI document; `lowest` is the lowest score that the server keeps."""
    found = {
        "type": "object",
        "properties": {
            "width": {"type": "integer"},
            "height": {"type": "integer"},
            "detections": {"type": "array", "items": _DETECTION, "description": "best first"},
            "seconds": {"type": "number", "description": "in the detector, waiting apart"},
        },
    }
    scores = {"type": "number", "minimum": lowest, "maximum": 1}
    detect = {
        "summary": "What is in an image",
        "parameters": [
            _parameter("min_score", scores, "leave out detections below it"),
            _parameter("classes", {"type": "string"}, "names of the wanted classes, separated by commas"),
        ],
        "requestBody": {
            "required": True,
            "description": f"an image file, at most {MAX_BYTES // 10**6} MB and {MAX_PIXELS // 10**6} megapixels",
            "content": {"image/*": {"schema": {"type": "string", "format": "binary"}}},
        },
        "responses": {"200": _answer("what was found", found)}
        | {status: _answer(text, _ERROR) for status, text in _STATUSES.items()},
    }
    state = {"summary": "The source: speed, delay, counts of the last hour", "responses": {"200": _answer("", {})}}
    health = {"summary": "Whether the server runs, and its source", "responses": {"200": _answer("", {})}}
    numbers = {"summary": "Numbers for Prometheus", "responses": {"200": {"description": "text"}}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "detect", "version": __version__},
        "paths": {
            "/detect": {"post": detect},
            "/state": {"get": state},
            "/health": {"get": health},
            "/metrics": {"get": numbers},
        },
    }
