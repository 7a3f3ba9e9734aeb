"""The addresses of the server, as a Starlette application."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.resources import files

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from detect.inference.sources import Item
from detect.serve import openapi
from detect.serve.access import Access
from detect.serve.engine import SharedEngine
from detect.serve.images import Images, refusal
from detect.serve.metrics import exposition
from detect.serve.watch import Shot, Watch

PAGE = {
    "/": ("index.html", "text/html"),
    "/page.js": ("page.js", "text/javascript"),
    "/page.css": ("page.css", "text/css"),
}


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
        log: called with sentences on the source, and on a detector that fails.
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
        self.source = item and (item.name if item.medium == "live" else os.path.basename(item.name))
        self.newest, self.images = Newest(), Images(engine, min_score, lowest, log)
        self.watch: Watch | None = None
        routes = [
            *(Route(path, self.page) for path in PAGE),
            Route("/detect", self.images.detect, methods=["POST"]),
            Route("/state", self.state),
            Route("/still/{number}.jpg", self.still),
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
            self.close()
            if self.watch:
                await asyncio.to_thread(self.watch.stop)

    def close(self) -> None:
        """Let nobody wait any longer for a detection: the server stops."""
        self.images.close()
        self.engine.close()

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
        for still in self.watch.history.recent_stills(time.time()) if self.watch else ():
            if str(still.number) == request.path_params["number"]:
                return Response(still.jpeg, media_type="image/jpeg")
        return refusal(404, "there is no such image any more")

    # ---- the rest ----------------------------------------------------------------------------------------------------

    async def page(self, request: Request) -> Response:
        name, kind = PAGE[request.url.path]
        return Response(files("detect.serve").joinpath("page", name).read_bytes(), media_type=kind)

    async def health(self, _: Request) -> Response:
        return JSONResponse({"status": "ok", "source": self.watch.state if self.watch else "none"})

    async def metrics(self, _: Request) -> Response:
        text = exposition(self.images.requests, self.watch, self.newest.viewers)
        return PlainTextResponse(text, media_type="text/plain; version=0.0.4")

    async def openapi(self, _: Request) -> Response:
        return JSONResponse(openapi.description(self.lowest))


async def _until_closed(socket: WebSocket) -> None:
    """Return when a viewer has gone; what viewers say is not listened to."""
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass


async def _not_found(_: Request, __: Exception) -> Response:
    return refusal(404, "there is nothing at this address; GET /openapi.json lists what there is")


async def _wrong_method(_: Request, error: Exception) -> Response:
    sentence = "this address wants another method; GET /openapi.json lists them"
    return refusal(405, sentence, getattr(error, "headers", None))
