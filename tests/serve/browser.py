"""A real browser, driven by its debugging protocol (https://chromedevtools.github.io/devtools-protocol/)."""

import base64
import json
import shutil
import subprocess
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self
from urllib.request import Request, urlopen

from websockets.sync.client import ClientConnection, connect

NAMES = ("chromium", "chromium-browser", "google-chrome")


def path_of_browser() -> str | None:
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """A headless browser in a `with` block; `open` gives its pages."""

    def __enter__(self) -> Self:
        self._pages = ExitStack()
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--mute-audio"]
        options += ["--no-first-run", "--remote-debugging-port=0", f"--user-data-dir={self._profile.name}"]
        self._process = subprocess.Popen(
            [path_of_browser(), *options, "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        told = Path(self._profile.name, "DevToolsActivePort")
        self._port = wait_for(lambda: told.exists() and told.read_text().split("\n")[0], "the browser")
        return self

    def __exit__(self, *_: object) -> None:
        self._pages.close()
        self._process.terminate()
        self._process.wait(10)
        self._profile.cleanup()

    def open(self, address: str, width: int = 1280, height: int = 800, dark: bool = False) -> "Page":
        new = Request(f"http://127.0.0.1:{self._port}/json/new?about:blank", method="PUT")
        address_of_page = json.load(urlopen(new))["webSocketDebuggerUrl"]
        page = Page(self._pages.enter_context(connect(address_of_page, max_size=None)))
        page.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        page.call("Emulation.setEmulatedMedia", features=[scheme])
        for domain in ("Page", "Runtime", "Log", "DOM"):
            page.call(f"{domain}.enable")
        page.call("Page.navigate", url=address)
        page.until("document.readyState === 'complete' && location.href !== 'about:blank'")
        return page


class Page:
    """One page; `errors` are what its scripts and its console complained about."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket, self._number = socket, 0
        self.errors: list[str] = []

    def call(self, method: str, **arguments: Any) -> dict[str, Any]:
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": arguments}))
        while True:
            message = json.loads(self._socket.recv(timeout=30))
            if message.get("id") == self._number:
                assert "error" not in message, message
                return message["result"]
            if message.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
                self.errors.append(json.dumps(message["params"])[:500])

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression; promises are waited for."""
        answer = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def until(self, script: str) -> Any:
        """The first value of a JavaScript expression that counts as true."""
        return wait_for(lambda: self.run(script), script)

    def text(self, selector: str) -> str:
        return self.run(f"document.querySelector({selector!r}).textContent")

    def choose_file(self, selector: str, path: str | Path) -> None:
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(path)])

    def press(self, key: str) -> None:
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key)

    def screenshot(self, path: str | Path) -> None:
        Path(path).write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))


def wait_for(ask: Any, what: str, seconds: float = 30) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := ask():
            return value
        time.sleep(0.05)
    raise AssertionError(f"waited {seconds:g} s for {what}")
