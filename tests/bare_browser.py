"""A Chromium to which nothing is attached but what a test attaches: Playwright's debugger would keep workers alive.

The developer tools' protocol over a pipe: JSON messages that end in a zero byte.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from tests.extension_browser import ARGS, RESOLVE, wait_until
from tests.orphans import ending_with_tests

PIPE = 'exec "$@" 3<&{read} 4>&{write}'  # where --remote-debugging-pipe wants its ends


class BrowserError(Exception):
    """The browser refused a command."""


class BareBrowser:
    """Commands in, results out; events are thrown away."""

    def __init__(self, to: BinaryIO, answers: BinaryIO) -> None:
        self._to = to
        self._answers = answers
        self._n_asked = 0

    def send(self, method: str, params: dict[str, Any] | None = None, session_id: str | None = None) -> Any:
        """The result of a command.

        Raises:
            BrowserError: it did not work.
        """
        self._n_asked += 1
        message: dict[str, Any] = {"id": self._n_asked, "method": method, "params": params or {}}
        if session_id:
            message["sessionId"] = session_id
        self._to.write(json.dumps(message).encode() + b"\0")
        self._to.flush()
        while True:
            answer = self._read()
            if answer.get("id") == self._n_asked:
                break
        if "error" in answer:
            raise BrowserError(f"{method}: {answer['error']}")
        return answer["result"]

    def targets(self, kind: str) -> list[dict[str, Any]]:
        found = self.send("Target.getTargets")["targetInfos"]
        return [target for target in found if target["type"] == kind]

    def open(self, url: str) -> BareTab:
        """A new tab in front, attached to."""
        target_id = self.send("Target.createTarget", {"url": url})["targetId"]
        attached = self.send("Target.attachToTarget", {"targetId": target_id, "flatten": True})
        self.send("Target.activateTarget", {"targetId": target_id})
        tab = BareTab(self, attached["sessionId"])
        wait_until(lambda: tab.evaluate("[location.href, document.readyState]") == [url, "complete"])
        wait_until(lambda: tab.evaluate("document.visibilityState") == "visible")
        return tab

    def _read(self) -> dict[str, Any]:
        text = bytearray()
        while (byte := self._answers.read(1)) != b"\0":
            if not byte:
                raise BrowserError("the browser hung up")
            text += byte
        answer: dict[str, Any] = json.loads(text)
        return answer


@dataclass(frozen=True)
class BareTab:
    """One tab."""

    browser: BareBrowser
    session_id: str

    def send(self, method: str, params: dict[str, Any] | None = None) -> Any:
        return self.browser.send(method, params, self.session_id)

    def evaluate(self, expression: str) -> Any:
        """The value of an expression, or of the promise it gives."""
        asked = {"expression": expression, "returnByValue": True, "awaitPromise": True}
        answer = self.send("Runtime.evaluate", asked)
        if "exceptionDetails" in answer:
            raise BrowserError(str(answer["exceptionDetails"]))
        return answer["result"].get("value")


@contextmanager
def bare_browser(chromium: str, extension: Path, profile: Path) -> Iterator[BareBrowser]:
    """A browser with the extension. The profile may be one of before."""
    read, to_browser = os.pipe()
    from_browser, write = os.pipe()
    options = [
        "--headless=new",
        "--remote-debugging-pipe",
        *ARGS,
        RESOLVE,
        "--lang=en-US",
        "--window-size=1000,720",
        f"--user-data-dir={profile}",
        f"--disable-extensions-except={extension}",
        f"--load-extension={extension}",
    ]
    command = ending_with_tests(["bash", "-c", PIPE.format(read=read, write=write), "bash", chromium, *options])
    with (profile.parent / "browser.log").open("ab") as log:
        process = subprocess.Popen(command, pass_fds=(read, write), stdout=log, stderr=log)
    os.close(read)
    os.close(write)
    with os.fdopen(to_browser, "wb") as to, os.fdopen(from_browser, "rb", buffering=0) as answers:
        browser = BareBrowser(to, answers)
        try:
            yield browser
            browser.send("Browser.close")
        finally:
            process.terminate()
            try:
                process.wait(30)
            finally:
                process.kill()
