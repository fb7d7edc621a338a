"""A Space that speaks the same JSON as the real one and finds in every video what the example report says."""

from __future__ import annotations

import io
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from PIL import Image

from space.settings import SHARED

STAGES = ("queued", "frames", "faces", "scores", "pictures")
SENTENCE = "Strong signs of face manipulation"


@dataclass
class FakeSpace:
    """What it was sent, and how it answers."""

    url: str = ""
    report: dict[str, Any] = field(
        default_factory=lambda: json.loads((SHARED / "report.example.json").read_text(encoding="utf-8"))
    )
    work_s: float = 0.4  # from acceptance to the result
    refusals: list[dict[str, Any]] = field(default_factory=list)  # errors for the next checks, in turn
    failures: dict[str, dict[str, Any]] = field(default_factory=dict)  # endpoint -> error that its checks end in
    asleep: bool = False  # answers like the platform in front of a Space that sleeps
    sent: dict[str, dict[str, Any]] = field(default_factory=dict)  # job_id -> endpoint and arguments
    uploads: dict[str, bytes] = field(default_factory=dict)
    begun: dict[str, float] = field(default_factory=dict)
    cancelled: set[str] = field(default_factory=set)
    forgotten: set[str] = field(default_factory=set)
    shared: list[str] = field(default_factory=list)

    def view(self, job_id: str) -> dict[str, Any]:
        """A job as the real Space tells it."""
        fraction = min(1.0, (time.monotonic() - self.begun[job_id]) / self.work_s) if self.work_s else 1.0
        failure = self.failures.get(self.sent[job_id]["endpoint"])
        stage = "cancelled" if job_id in self.cancelled else "done" if fraction >= 1 else self._stage(fraction)
        if failure and stage == "done":
            stage = "failed"
        preliminary = {"code": "strong", "p_fake": 0.8, "sentence": SENTENCE} if fraction > 0.7 else None
        return {
            "job_id": job_id,
            "stage": stage,
            "fraction": round(fraction, 4),
            "n_ahead": 1 if stage == "queued" else None,
            "preliminary": preliminary,
            "report": self.report if stage == "done" else None,
            "error": failure if stage == "failed" else None,
            "created": "2026-03-14T09:26:53Z",
            "expires": "2026-03-14T09:56:53Z",
        }

    def _stage(self, fraction: float) -> str:
        return STAGES[int(fraction * len(STAGES))]

    @property
    def last(self) -> dict[str, Any]:
        """What was sent last."""
        return list(self.sent.values())[-1]


def draw_picture(name: str) -> bytes:
    """A JPEG that differs from name to name."""
    picture = Image.radial_gradient("L").resize((320, 320))
    tint = sum(name.encode()) % 200
    coloured = Image.merge("RGB", (picture.point(lambda v: 255 - v), picture, picture.point(lambda _: tint)))
    stream = io.BytesIO()
    coloured.save(stream, "JPEG", quality=85)
    return stream.getvalue()


class SpaceServer(ThreadingHTTPServer):
    """Answers for a Space on a free port."""

    daemon_threads = True

    def __init__(self, space: FakeSpace) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.space = space


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: SpaceServer

    @property
    def space(self) -> FakeSpace:
        return self.server.space

    def do_GET(self) -> None:
        self._route("GET")

    def do_POST(self) -> None:
        self._route("POST")

    def do_DELETE(self) -> None:
        self._route("DELETE")

    def log_message(self, *_: Any) -> None:
        pass

    def _route(self, method: str) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.partition("?")[0]
        if self.space.asleep:
            self._send(503, b"<html>Your space is sleeping</html>", "text/html")
            return
        for (wanted, pattern), answer in ROUTES.items():
            match = re.fullmatch(pattern, path)
            if wanted == method and match:
                answer(self, body, *match.groups())
                return
        self._json({"error": {"code": "not_found", "message": "Nothing here.", "next": ""}}, 404)

    def _send(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _json(self, value: Any, status: int = 200) -> None:
        self._send(status, json.dumps(value).encode(), "application/json")

    def _health(self, _body: bytes) -> None:
        self._json({"status": "ok"})

    def _begin(self, body: bytes, endpoint: str) -> None:
        arguments = json.loads(body)
        self.space.sent[arguments["job_id"]] = {"endpoint": endpoint, **arguments}
        self._json({"event_id": arguments["job_id"]})

    def _stream(self, _body: bytes, _endpoint: str, job_id: str) -> None:
        if self.space.refusals:
            del_view = {"job_id": job_id, "stage": "failed", "fraction": 0, "error": self.space.refusals.pop(0)}
            self._event(del_view)
            return
        self.space.begun.setdefault(job_id, time.monotonic())
        self._event(self.space.view(job_id))

    def _event(self, view: dict[str, Any]) -> None:
        said = f"event: heartbeat\ndata: null\n\nevent: generating\ndata: {json.dumps([view])}\n\n"
        self._send(200, said.encode(), "text/event-stream")

    def _view(self, _body: bytes, job_id: str) -> None:
        if job_id not in self.space.begun or job_id in self.space.forgotten:
            error = {"code": "job_unknown", "message": "There is no check with this number.", "next": "Again."}
            self._json({"error": error}, 404)
        else:
            self._json(self.space.view(job_id))

    def _cancel(self, _body: bytes, job_id: str) -> None:
        self.space.cancelled.add(job_id)
        self._json(self.space.view(job_id))

    def _picture(self, _body: bytes, _job_id: str, name: str) -> None:
        self._send(200, draw_picture(name), "image/jpeg")

    def _upload(self, body: bytes) -> None:
        upload_id = f"upload{len(self.space.uploads)}"
        self.space.uploads[upload_id] = body
        self._json({"upload_id": upload_id, "size_bytes": len(body)}, 201)

    def _share(self, _body: bytes, job_id: str) -> None:
        self.space.shared.append(job_id)
        share = {"id": "abc", "url": f"{self.space.url}/e/abc", "delete_token": "secret-token", "persistent": True}
        self._json({**share, "expires": "2026-04-13T09:26:53Z"}, 201)

    def _unshare(self, _body: bytes, _report_id: str) -> None:
        self.space.shared.clear()
        self._send(204, b"", "application/json")


JOB = r"/api/v1/jobs/([0-9a-f]{32})"
ROUTES: dict[tuple[str, str], Callable[..., None]] = {
    ("GET", "/healthz"): Handler._health,
    ("GET", "/api/v1/openapi.json"): Handler._health,
    ("POST", r"/gradio_api/call/v2/(\w+)"): Handler._begin,
    ("GET", r"/gradio_api/call/(\w+)/(\w+)"): Handler._stream,
    ("POST", "/api/v1/uploads"): Handler._upload,
    ("GET", JOB): Handler._view,
    ("DELETE", JOB): Handler._cancel,
    ("GET", JOB + r"/pictures/([\w.-]+)"): Handler._picture,
    ("POST", JOB + "/share"): Handler._share,
    ("DELETE", r"/api/v1/reports/(\w+)"): Handler._unshare,
}


@contextmanager
def fake_space() -> Iterator[FakeSpace]:
    """A Space on this machine."""
    space = FakeSpace()
    server = SpaceServer(space)
    space.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield space
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
