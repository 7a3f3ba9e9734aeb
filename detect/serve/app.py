"""The addresses of the server, as a Starlette application."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from detect.errors import UserError
from detect.inference.result import Result
from detect.inference.sources import Frame, Item
from detect.serve import openapi, upload
from detect.serve.access import Access
from detect.serve.engine import Busy, SharedEngine
from detect.serve.metrics import Requests, exposition
from detect.serve.upload import Refused
from detect.serve.watch import Shot, Watch

PAGE = {
    "/": ("index.html", "text/html"),
    "/page.js": ("page.js", "text/javascript"),
    "/page.css": ("page.css", "text/css"),
}
DECODERS = 2  # images that are decoded at a time, so that memory has a bound
PATIENCE = 20.0  # s in which an image must have arrived


@dataclass
class Newest:
    """The newest shot for all viewers, who wait for it in the event loop."""

    shot: Shot | None = None
    viewers: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def publish(self, shot: Shot) -> None:
        self.shot, changed, self.changed = shot, self.changed, asyncio.Event()
        changed.set()


class Server:
    """What the addresses share.

    Args:
        engine: its detector must find all from `lowest` on.
        title: of the weights, for the page.
        min_score: what is shown unless a viewer or a request wants otherwise.
        lowest: score below which nothing is kept.
        item: the source to watch, if there is one.
        token: see `Access`.
        log: called with sentences on the source.
    """

    def __init__(
        self,
        engine: SharedEngine,
        title: str,
        min_score: float,
        lowest: float,
        item: Item | None = None,
        token: str | None = None,
        log: Callable[[str], object] = print,
    ) -> None:
        self.engine, self.title, self.min_score, self.lowest, self.item = engine, title, min_score, lowest, item
        self.log = log
        self.source = os.path.basename(item.name) if item and item.medium == "video" else item and item.name
        self.newest, self.requests = Newest(), Requests()
        self.watch: Watch | None = None
        self._decoders = ThreadPoolExecutor(DECODERS, thread_name_prefix="decode")
        routes = [
            *(Route(path, self.page) for path in PAGE),
            Route("/detect", self.detect, methods=["POST"]),
            Route("/state", self.state),
            Route("/still/{number:int}.jpg", self.still),
            Route("/health", self.health),
            Route("/metrics", self.metrics),
            Route("/openapi.json", self.openapi),
            WebSocketRoute("/watch", self.view),
        ]
        handlers = {404: _not_found, 405: _wrong_method}
        self.app = Access(Starlette(routes=routes, lifespan=self._lifespan, exception_handlers=handlers), token)

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        if self.item:

            def publish(shot: Shot) -> None:
                loop.call_soon_threadsafe(self.newest.publish, shot)

            def has_viewers() -> bool:
                return self.newest.viewers > 0

            self.watch = Watch(self.item, self.engine, self.min_score, publish, has_viewers, self.log)
            self.watch.start()
        try:
            yield
        finally:
            self.engine.close()
            self._decoders.shutdown(wait=False, cancel_futures=True)
            if self.watch:
                await asyncio.to_thread(self.watch.stop)

    # ---- images that are sent ----------------------------------------------------------------------------------------

    async def detect(self, request: Request) -> Response:
        """POST an image, get what is in it."""
        start = time.perf_counter()
        try:
            answer: Response = JSONResponse(await self._detect(request))
        except Refused as error:
            answer = _error(error.status, str(error))
        except Busy as error:
            answer = _error(503, str(error), {"Retry-After": "1"})
        except UserError as error:
            answer = _error(400, str(error))
        except ClientDisconnect:
            answer = _error(400, "the connection broke off")
        self.requests.add(answer.status_code, time.perf_counter() - start)
        return answer

    async def _detect(self, request: Request) -> dict[str, Any]:
        min_score, classes = self._wanted(request)
        upload.check_type(request.headers.get("content-type", ""))
        body = await _body(request)
        loop = asyncio.get_running_loop()
        image = await loop.run_in_executor(self._decoders, upload.read_upload, body)
        found = await asyncio.wrap_future(self.engine.submit(image))
        result = Result(*found.detections, self.engine.detector.names, Frame(image, "image"))
        height, width = image.shape[:2]
        rows = result.filter(classes, min_score)
        detections = [
            {
                "box": [round(x, 2) for x in box.tolist()],
                "score": round(score, 5),
                "label": int(label),
                "name": name,
            }
            for (box, score, name), label in zip(rows, rows.labels, strict=True)
        ]
        return {"width": width, "height": height, "detections": detections, "seconds": round(found.seconds, 6)}

    def _wanted(self, request: Request) -> tuple[float, list[str] | None]:
        """(score, class names or None for all) that a request asks for.  Raises UserError."""
        for name in request.query_params:
            if name not in ("min_score", "classes", "token"):
                raise UserError(f"there is no parameter '{name[:40]}'; there are min_score and classes")
        text = request.query_params.get("min_score")
        try:
            min_score = self.min_score if text is None else float(text)
        except ValueError:
            min_score = -1.0
        if not self.lowest <= min_score <= 1:
            raise UserError(f"min_score must be a number from {self.lowest:g} to 1")
        classes = request.query_params.get("classes")
        names = [name.strip() for name in classes.split(",") if name.strip()] if classes else None
        for name in names or ():
            if name not in self.engine.detector.names:
                raise UserError(f"there is no class '{name[:40]}'; GET /state lists them")
        return min_score, names

    # ---- the source that is watched ----------------------------------------------------------------------------------

    async def view(self, socket: WebSocket) -> None:
        """A WebSocket that sends the newest shot, then what is newest by then: nobody waits for a slow viewer."""
        await socket.accept()
        self.newest.viewers += 1
        left = asyncio.create_task(_until_closed(socket))
        try:
            seen = None
            while not left.done():
                if self.newest.shot is seen or self.newest.shot is None:
                    waiting = asyncio.create_task(self.newest.changed.wait())
                    await asyncio.wait((waiting, left), return_when=asyncio.FIRST_COMPLETED)
                    waiting.cancel()
                    continue
                seen = self.newest.shot
                await socket.send_bytes(seen.message)
        except (WebSocketDisconnect, RuntimeError, OSError):  # it broke off while something was sent
            pass
        finally:
            self.newest.viewers -= 1
            left.cancel()

    async def state(self, _: Request) -> Response:
        """The page's numbers."""
        watch, now = self.watch, time.time()
        known = {
            "title": self.title,
            "names": list(self.engine.detector.names),
            "min_score": self.min_score,
            "lowest": self.lowest,
            "source": self.source,
        }
        if watch is None:
            return JSONResponse(known)
        stills = [{"number": s.number, "time": s.when, "count": s.count} for s in watch.history.recent_stills(now)]
        told = {
            "state": watch.state,
            "fps": round(watch.fps, 2),
            "latency": round(watch.latency, 4),
            "frames": watch.frames,
            "dropped": watch.dropped,
            "history": watch.history.points(now),
            "stills": stills,
        }
        return JSONResponse(known | told)

    async def still(self, request: Request) -> Response:
        """The busiest image of a period."""
        for still in self.watch.history.stills if self.watch else ():
            if still.number == request.path_params["number"]:
                return Response(still.jpeg, media_type="image/jpeg")
        return _error(404, "there is no such image any more")

    # ---- the rest ----------------------------------------------------------------------------------------------------

    async def page(self, request: Request) -> Response:
        name, kind = PAGE[request.url.path]
        return Response(files("detect.serve").joinpath("page", name).read_bytes(), media_type=kind)

    async def health(self, _: Request) -> Response:
        return JSONResponse({"status": "ok", "source": self.watch.state if self.watch else "none"})

    async def metrics(self, _: Request) -> Response:
        text = exposition(self.requests, self.watch, self.newest.viewers)
        return PlainTextResponse(text, media_type="text/plain; version=0.0.4")

    async def openapi(self, _: Request) -> Response:
        return JSONResponse(openapi.description(self.lowest))


async def _body(request: Request) -> bytes:
    """The body of a request, within `upload.MAX_BYTES` and `PATIENCE`.  Raises Refused."""
    too_large = Refused(413, f"the image has more than {upload.MAX_BYTES // 1_000_000} MB; make it smaller")
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and int(length) > upload.MAX_BYTES:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(PATIENCE):
            async for chunk in request.stream():
                body += chunk
                if len(body) > upload.MAX_BYTES:
                    raise too_large
    except TimeoutError as error:
        raise Refused(408, f"the image did not arrive within {PATIENCE:g} s") from error
    return bytes(body)


async def _until_closed(socket: WebSocket) -> None:
    """Return when a viewer has gone; what viewers say is not listened to."""
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass


def _error(status: int, sentence: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": sentence}, status, headers)


async def _not_found(_: Request, __: Exception) -> Response:
    return _error(404, "there is nothing at this address; GET /openapi.json lists what there is")


async def _wrong_method(_: Request, error: Exception) -> Response:
    sentence = "this address wants another method; GET /openapi.json lists them"
    return _error(405, sentence, getattr(error, "headers", None))
