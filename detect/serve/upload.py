"""Images that strangers send: read from memory, within limits, never written to a disk."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from starlette.requests import Request

from detect.errors import UserError
from detect.ops.image import decode_image
from detect.ops.image_cost import TooLarge
from detect.serve.engine import Busy

MAX_BYTES = 20_000_000
MAX_PIXELS = 25_000_000  # 75 MB as RGB; several times that while it is decoded
MAX_HELD = 200_000_000  # bytes of all images that are arriving or wait
PATIENCE = 20.0  # s in which an image must have arrived


class Refused(UserError):
    """An answer that is no success: `status` is HTTP's."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class Body:
    """The bytes of one image that is arriving."""

    def __init__(self, room: "Room") -> None:
        self.received, self._room = bytearray(), room

    def add(self, chunk: bytes) -> None:
        """Raises Refused for what is too large, Busy where all together are."""
        if len(self.received) + len(chunk) > MAX_BYTES:
            raise too_large()
        if self._room.held + len(chunk) > MAX_HELD:
            raise Busy("as many images are arriving as there is memory for; ask again later")
        self._room.held += len(chunk)
        self.received += chunk


class Room:
    """The memory for images that arrive or wait; for one thread."""

    def __init__(self) -> None:
        self.held = 0  # bytes

    @contextmanager
    def body(self) -> Iterator[Body]:
        """A `Body`, whose bytes are held until the end of the block."""
        body = Body(self)
        try:
            yield body
        finally:
            self.held -= len(body.received)


async def receive(request: Request, body: Body) -> None:
    """Fill `body` with a request's.  Raises Refused and Busy."""
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and int(length) > MAX_BYTES:
        raise too_large()
    try:
        async with asyncio.timeout(PATIENCE):
            async for chunk in request.stream():
                body.add(chunk)
    except TimeoutError as error:
        raise Refused(408, f"the image did not arrive within {PATIENCE:g} s") from error


def too_large() -> Refused:
    return Refused(413, f"the image has more than {MAX_BYTES // 1_000_000} MB; make it smaller")


def check_type(content_type: str) -> None:
    """Raise Refused for a body that says to be something other than an image."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind.startswith("multipart/"):
        raise Refused(415, "send the image itself as the body, no form around it")
    # curl calls every body a form unless told otherwise
    if kind and not kind.startswith("image/") and kind not in (
        "application/octet-stream", "application/x-www-form-urlencoded"
    ):  # fmt: skip
        raise Refused(415, "the body must be an image: JPEG, PNG, WebP, BMP, GIF, TIFF or AVIF")


def read_upload(body: bytes) -> np.ndarray:
    """The image in `body`, upright, uint8 RGB [height, width, 3].  Raises Refused."""
    if not body:
        raise Refused(400, "the body is empty; send an image as the body")
    try:
        return decode_image(body, "the image", MAX_PIXELS)
    except UserError as error:
        raise Refused(413 if isinstance(error, TooLarge) else 422, str(error)) from error
