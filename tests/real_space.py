"""The Space as it is shipped, in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from space.settings import PROJECT_ROOT
from tests.extension_browser import wait_until
from tests.orphans import ending_with_tests

START_S = 300.0


@dataclass
class RealSpace:
    """``python app.py`` with the shipped weights."""

    folder: Path
    url: str = ""
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.url = f"http://127.0.0.1:{free.getsockname()[1]}"  # the same one after a restart

    def start(self) -> None:
        own = {
            "GRADIO_SERVER_PORT": self.url.rpartition(":")[2],
            "TELLTALE_DATA": str(self.folder / "data"),
            "TELLTALE_EXEMPT_LOOPBACK": "1",
            "TMPDIR": str(self.folder),
        }
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ending_with_tests([sys.executable, "app.py"]),
                cwd=PROJECT_ROOT,
                env=os.environ | own,
                stdout=log,
                stderr=log,
            )
        wait_until(self._is_up, limit_s=START_S, every_s=0.5)

    def _is_up(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "log").read_text()
        try:
            with urllib.request.urlopen(f"{self.url}/healthz", timeout=5):
                return True
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

    def ask(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path, timeout=60) as answer:
            return json.load(answer)

    def kill(self) -> None:
        """As a machine that fails does it."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
