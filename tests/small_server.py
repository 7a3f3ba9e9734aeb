"""A server on 127.0.0.1 for tests of fetching: honest, lying, cut off, refusing, stalling."""

import threading
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


@contextmanager
def running():
    """Yield a `Server`; it is gone afterwards."""
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
