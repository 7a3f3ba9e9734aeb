"""A server on 127.0.0.1 for tests of fetching: honest, lying, cut off, refusing, stalling; and one that is a camera."""

import itertools
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server(ThreadingHTTPServer):
    """Serves `files` {path: bytes}; what else a path does is in `faults` {path: a word}. `seen`: (path, headers)."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.faults, self.seen, self.released = {}, {}, [], threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        """Nothing on standard error."""

    def do_GET(self):
        server, path = self.server, self.path
        server.seen.append((path, dict(self.headers)))
        fault, content = server.faults.get(path, ""), server.files.get(path.rsplit("/", 1)[-1])
        if fault == "forbidden" or content is None:
            return self.send_error(403 if fault else 404)
        if fault == "elsewhere":
            self.send_response(302)
            self.send_header("Location", f"/other/{path.rsplit('/', 1)[-1]}")
            return self.end_headers()
        self.send_response(200)
        if fault != "endless":  # says no length
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if fault in ("cut", "stall"):
            content = content[: len(content) // 2]
        self.wfile.write(content)
        if fault == "stall":
            self.wfile.flush()
            server.released.wait(20)


class CameraServer(ThreadingHTTPServer):
    """Sends `images` (JPEG files, round and round) as MJPEG, `fps` a second, to whoever asks for whatever.

    `sent` holds the time.time() of each image of all connections; `cut` ends the connections; while `is_up` is false,
    new ones are refused.
    """

    daemon_threads = True

    def __init__(self, images=(), fps=25.0):
        super().__init__(("127.0.0.1", 0), CameraHandler)
        self.images, self.fps, self.sent, self.is_up, self.connections = list(images), fps, [], True, 0
        self.url = f"http://127.0.0.1:{self.server_port}/live.mjpg"
        self.generation, self.released = 0, threading.Event()

    def cut(self):
        self.generation += 1


class CameraHandler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        """Nothing on standard error."""

    def do_GET(self):
        server = self.server
        if not server.is_up:
            return self.send_error(503)
        generation = server.generation
        server.connections += 1
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        start = time.monotonic()
        try:
            for number, image in enumerate(itertools.cycle(server.images)):
                wait = start + number / server.fps - time.monotonic()
                if server.released.wait(max(wait, 0)) or server.generation != generation:
                    return
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(image)}\r\n\r\n".encode()
                server.sent.append(time.time())
                self.wfile.write(head + image + b"\r\n")
        except OSError:  # the viewer has gone
            return


@contextmanager
def running(server=None):
    """Yield a `Server`, or the one that is given; it is gone afterwards."""
    server = server or Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
