"""A stand-in for the Hugging Face Hub on this machine: as much of its file protocol as a download needs.

Small files are answered directly; weights, as on the hub, by a redirect to where the bytes are, with
their size and checksum in headers.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CUT_BYTES = 200_000  # of a body, before a dropped connection


@dataclass
class Hub:
    """What the server serves, and what it was asked."""

    folder: Path  # its files are those of the only repository
    repo_id: str = "owner/small"
    revisions: tuple[str, ...] = ("main", COMMIT)
    n_drops: int = 0  # connections to cut in the middle of a body
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)  # method, path, range
    endpoint: str = ""


@contextmanager
def serve_hub(hub: Hub) -> Iterator[Hub]:
    """Serve on a free port of the loopback interface; ``hub.endpoint`` says where."""

    class Handler(Answer):
        source = hub

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        hub.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield hub
        finally:
            server.shutdown()
            thread.join()


class Answer(BaseHTTPRequestHandler):
    """One request."""

    source: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class calls it so
        """Tests read ``requests``."""

    def _answer(self, *, with_body: bool) -> None:
        self.source.requests.append((self.command, self.path, self.headers.get("Range")))
        if self.path.startswith("/bytes/"):
            self._send_file(self.source.folder / self.path.removeprefix("/bytes/"), with_body=with_body)
            return
        match = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/([^/]+)", self.path)
        if match is None or match[1] != self.source.repo_id:
            self._send_error("RepoNotFound")
        elif match[2] not in self.source.revisions:
            self._send_error("RevisionNotFound")
        elif not (path := self.source.folder / match[3]).is_file():
            self._send_error("EntryNotFound")
        elif path.suffix == ".safetensors":
            self._redirect(path)
        else:
            self._send_file(path, with_body=with_body)

    def _send_error(self, code: str) -> None:
        self.send_response(404)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _redirect(self, path: Path) -> None:
        content = path.read_bytes()
        self.send_response(302)
        self.send_header("Location", f"{self.source.endpoint}/bytes/{path.name}")
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("X-Linked-Etag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Linked-Size", str(len(content)))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send_file(self, path: Path, *, with_body: bool) -> None:
        content = path.read_bytes()
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(match[1]) if match else 0
        self.send_response(206 if match else 200)
        self.send_header("ETag", f'"{hashlib.sha1(content, usedforsecurity=False).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(len(content) - start))
        if match:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        if with_body:
            self._send_body(content[start:])

    def _send_body(self, body: bytes) -> None:
        if self.source.n_drops > 0 and self.path.startswith("/bytes/"):
            self.source.n_drops -= 1
            self.wfile.write(body[:CUT_BYTES] if len(body) > CUT_BYTES else b"")
            self.close_connection = True
            return
        self.wfile.write(body)
