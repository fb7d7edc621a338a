"""Starts servers for tests and talks to them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from space.settings import PROJECT_ROOT
from tests.services import PLAINTEXT

START_S = 300.0  # Gradio takes long to load, most of all beside other tests
ANSWER_S = 120.0


@dataclass
class Server:
    """A server in a process of its own, its data folder, and the folder by which it is told to wait."""

    folder: Path
    settings: dict[str, Any] = field(default_factory=dict)
    mcp: bool = False
    plain: bool = False  # without Gradio, whose loading takes most of a start: see ``begin_plainly``
    private: bool = False  # no data folder is chosen for it
    url: str = ""

    def __post_init__(self) -> None:
        for folder in (self.data, self.control):
            folder.mkdir(parents=True, exist_ok=True)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def control(self) -> Path:
        return self.folder / "control"

    @property
    def log(self) -> Path:
        return self.folder / "log"

    # --- its life -----------------------------------------------------------------------------

    def start(self) -> None:
        config = {
            "data": None if self.private else str(self.data),
            "control": str(self.control),
            "settings": {"exempt_loopback": True, **self.settings},
            "mcp": self.mcp,
            "plain": self.plain,
        }
        (self.control / "url").unlink(missing_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.server", json.dumps(config)],
                cwd=PROJECT_ROOT,
                env={**os.environ, "GRADIO_TEMP_DIR": str(self.folder / "gradio")},
                stdout=log,
                stderr=log,
            )
        self.wait_for("url", limit_s=START_S)
        self.url = (self.control / "url").read_text(encoding="ascii")

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """As the kernel does it: without a word."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()

    # --- holding it up ------------------------------------------------------------------------

    def hold(self, stage: str) -> None:
        (self.control / f"at-{stage}").unlink(missing_ok=True)
        (self.control / f"hold-{stage}").touch()

    def release(self) -> None:
        for path in self.control.glob("hold-*"):
            path.unlink()

    def wait_for(self, name: str, *, limit_s: float = ANSWER_S) -> None:
        """Wait for a file of the control folder."""
        deadline = time.monotonic() + limit_s
        while not (self.control / name).exists():
            assert self._process is not None
            assert self._process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.02)

    # --- talking to it ------------------------------------------------------------------------

    def send(self, content: bytes = PLAINTEXT) -> str:
        answer = httpx.post(f"{self.url}/api/v1/uploads", content=content, timeout=ANSWER_S)
        upload_id: str = answer.json()["upload_id"]
        return upload_id

    def begin(self, name: str, *, headers: dict[str, str] | None = None, **body: Any) -> str:
        """The id of the call's events."""
        url = f"{self.url}/gradio_api/call/v2/{name}"
        answer = httpx.post(url, json=body, headers=headers, timeout=ANSWER_S)
        assert answer.status_code == 200, answer.text
        event_id: str = answer.json()["event_id"]
        return event_id

    def begin_plainly(self, **body: Any) -> dict[str, Any]:
        """The first view of a job, or its refusal; where there is no Gradio."""
        view: dict[str, Any] = httpx.post(f"{self.url}/begin", json=body, timeout=ANSWER_S).json()
        return view

    def check_plainly(self, **body: Any) -> dict[str, Any]:
        """The last view of a job; where there is no Gradio."""
        first = self.begin_plainly(**body)
        return first if first["error"] else self.end(body["job_id"])

    def events(self, name: str, event_id: str) -> Iterator[dict[str, Any]]:
        """A call's views. Closing the iterator drops the connection."""
        kind = ""
        with httpx.stream("GET", f"{self.url}/gradio_api/call/{name}/{event_id}", timeout=ANSWER_S) as answer:
            for line in answer.iter_lines():
                key, _, value = line.partition(": ")
                kind = value if key == "event" else kind
                assert kind != "error", value
                if key == "data" and kind == "generating":
                    yield json.loads(value)[0]

    def call(self, name: str, **body: Any) -> list[dict[str, Any]]:
        """All views of a call."""
        return list(self.events(name, self.begin(name, **body)))

    def view(self, job_id: str) -> dict[str, Any]:
        view: dict[str, Any] = httpx.get(f"{self.url}/api/v1/jobs/{job_id}", timeout=ANSWER_S).json()
        return view

    def end(self, job_id: str) -> dict[str, Any]:
        """Ask until the job has ended, as one who polls does."""
        deadline = time.monotonic() + ANSWER_S
        while (view := self.view(job_id)).get("stage") not in ("done", "failed", "cancelled"):
            assert time.monotonic() < deadline, view
            time.sleep(0.05)
        return view


@contextmanager
def running(folder: Path, *, mcp: bool = False, plain: bool = False, **settings: Any) -> Iterator[Server]:
    """A server for the length of the block."""
    server = Server(folder, settings, mcp, plain)
    try:
        server.start()
        yield server
    finally:
        server.stop()
