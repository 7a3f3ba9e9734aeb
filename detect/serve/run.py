"""Starting the server, and ending it cleanly."""

import asyncio
import errno
import socket
from collections.abc import Callable

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from detect.errors import UserError
from detect.files import printable
from detect.serve.access import check_token, is_loopback
from detect.serve.app import Server
from detect.serve.upload import PATIENCE


class Web(uvicorn.Server):
    """uvicorn's server of a `Server`.  At its end nobody waits for the detector; whoever does gets an answer."""

    def __init__(self, server: Server) -> None:
        self._server = server
        config = uvicorn.Config(
            server.app,
            http=Connection,
            ws="websockets-sansio",
            ws_max_size=1 << 16,  # viewers say nothing
            ws_per_message_deflate=False,  # JPEGs get no smaller
            log_level="critical",  # what goes wrong is answered; uvicorn would print tracebacks of broken connections
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=2,
        )
        super().__init__(config)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._server.close()
        await super().shutdown(sockets)


class Connection(H11Protocol):
    """A connection that is closed when it asks nothing for `PATIENCE`, or does not get to the end of its asking."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.loop.call_later(PATIENCE, self._close_if_idle, None)

    def _close_if_idle(self, before: RequestResponseCycle | None) -> None:
        """Close it if no request has come since `before` was answered."""
        if self.transport.is_closing() or self.transport.get_protocol() is not self:  # it became a WebSocket
            return
        idle = self.cycle is None or self.cycle.response_complete
        if idle and self.cycle is before:
            self.transport.close()
        else:
            self.loop.call_later(PATIENCE, self._close_if_idle, self.cycle)


def check_address(host: str, token: str | None) -> None:
    """Raise UserError for an address that others can reach, without a token, and for a token that can be guessed."""
    check_token(token)
    if not is_loopback(host) and token is None:
        raise UserError(f"{host}: others can reach this address; give a token that they need", argument="host")


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 takes a free one.  Raises UserError."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)  # asyncio sends at once (TCP_NODELAY) if it knows it is TCP
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)  # who comes before the network is loaded waits
    except UnicodeError as error:  # of the name of a host
        raise UserError(f"{printable(host)}: is no name of a host", argument="host") from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise UserError(f"port {port} is taken by another program; choose another", argument="port") from error
        raise UserError(
            f"cannot listen on {printable(host)}, port {port} ({error.strerror or error})", argument="host"
        ) from error
    return listener


def run(server: Server, listener: socket.socket, log: Callable[[str], object]) -> None:
    """Serve until a signal asks to stop, which is raised as `KeyboardInterrupt` when all connections are closed."""
    host, port = listener.getsockname()[:2]
    log(f"open http://{f'[{host}]' if ':' in host else host}:{port}/ (Ctrl-C ends it)")
    Web(server).run([listener])
