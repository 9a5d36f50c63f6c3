"""A real browser, told what to do over its own protocol (Chrome DevTools), that writes down whatever goes wrong on a page."""

import base64
import json
import shutil
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

from platform_tests.waiting import eventually

CHROMIUM = shutil.which("chromium")
QUIET = ["--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update"]
LARGEST_ANSWER = 2**26
DEADLINE_S = 60.0


@dataclass
class Browser:
    """One tab."""

    wire: ClientConnection
    troubles: list[str] = field(default_factory=list)
    """Errors on the console, exceptions, and what could not be loaded, since the tab was opened."""
    asked: list[str] = field(default_factory=list)
    """The addresses that were asked for."""
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def say(self, method: str, **params: Any) -> dict[str, Any]:
        """Give a command and return its answer."""
        number = next(self._numbers)
        self.wire.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            message = json.loads(self.wire.recv(timeout=DEADLINE_S))
            if message.get("id") == number:
                assert "error" not in message, message
                answer: dict[str, Any] = message["result"]
                return answer
            self._hear(message)

    def _hear(self, message: dict[str, Any]) -> None:
        what, facts = message.get("method"), message.get("params", {})
        if what == "Network.requestWillBeSent":
            self.asked.append(facts["request"]["url"])
        if what == "Runtime.exceptionThrown":
            self.troubles.append(str(facts["exceptionDetails"].get("exception", facts["exceptionDetails"])))
        if what == "Runtime.consoleAPICalled" and facts["type"] == "error":
            self.troubles.append(str([arg.get("value", arg.get("description")) for arg in facts["args"]]))
        if what == "Log.entryAdded" and facts["entry"]["level"] == "error":
            self.troubles.append(f"{facts['entry']['text']} {facts['entry'].get('url', '')}")
        if what == "Network.loadingFailed" and not facts.get("canceled"):
            self.troubles.append(f"not loaded: {facts['errorText']}")

    def open(self, url: str, width: int = 1280) -> None:
        """Open a page in a window of some width, and wait until it is loaded."""
        self.say("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.say(f"{domain}.enable")
        self.say("Page.navigate", url=url)
        self.until(lambda: self.see("location.href != 'about:blank' && document.readyState == 'complete'"), url)

    def see(self, script: str) -> Any:
        """Return what a script says about the page."""
        found = self.say("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def until(self, condition: Callable[[], Any], what: str) -> Any:
        """Wait until something is so."""
        found = eventually(condition, DEADLINE_S)
        assert found, f"waited {DEADLINE_S:.0f} s for {what}: {self.troubles}"
        return found

    def picture(self) -> bytes:
        """Return the window as PNG."""
        return base64.b64decode(self.say("Page.captureScreenshot", format="png")["data"])


@contextmanager
def browsing(folder: Path) -> Iterator[Browser]:
    """Yield a tab of a browser of its own, which keeps its things in a folder."""
    command = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", *QUIET, "--remote-debugging-port=0"]
    told = folder / "DevToolsActivePort"
    with subprocess.Popen(
        [*command, f"--user-data-dir={folder}", "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            with connect(_tab(told), max_size=LARGEST_ANSWER) as wire:
                yield Browser(wire)
        finally:
            process.kill()


def _tab(told: Path) -> str:
    assert eventually(lambda: told.exists() and told.read_text().strip(), DEADLINE_S), "the browser does not start"
    port = told.read_text().splitlines()[0]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list") as answer:
        tabs = json.load(answer)
    return str(next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page"))
