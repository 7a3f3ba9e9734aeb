"""Files from the network into the cache: whole, with the recorded SHA-256, or not at all and one sentence."""

import hashlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from detect.errors import UserError
from detect.files import cache_folder, cannot_read, cannot_write, is_offline, printable

CONNECT, READ = 10, 30  # s: longest wait for a connection, and for the next piece of an answer
TEXT_BYTES = 1 << 20  # a .cfg or .names is smaller
AGENT = "csp-detect (weights by name)"  # some hosts refuse the default one of libraries


@dataclass(frozen=True)
class Remote:
    """A file that can be fetched.

    `bytes` is the size of large ones, shown as they come. Nothing larger is taken, nothing with another `sha256`.
    """

    url: str
    sha256: str
    bytes: int | None = None

    @property
    def file(self) -> str:
        """Its name, in the address as well as in the cache."""
        return self.url.rsplit("/", 1)[1]

    @property
    def path(self) -> Path:
        """Where it lies once it was fetched, or put there by hand."""
        return cache_folder() / self.file

    @property
    def is_here(self) -> bool:
        """Whether a file of its name and size lies there; `fetched` also looks at what is in it."""
        return self.path.is_file() and self.bytes in (None, self.path.stat().st_size)


def sha256_of(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file, 64 hexadecimal digits.  Raises UserError."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise cannot_read(path, error) from error


class _TooLong(Exception):
    """A server gives more bytes than the recorded file has."""


def fetched(*remotes: Remote) -> list[Path]:
    """The files' paths in the cache, where they are fetched to if they are not there.

    Proxies are those of the environment (HTTPS_PROXY and its kin). A file there with another SHA-256 is replaced.

    Raises:
        UserError: one cannot be fetched, is another file than the recorded one, or cannot be written; whatever had come
            of it is gone.
    """
    return [_fetched(remote, remotes[i + 1 :]) for i, remote in enumerate(remotes)]


def _fetched(remote: Remote, others: Sequence[Remote]) -> Path:
    """`fetched` of one; `others` are still to come."""
    path = remote.path
    if path.is_file() and sha256_of(path) == remote.sha256:
        return path
    by_hand = f"put it at {path} by hand" + "".join(f", and {o.url} beside it" for o in others if not o.is_here)
    if is_offline():
        state = "another file (its SHA-256 differs)" if path.is_file() else "not there"
        raise UserError(f"offline, and {path} is {state}; fetch {remote.url} where there is a network and {by_hand}")
    try:
        _retrieve(remote)
    except (_TooLong, OSError, ValueError) as error:  # requests' errors are OSErrors
        reason = _reason(error)
        if not reason:
            raise cannot_write(path, error) from error
        raise UserError(f"{remote.url}: {reason}; try again, or fetch it by other means and {by_hand}") from error
    return path


def _retrieve(remote: Remote) -> None:
    import pooch

    pooch.get_logger().setLevel("WARNING")
    path = remote.path
    pooch.retrieve(remote.url, f"sha256:{remote.sha256}", path.name, path.parent, downloader=_Downloader(remote))


def _reason(error: Exception) -> str:
    """What went wrong between us and the server; nothing where it is the file that cannot be written."""
    import requests

    if isinstance(error, _TooLong):
        return "gives more bytes than the recorded file has"
    if not isinstance(error, requests.RequestException):  # a ValueError is what pooch makes of another SHA-256
        wrong = isinstance(error, ValueError)
        return "gave another file than the recorded one (its SHA-256 differs)" if wrong else ""
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server answered {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return "the server did not answer in time"
    for kind, reason in (
        (requests.exceptions.ChunkedEncodingError, "was cut off on its way"),
        (requests.exceptions.ProxyError, "the proxy that the environment names cannot be reached, or refused"),
        (requests.exceptions.SSLError, "the server's certificate is not trusted"),
        (requests.ConnectionError, "cannot be reached; perhaps there is no network"),
    ):
        if isinstance(error, kind):
            return reason
    return f"cannot be fetched ({printable(str(error).split(chr(10))[0])})"


class _Downloader:
    """What pooch calls to fetch a `Remote` into a new file: with a bar for large ones, and never more than it has."""

    def __init__(self, remote: Remote) -> None:
        self.remote = remote

    def __call__(self, url: str, output_file: str, pooch: Any) -> None:
        from pooch import HTTPDownloader
        from tqdm import tqdm

        remote = self.remote
        download = HTTPDownloader(
            timeout=(CONNECT, READ), headers={"User-Agent": AGENT}, hooks={"response": stay_encrypted}
        )
        often = 0.1 if sys.stderr.isatty() else 20  # s; a log gets a line now and then
        shown: dict[str, Any] = {"unit": "B", "unit_scale": True, "mininterval": often, "disable": remote.bytes is None}
        with open(output_file, "wb") as file, tqdm(total=remote.bytes, desc=remote.file, **shown) as bar:
            os.chmod(output_file, 0o644)  # pooch's new files are for their owner only; a cache may be shared
            download(url, _Limited(file, remote.bytes or TEXT_BYTES, bar), pooch)


class _Limited:
    """A file that takes no more than `left` bytes, and moves a bar."""

    def __init__(self, file: BinaryIO, left: int, bar: Any) -> None:
        self.file, self.left, self.bar = file, left, bar

    def write(self, chunk: bytes) -> None:
        self.left -= len(chunk)
        if self.left < 0:
            raise _TooLong
        self.file.write(chunk)
        self.bar.update(len(chunk))

    def flush(self) -> None:
        self.file.flush()


def stay_encrypted(response: Any, *_: Any, **__: Any) -> None:
    """Refuse to be led from https to anything else (GitHub redirects to other hosts by https).

    Raises:
        requests.exceptions.InvalidSchema: the answer leads elsewhere.
    """
    to = response.headers.get("location", "")
    if response.is_redirect and response.url.startswith("https:") and urlsplit(to).scheme not in ("", "https"):
        from requests.exceptions import InvalidSchema

        raise InvalidSchema(f"the server leads to {printable(to)}")
