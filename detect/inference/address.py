"""Addresses of streams: which can be opened, and what of one may be shown."""

import re

from detect.errors import UserError, nearest
from detect.files import printable

SCHEMES = ("rtsp", "rtsps", "rtmp", "rtmps", "http", "https", "udp", "tcp", "srt", "rtp")
HOST = re.compile(r"(?:\[[0-9A-Fa-f:.%]*\]|[^\s:@\[\]]*)(?::\d*)?")  # with its port


def name_of(address: str) -> str:
    """The address as messages, results and files may have it: scheme, host and path, neither password nor query.

    Cameras take passwords in the path too (`rtsp://host/user=me&password=...`), and people write passwords with
    characters that end the part before the host, so what can hold one is left out: all before the last "@" of host and
    path, all after the first "=".

    Raises:
        UserError: its scheme is none of `SCHEMES`.
    """
    scheme, _, rest = address.partition("://")
    if scheme.lower() not in SCHEMES:
        raise UserError(f"{printable(scheme)}://: cannot open such an address{nearest(scheme.lower(), SCHEMES)}")
    if not HOST.fullmatch(re.split(r"[/?#]", rest, maxsplit=1)[0].rpartition("@")[2]):
        rest = rest.rpartition("@")[2]  # of rtsp://me:what?so@host, else host would be "me"
    rest = re.split(r"[?#]", rest, maxsplit=1)[0].rpartition("@")[2]
    host, slash, path = rest.partition("/")
    host = host if host.startswith("[") else host.partition(":")[0]
    before, equals, _ = path.partition("=")
    return printable(f"{scheme.lower()}://{host.lower() or 'stream'}{slash}{before}{equals and '=...'}")
