"""Starting the server, and ending it cleanly."""

import errno
import ipaddress
import socket
from collections.abc import Callable

import uvicorn

from detect.errors import UserError
from detect.serve.access import LOOPBACK
from detect.serve.app import Server


def check_address(host: str, token: str | None) -> None:
    """Raise UserError for an address that others can reach, without a token, and for a token that can be guessed."""
    if token is not None and (len(token) < 16 or not token.isascii() or not token.isalnum()):
        raise UserError("a token is at least 16 letters and digits; 'openssl rand -hex 16' makes one", argument="token")
    if not is_loopback(host) and token is None:
        raise UserError(f"{host}: others can reach this address; give a token that they need", argument="host")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens on `host`."""
    if host in LOOPBACK:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 takes a free one.  Raises UserError."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)  # asyncio sends at once (TCP_NODELAY) if it knows it is TCP
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)  # who comes before the network is loaded waits
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise UserError(f"port {port} is taken by another program; choose another", argument="port") from error
        raise UserError(f"cannot listen on {host}, port {port} ({error.strerror or error})", argument="host") from error
    return listener


def run(server: Server, listener: socket.socket, log: Callable[[str], object]) -> None:
    """Serve until a signal asks to stop, which is raised as `KeyboardInterrupt` when all connections are closed."""
    host, port = listener.getsockname()[:2]
    log(f"open http://{f'[{host}]' if ':' in host else host}:{port}/ (Ctrl-C ends it)")
    config = uvicorn.Config(
        server.app,
        log_level="critical",  # what goes wrong is answered; uvicorn would print tracebacks of broken connections
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=2,
        ws_max_size=1 << 16,  # viewers say nothing
        ws="websockets-sansio",
    )
    uvicorn.Server(config).run([listener])
