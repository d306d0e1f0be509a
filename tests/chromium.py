"""A headless Chromium that reaches nothing but this machine, for tests of pages.

Chromium and its driver come from the system (Debian: `chromium`, `chromium-driver`); `start` skips the test without.
The driver speaks WebDriver, plain JSON over HTTP.
"""

import base64
import contextlib
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import httpx
import pytest

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--hide-scrollbars",
    "--proxy-server=http://127.0.0.1:9",  # nobody is there: beyond loopback there is no network
)
PATIENCE = 120.0
"""Seconds: the machine may be busy."""


@contextlib.contextmanager
def start():
    """A browser, closed at the end of the block."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("needs chromium and chromium-driver")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, contextlib.ExitStack() as stack:
        command = [driver, "--port=0"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        stack.enter_context(process)  # waits for its end
        stack.callback(process.terminate)
        port = next(found[1] for line in process.stdout if (found := re.search(r"successfully on port (\d+)", line)))
        http = stack.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE, trust_env=False))
        options = {"binary": chromium, "args": [*FLAGS, f"--user-data-dir={folder}"]}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        session = _value(http.post("/session", json={"capabilities": {"alwaysMatch": wanted}}))["sessionId"]
        stack.callback(http.delete, f"/session/{session}")
        yield Browser(http, f"/session/{session}")


class Browser:
    """One window."""

    def __init__(self, http, path):
        self._http, self._path = http, path

    def open(self, address, size=(1240, 960)):
        """Go to a URL or a file."""
        self._ask("window/rect", width=size[0], height=size[1])
        self._ask("url", url=address.absolute().as_uri() if isinstance(address, Path) else address)

    def script(self, code, *arguments):
        """What a piece of JavaScript returns."""
        return self._ask("execute/sync", script=code, args=list(arguments))

    def wait_for(self, code):
        """What a piece of JavaScript returns, as soon as it is something."""
        end = time.monotonic() + PATIENCE
        while not (found := self.script(code)):
            assert time.monotonic() < end, f"never came: {code}; the console says {self.console()}"
            time.sleep(0.05)
        return found

    def click(self, x, y):
        """Click at a place of the window."""
        move = {"type": "pointerMove", "duration": 0, "x": round(x), "y": round(y)}
        press = [{"type": "pointerDown", "button": 0}, {"type": "pointerUp", "button": 0}]
        self._ask("actions", actions=[{"type": "pointer", "id": "mouse", "actions": [move, *press]}])

    def hover(self, x, y):
        """Move the pointer to a place of the window."""
        moves = [{"type": "pointerMove", "duration": 0, "x": round(x) + step, "y": round(y)} for step in (0, 1)]
        self._ask("actions", actions=[{"type": "pointer", "id": "mouse", "actions": moves}])

    def picture(self):
        """The window as PNG."""
        return base64.b64decode(_value(self._http.get(f"{self._path}/screenshot")))

    def console(self):
        """Warnings and errors since the last call, those of refused and failed requests among them."""
        entries = self._ask("se/log", type="browser")
        return [entry["message"] for entry in entries if entry["level"] in ("WARNING", "SEVERE")]

    def _ask(self, command, **arguments):
        return _value(self._http.post(f"{self._path}/{command}", json=arguments))


def _value(response):
    value = response.json()["value"]
    assert response.is_success, value
    return value
