"""A zoo of one small net with two [yolo] layers, as yolov3-tiny has them, on a server of the test's own."""

import hashlib

from detect.weights import zoo
from detect.weights.fetch import Remote
from tests.small_nets import conv, make, net, section

NAMES = "red\ngreen\nblue\n"


def cfg_text(mask="0,1,2"):
    """A net of three classes at 64 px; `mask` is that of its last [yolo]."""
    heads = [
        section("yolo", mask=chosen, classes=3, num=6, anchors="6,8, 12,14, 20,18, 30,30, 40,50, 60,60")
        for chosen in ("3,4,5", mask)
    ]
    last = conv(filters=24, size=1, activation="linear", batch_normalize=0)
    body = conv(filters=8, stride=4) + conv(filters=8, stride=4) + last
    return net(64, 64) + body + heads[0] + section("route", layers="-4") + last + heads[1]


def remote(server, file, content, with_size=True):
    """The content on the server, as a `Remote`."""
    server.files[file] = content
    return Remote(f"{server.url}/{file}", hashlib.sha256(content).hexdigest(), len(content) if with_size else None)


def fill(server, folder, patch, **options):
    """Put the net on the server as the zoo's only classic, "small-net"; returns the paths of its .cfg and .weights."""
    cfg, weights = make(folder, cfg_text())
    entry = zoo.Classic(
        "small-net", 64, "AP 0.1",
        remote(server, "small-net.weights", weights.read_bytes()),
        remote(server, "small-net.cfg", cfg.read_bytes(), with_size=False),
        **options,
    )  # fmt: skip
    patch.setattr(zoo, "CLASSICS", (entry,))
    patch.setattr(zoo, "NAMES", remote(server, "small.names", NAMES.encode(), with_size=False))
    return cfg, weights
