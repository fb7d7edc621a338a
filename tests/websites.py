"""A server on loopback that plays the sites of the web, well-behaved and not."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

BLOCK = bytes(range(256)) * 256  # 64 KiB


@dataclass(frozen=True)
class Answer:
    """What a path answers."""

    body: bytes = b""
    kind: str = "text/html; charset=utf-8"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    with_length: bool = True
    pause_s: float = 0.0  # after each block of ``block_bytes``
    block_bytes: int = 1 << 20
    endless: bool = False  # the body over and over
    breaks_at: int | None = None  # bytes after which the connection breaks, when asked for the first time
    resumes: bool = False  # goes on where asked to


Site = dict[str, Answer]


@dataclass
class Web:
    """A running server."""

    port: int
    site: Site
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)  # path, headers

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        """A link to a path."""
        return f"http://{host}:{self.port}{path}"

    @property
    def paths(self) -> list[str]:
        """What was asked for, in order."""
        return [path for path, _ in self.requests]


def redirect(location: str, status: int = 302) -> Answer:
    """An answer that leads on."""
    return Answer(status=status, headers={"Location": location})


@contextmanager
def serve(site: Site | Callable[[int], Site], *, tls: ssl.SSLContext | None = None) -> Iterator[Web]:
    """Play a site; one that needs to know its own port is given as a function of it."""
    handler = type("Handler", (_Handler,), {})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        port = server.server_address[1]
        web = Web(port, site(port) if callable(site) else site)
        handler.web = web  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield web
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    web: Web

    def do_GET(self) -> None:
        is_first = self.path not in self.web.paths
        self.web.requests.append((self.path, dict(self.headers.items())))
        answer = self.web.site.get(self.path, Answer(b"<p>not here", status=404))
        try:
            self._answer(answer, is_first=is_first)
        except ConnectionError:
            self.close_connection = True

    def _answer(self, answer: Answer, *, is_first: bool) -> None:
        start = 0
        wanted = self.headers.get("Range", "")
        if answer.resumes and wanted.startswith("bytes="):
            start = int(wanted.removeprefix("bytes=").split("-")[0])
        body = answer.body[start:]
        self.send_response(206 if start else answer.status)
        self.send_header("Content-Type", answer.kind)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(answer.body) - 1}/{len(answer.body)}")
        if answer.with_length and not answer.endless:
            self.send_header("Content-Length", str(len(body)))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        if answer.breaks_at is not None and is_first:
            body = body[: answer.breaks_at]
        self._send(body, answer)

    def _send(self, body: bytes, answer: Answer) -> None:
        while True:
            for at in range(0, len(body), answer.block_bytes):
                self.wfile.write(body[at : at + answer.block_bytes])
                time.sleep(answer.pause_s)
            if not answer.endless:
                return

    def log_message(self, *_: Any) -> None:
        """Silence."""
