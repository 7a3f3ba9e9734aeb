"""POST /detect: images that are sent go through the engine, within bounds of time and memory."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from detect.errors import UserError
from detect.files import printable
from detect.inference.result import Result
from detect.inference.sources import Frame
from detect.serve.engine import CLOSED, Busy, Found, SharedEngine
from detect.serve.metrics import Requests
from detect.serve.upload import Refused, Room, check_type, read_upload, receive

DECODERS = 2  # images that are decoded at a time
DECODED = 4  # images that are decoded, or wait for it, or are detected in; the rest of the line waits as it came


class Images:
    """Answers requests that send an image.

    Args:
        engine: its detector must find all from `lowest` on.
        min_score: what is told unless a request wants otherwise.
        lowest: score below which nothing can be asked for.
        log: called with a sentence when the detector fails.
    """

    def __init__(self, engine: SharedEngine, min_score: float, lowest: float, log: Callable[[str], object]) -> None:
        self.engine, self.min_score, self.lowest, self.log = engine, min_score, lowest, log
        self.requests = Requests()
        self._room, self._decoded = Room(), asyncio.Semaphore(DECODED)
        self._decoders = ThreadPoolExecutor(DECODERS, thread_name_prefix="decode")

    def close(self) -> None:
        """Let nobody wait any longer."""
        self._decoders.shutdown(wait=False, cancel_futures=True)

    async def detect(self, request: Request) -> Response:
        """POST an image, get what is in it."""
        start = time.perf_counter()
        try:
            answer: Response = JSONResponse(await self._detect(request))
        except Refused as error:
            answer = refusal(error.status, str(error))
        except Busy as error:
            answer = refusal(503, str(error), {"Retry-After": "1"})
        except ClientDisconnect:
            answer = refusal(400, "the connection broke off")
        except UserError as error:  # the detector's, about too many tiles or its weights
            if error.argument == "tile":
                answer = refusal(413, str(error))
            else:
                self.log(str(error))
                answer = refusal(500, str(error))
        except Exception as error:  # goes on with the next image; what it says may hold paths
            self.log(f"the detector failed: {printable(repr(error))}")
            answer = refusal(500, "the detector failed on this image")
        self.requests.add(answer.status_code, time.perf_counter() - start)
        return answer

    async def _detect(self, request: Request) -> dict[str, Any]:
        min_score, classes = self._wanted(request)
        check_type(request.headers.get("content-type", ""))
        with self._room.body() as body:
            await receive(request, body)
            with self.engine.place():
                async with self._decoded:
                    return self._told(*await self._found(bytes(body.received)), min_score, classes)

    async def _found(self, body: bytes) -> tuple[np.ndarray, Found]:
        """(image, what is in it).  Raises Busy when the server stops meanwhile."""
        task = asyncio.current_task()
        try:
            decoding = self._decoders.submit(read_upload, body)
        except RuntimeError as error:
            raise Busy(CLOSED) from error
        try:
            image = await asyncio.wrap_future(decoding)
            return image, await asyncio.wrap_future(self.engine.submit(image))
        except asyncio.CancelledError:
            if task and task.cancelling():  # the request itself
                raise
            raise Busy(CLOSED) from None

    def _told(self, image: np.ndarray, found: Found, min_score: float, classes: list[str] | None) -> dict[str, Any]:
        """The answer, as JSON."""
        result = Result(*found.detections, self.engine.detector.names, Frame(image, "image"))
        told = result.filter(classes, min_score).to_dict()
        return {key: told[key] for key in ("width", "height", "detections")} | {"seconds": round(found.seconds, 6)}

    def _wanted(self, request: Request) -> tuple[float, list[str] | None]:
        """(score, class names or None for all) that a request asks for.  Raises Refused."""
        for name in request.query_params:
            if name not in ("min_score", "classes", "token"):
                raise Refused(400, f"there is no parameter '{name[:40]}'; there are min_score and classes")
        text = request.query_params.get("min_score")
        try:
            min_score = self.min_score if text is None else float(text)
        except ValueError:
            min_score = -1.0
        if not self.lowest <= min_score <= 1:
            raise Refused(400, f"min_score must be a number from {self.lowest:g} to 1")
        classes = request.query_params.get("classes")
        names = [name.strip() for name in classes.split(",") if name.strip()] if classes else None
        for name in names or ():
            if name not in self.engine.detector.names:
                raise Refused(400, f"there is no class '{name[:40]}'; GET /state lists them")
        return min_score, names


def refusal(status: int, sentence: str, headers: dict[str, str] | None = None) -> Response:
    """An answer that is no success: `{"error": sentence}`."""
    return JSONResponse({"error": sentence}, status, headers)
