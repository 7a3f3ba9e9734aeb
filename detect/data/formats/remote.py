"""Files of data at addresses, http(s)://, s3:// and gs://: fetched whole, with the right SHA-256, or not at all.

webdataset opens the addresses: it runs curl, gsutil or (asked here) aws, each by a list of arguments, never by a shell.
Its `pipe:`, which is one, and its other schemes are not reached.
"""

import hashlib
import re
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from detect.errors import UserError
from detect.extras import not_installed
from detect.files import hidden, is_offline, printable, replacing

if TYPE_CHECKING:
    from webdataset.gopen import Pipe

SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://")
ADDRESS = re.compile(r"(https?|s3|gs)://[^\s{}\[\]\\^`|<>\"'\x00-\x20\x7f]+")  # curl takes {} and [] for patterns
CHUNK = 1 << 20  # bytes
LOOK = 0.2  # s after which it is seen whether to stop
PATIENCE = 120  # s without a byte; curl itself tries again for a minute where a server is busy
PAUSES = (1, 5, 15)  # s before another try
FINAL = {3, 22, 35, 51, 58, 60, 127}  # exit statuses after which another try helps nothing
REASONS = {
    6: "its host is not known",
    7: "cannot be reached; perhaps there is no network",
    18: "was cut off on its way",
    22: "the server has no such file, or refuses it",
    28: "the server did not answer in time",
    35: "the server's certificate is not trusted",
    56: "was cut off on its way",
    60: "the server's certificate is not trusted",
}


def is_address(place: str) -> bool:
    """Whether a place of data is an address and no path."""
    return SCHEME.match(place) is not None


def checked(address: str) -> str:
    """The address, if it is one that is fetched from.  Raises UserError."""
    if ADDRESS.fullmatch(address):
        return address
    shown = printable(hidden(address))
    raise UserError(
        f"{shown}: no address that data are read from; they are http://, https://, s3:// and gs://, with blanks, "
        "brackets and quotation marks written as %20 and the like",
        argument="data",
    )


def beside(address: str, name: str) -> str:
    """The address of the file `name` in the folder of another address."""
    return f"{address.rpartition('/')[0]}/{quote(name)}"


def fetch(address: str, path: Path, limit: int, sha256: str | None = None, stop: threading.Event | None = None) -> None:
    """Bring a file of at most `limit` bytes to `path`, whole or not at all.

    What is cut off, stalls or is refused for the moment is tried again, for some minutes.

    Args:
        stop: once it is set, the fetch ends soon, with an error.

    Raises:
        UserError: it cannot be fetched, is larger, has another SHA-256, or cannot be written.
    """
    shown, stop = printable(hidden(checked(address))), stop or threading.Event()
    if is_offline():
        raise UserError(f"offline, and {shown} is not here; fetch it where there is a network")
    for pause in (*PAUSES, None):
        try:
            with replacing(path) as temporary:
                digest = _copy(address, temporary, limit, stop)
                if sha256 and digest != sha256:
                    raise _Failed("is another file than the recorded one (its SHA-256 differs)", is_final=True)
            return
        except _Failed as failed:
            if failed.is_final or pause is None or stop.wait(pause):
                raise UserError(f"{shown}: {failed}; try again, or copy the data to a folder") from failed


class _Failed(Exception):
    def __init__(self, reason: str, is_final: bool = False) -> None:
        super().__init__(reason)
        self.is_final = is_final


def _copy(address: str, path: Path, limit: int, stop: threading.Event) -> str:
    """Write what an address gives into a file; its SHA-256.  Raises _Failed, and OSError where it cannot be written."""
    digest, size = hashlib.sha256(), 0
    with open(path, "wb") as file:
        for chunk in _chunks(address, stop):
            size += len(chunk)
            if size > limit:
                raise _Failed(f"has more than the {limit} bytes that it may have", is_final=True)
            digest.update(chunk)
            file.write(chunk)
    return digest.hexdigest()


def _chunks(address: str, stop: threading.Event) -> Iterator[bytes]:
    pipe, done, moved, ended = _open(address), threading.Event(), time.monotonic(), ""

    def watch() -> None:
        nonlocal ended
        while not done.wait(LOOK) and not ended:
            if stop.is_set() or time.monotonic() - moved > PATIENCE:
                ended = "the fetch was stopped" if stop.is_set() else f"nothing came of it for {PATIENCE} s"
                pipe.proc.kill()  # the read in progress ends

    threading.Thread(target=watch, daemon=True).start()
    try:
        while chunk := pipe.read(CHUNK):
            yield chunk
            moved = time.monotonic()
        pipe.close()
    except OSError as error:  # what the library makes of an exit status
        reason = ended or REASONS.get(pipe.status, f"{pipe.proc.args[0]} ended with status {pipe.status}")
        raise _Failed(reason, stop.is_set() or pipe.status in FINAL) from error
    finally:
        done.set()
        pipe.proc.kill()  # no more of it is wanted
        with suppress(OSError):
            pipe.close()


def _open(address: str) -> "Pipe":
    """What an address gives, as a stream.  Raises UserError: a program that it takes is not there."""
    try:
        from webdataset.gopen import Pipe, gopen
    except ImportError as error:
        raise not_installed(error) or error from error
    try:
        if address.startswith("s3://"):  # of which the library knows no more than pipes
            return Pipe(["aws", "s3", "cp", address, "-"], mode="rb", bufsize=8192)
        return gopen(address, "rb")
    except FileNotFoundError as error:
        raise UserError(f"{printable(hidden(address))}: needs the program {error.filename}; install it") from error
