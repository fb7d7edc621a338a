"""Debian's Firefox, driven over Marionette: the protocol it speaks itself, and geckodriver only passes on.

https://firefox-source-docs.mozilla.org/testing/marionette/Protocol.html
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from tests.orphans import ending_with_tests

START_S = 60
ANSWER_S = 60


class FirefoxError(Exception):
    """Firefox refused a command."""


class Marionette:
    """One session: commands in, results out."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._answers = connection.makefile("rb")
        self._n_asked = 0
        self._read()  # its greeting

    def ask(self, command: str, **params: Any) -> Any:
        """The value of a command, such as ``WebDriver:Navigate``.

        Raises:
            FirefoxError: it did not work.
        """
        self._n_asked += 1
        message = json.dumps([0, self._n_asked, command, params]).encode()
        self._connection.sendall(b"%d:%s" % (len(message), message))
        _, _, error, result = self._read()
        if error:
            raise FirefoxError(f"{command}: {error['message']}")
        return result.get("value") if isinstance(result, dict) and result.keys() == {"value"} else result

    def evaluate(self, script: str, *args: Any, **options: Any) -> Any:
        """The value of a function's body; it may use ``await``."""
        body = "const done = arguments[arguments.length - 1];"
        body += f"(async (...args) => {{ {script} }})(...arguments).then(done, (error) => done(`FAILED ${{error}}`));"
        value = self.ask("WebDriver:ExecuteAsyncScript", script=body, args=list(args), **options)
        if isinstance(value, str) and value.startswith("FAILED "):
            raise FirefoxError(value)
        return value

    def install(self, extension: Path) -> str:
        """Load a folder as a temporary extension; where its pages are, with a slash at the end."""
        name = self.ask("Addon:Install", path=str(extension), temporary=True)
        self.ask("Marionette:SetContext", value="chrome")
        host = self.evaluate("return WebExtensionPolicy.getByID(args[0]).mozExtensionHostname;", name)
        self.ask("Marionette:SetContext", value="content")
        return f"moz-extension://{host}/"

    def _read(self) -> Any:
        length = b""
        while (byte := self._answers.read(1)) != b":":
            if not byte:
                raise FirefoxError("Firefox hung up")
            length += byte
        return json.loads(self._answers.read(int(length)))


@contextmanager
def open_firefox(program: str, profile: Path) -> Iterator[Marionette]:
    """A headless Firefox with a new profile; ends with the context."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    profile.mkdir()
    preferences = {
        "marionette.port": port,
        "app.update.enabled": False,
        "datareporting.policy.dataSubmissionEnabled": False,
    }
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in preferences.items()]
    (profile / "user.js").write_text("".join(lines), encoding="utf-8")
    options = ["--headless", "--no-remote", "--marionette", "-remote-allow-system-access", "--profile", str(profile)]
    with (profile / "log").open("wb") as log:
        process = subprocess.Popen(ending_with_tests([program, *options]), stdout=log, stderr=log)
        try:
            with closing(_connect(port)) as connection:
                firefox = Marionette(connection)
                firefox.ask("WebDriver:NewSession", capabilities={})
                yield firefox
        finally:
            process.terminate()
            try:
                process.wait(START_S)
            finally:
                process.kill()


def _connect(port: int) -> socket.socket:
    deadline = time.monotonic() + START_S
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=ANSWER_S)
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def find_firefox() -> str | None:
    """Debian's Firefox; None where it is absent."""
    return shutil.which("firefox-esr")
