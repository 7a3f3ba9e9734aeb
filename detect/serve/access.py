"""Who may ask: whoever has the token, and on the own machine no page of another site."""

import hmac
import ipaddress
from http.cookies import SimpleCookie
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from detect.errors import UserError

COOKIE = "detect_token"
OPEN = ("/health",)  # for whoever watches over the server
HEADERS = [
    (b"content-security-policy", b"default-src 'self'; img-src 'self' blob: data:; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
]


class Access:
    """Lets a request or a WebSocket through to `app`, or answers why not.

    Without a token the server listens on the own machine alone. There a page of another site, open in the same
    browser, could still talk to it: by its own origin, or by a name that it has pointed to 127.0.0.1. Both are refused.

    Args:
        app: what is asked.
        token: that a request must carry: as `Authorization: Bearer TOKEN`, or as `?token=TOKEN`, which becomes a
            cookie.

    Raises:
        UserError: the token can be guessed.
    """

    def __init__(self, app: ASGIApp, token: str | None = None) -> None:
        check_token(token)
        self.app, self.token = app, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[-1]
        status, problem = self._problem(scope["path"], headers, given)
        if not problem:
            await self.app(scope, receive, self._with_headers(send, bool(given) and self._is_token(given)))
        elif scope["type"] == "websocket":
            await WebSocketClose(code=1008, reason=problem)(scope, receive, send)
        else:
            await JSONResponse({"error": problem}, status)(scope, receive, self._with_headers(send, False))

    def _problem(self, path: str, headers: Headers, given: str) -> tuple[int, str]:
        """(status, why a request is refused); no words if it is not."""
        host, origin = headers.get("host", ""), headers.get("origin")
        if origin is not None and origin.partition("://")[2] != host:
            return 403, "a page of another site may not ask"
        if self.token is None:
            if not is_loopback(_name(host)):
                return 403, "ask by the name localhost or 127.0.0.1"
            return 0, ""
        if path in OPEN or self._is_token(given) or any(map(self._is_token, _carried(headers))):
            return 0, ""
        return 401, "the token is missing or wrong; give it as Authorization: Bearer TOKEN, or open /?token=TOKEN"

    def _is_token(self, text: str) -> bool:
        return hmac.compare_digest(text.encode(), (self.token or "").encode())

    def _with_headers(self, send: Send, remember: bool) -> Send:
        """`send` that adds `HEADERS`, and the cookie after the token came with the address."""

        async def send_with_headers(message: dict) -> None:
            if message["type"] == "http.response.start":
                own = {name for name, _ in message.get("headers", [])}
                message["headers"] = [*message.get("headers", []), *(pair for pair in HEADERS if pair[0] not in own)]
                if remember and self.token:
                    cookie = SimpleCookie({COOKIE: self.token})[COOKIE]
                    cookie["httponly"], cookie["samesite"], cookie["path"] = True, "Strict", "/"
                    message["headers"].append((b"set-cookie", cookie.OutputString().encode("latin-1")))
            await send(message)

        return send_with_headers  # type: ignore[return-value]


def check_token(token: str | None) -> None:
    """Raise UserError for a token that can be guessed, or is no part of an address."""
    if token is not None and (len(token) < 16 or not token.isascii() or not token.isalnum()):
        raise UserError("a token is at least 16 letters and digits; 'openssl rand -hex 16' makes one", argument="token")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens on `host`, a name or an address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _name(host: str) -> str:
    """The name or address in a Host header, which may have a port; "" for a broken one."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _carried(headers: Headers) -> list[str]:
    """Tokens in the headers of a request."""
    kind, _, bearer = headers.get("authorization", "").partition(" ")
    tokens = [bearer.strip()] if kind.lower() == "bearer" else []
    cookies: SimpleCookie = SimpleCookie()
    try:
        cookies.load(headers.get("cookie", ""))
    except Exception:  # a damaged header
        return tokens
    return tokens + ([cookies[COOKIE].value] if COOKIE in cookies else [])
