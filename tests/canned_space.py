"""A Space that says what it is told to: for tests of what talks to one. It analyses nothing."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import Any

from PIL import Image

from space.settings import SHARED

LATEST = {"created": "2026-03-14T09:26:53Z", "expires": "2026-03-14T09:56:53Z"}


def example_report() -> dict[str, Any]:
    """The project's example of a report."""
    report: dict[str, Any] = json.loads((SHARED / "report.example.json").read_text(encoding="utf-8"))
    return report


def make_view(job_id: str, stage: str, **said: Any) -> dict[str, Any]:
    """A check as a Space tells it."""
    nothing = {"fraction": 0.0, "n_ahead": None, "preliminary": None, "report": None, "error": None}
    return {"job_id": job_id, "stage": stage, **LATEST, **nothing, **said}


@dataclass
class CannedSpace:
    """What it was asked, and what it answers."""

    url: str = ""
    is_telltale: bool = True
    asked: list[tuple[str, str]] = field(default_factory=list)  # method and path, in order
    sent: list[dict[str, Any]] = field(default_factory=list)  # bodies that started checks

    def answer(self, method: str, path: str, body: bytes) -> tuple[str, bytes]:
        """Content type and body."""
        self.asked.append((method, path))
        if not self.is_telltale:
            return "text/html", b"<h1>Something else</h1>"
        if method == "POST" and path.startswith("/gradio_api/call/v2/"):
            self.sent.append(json.loads(body))
            return "application/json", b'{"event_id": "1"}'
        if path.startswith("/gradio_api/call/"):
            view = make_view(self.sent[-1]["job_id"], "accepted")
            return "text/event-stream", f"event: generating\ndata: {json.dumps([view])}\n\n".encode()
        if re.fullmatch(r"/api/v1/jobs/\w+/pictures/.+", path):
            return "image/jpeg", make_picture()
        if found := re.fullmatch(r"/api/v1/jobs/(\w+)(\?.*)?", path):
            view = make_view(found[1], "done", fraction=1.0, report=example_report())
            return "application/json", json.dumps(view).encode()
        return "application/json", b'{"status": "ok"}'


def make_picture() -> bytes:
    """A small JPEG."""
    file = BytesIO()
    Image.linear_gradient("L").resize((64, 64)).save(file, "JPEG")
    return file.getvalue()


@contextmanager
def canned_space() -> Iterator[CannedSpace]:
    """A server on this machine; anybody may ask it."""
    space = CannedSpace()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            kind, body = space.answer(self.command, self.path, self.rfile.read(length))
            self.send_response(200)
            for name, value in (("Content-Type", kind), ("Content-Length", str(len(body))), *OPEN_TO_ALL):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_DELETE = do_OPTIONS = do_GET  # noqa: N815 - the library's names

        def log_message(self, *_: Any) -> None:
            """Tests look at `asked`."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        space.url = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield space
        server.shutdown()


OPEN_TO_ALL = (
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Allow-Headers", "*, Authorization"),
    ("Access-Control-Allow-Methods", "*"),
)
