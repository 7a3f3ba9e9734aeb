"""A detector without a network, what it looks at, and a server of both."""

import threading
import time
from contextlib import contextmanager

import cv2
import numpy as np
import uvicorn

from detect.inference.sources import find_items
from detect.ops.nms import Candidates
from detect.serve.app import Server
from detect.serve.engine import SharedEngine
from detect.serve.run import listening

SCORES = (0.9, 0.4, 0.1)


class Finder:
    """Finds three things in the left half of every image: two people, one of them unlikely, and a dog."""

    names = ("person", "dog")

    def __init__(self, seconds=0.0):
        self.seconds = seconds
        self.images = []

    def detect_batch(self, images):
        time.sleep(self.seconds)
        self.images += [image.shape for image in images]
        height, width = images[0].shape[:2]
        boxes = np.array([[0, 0, width / 2, height / 2], [0, 0, width / 2, height], [0, height / 2, width / 4, height]])
        return [Candidates(boxes.astype(np.float32), np.array(SCORES, np.float32), np.array([0, 1, 0])) for _ in images]


def jpeg(width=64, height=48):
    """The bytes of a grey image."""
    return cv2.imencode(".jpg", np.full((height, width, 3), 128, np.uint8))[1].tobytes()


def clip(path, frames=20, fps=20):
    """A video of moving squares at `path`."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), fps, (320, 240))
    for number in range(frames):
        image = np.full((240, 320, 3), 60, np.uint8)
        image[100:140, 8 * number : 8 * number + 40] = (40, 80, 220)
        writer.write(image)
    writer.release()
    return path


def server(source=None, finder=None, **options):
    """A `Server` that watches a file, if there is one."""
    item = find_items(str(source))[0] if source else None
    return Server(SharedEngine(finder or Finder()), "a test", 0.25, 0.05, item, log=lambda _: None, **options)


@contextmanager
def running(made):
    """The address of a `Server` that answers while the block lasts."""
    listener = listening("127.0.0.1", 0)
    web = uvicorn.Server(
        uvicorn.Config(made.app, log_level="critical", ws="websockets-sansio", timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=web.run, args=([listener],), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        web.should_exit = True
        thread.join(10)
        assert not thread.is_alive()
