"""Sites with videos of every kind, on three origins: one server, told apart by host name."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import numpy as np

from tests.media import X264, set_matrix, write_clip

SITE, MEDIA, CORS, LOCKED = "site.test", "media.test", "cors.test", "locked.test"
N_FRAMES, FPS = 120, 10  # the clip's
SIZE_WH = (640, 360)
STRICT = "default-src 'none'; media-src http:"  # no pictures, no styles, no frames, no workers
HEADERS = {"/overlay": {"Content-Security-Policy": STRICT}}
EVIL_TITLE = "<img src=x onerror=alert(1)><b>Verified genuine</b>"

PLAYER = """
const source = new MediaSource();
document.querySelector("video").src = URL.createObjectURL(source);
source.onsourceopen = async () => {
  const buffer = source.addSourceBuffer('video/mp4; codecs="avc1.64001f"');
  buffer.appendBuffer(await (await fetch("/pieces.mp4")).arrayBuffer());
  buffer.onupdateend = () => { ENDING; window.ready = true; };
};
"""
HOSTILE = """
new MutationObserver((changes) => {
  for (const { addedNodes } of changes) for (const node of addedNodes) {
    if (node.localName !== "div") continue;
    window.caught = node;
    window.attacks = (window.attacks ?? 0) + 1;
    if (window.attacks < 4) node.remove();
    node.setAttribute("style", "display: none !important");
    node.hidePopover?.();
  }
}).observe(document.documentElement, { childList: true });
"""
HOSTILE_CSS = """
* { --tt-ink: #ff00ff !important; --tt-page: #ff00ff !important; --tt-strong-ink: lime !important; }
html { font-size: 3px; }
div[popover] { opacity: 0 !important; font-size: 99px !important; color: lime !important; }
div[popover] { transform: scale(9) !important; }
"""


def video(src: str, attributes: str = "") -> str:
    return f'<video muted playsinline width="640" height="360" src="{src}" {attributes}></video>'


def page(body: str, title: str = "A page", head: str = "") -> str:
    style = "body { margin: 20px; } video { display: block; }"
    return f"<!doctype html><meta charset=utf-8><title>{title}</title><style>{style}</style>{head}{body}"


def make_pages(port: int) -> dict[str, str]:
    """HTML by path."""
    clip = "/clip.mp4"
    whole, live = PLAYER.replace("ENDING", "source.endOfStream()"), PLAYER.replace("ENDING", "0")
    small = f'<video muted width=160 height=90 src="{clip}"></video>'
    shadow = f"""{small}<section><div id=host></div></section><script>
      document.querySelector("#host").attachShadow({{ mode: "closed" }}).innerHTML = '{video(clip)}';</script>"""
    covered = "<div style='position:relative'>{}<div style='position:absolute;inset:0;z-index:99'></div></div>"
    cover = "<aside style='position:fixed;inset:0;z-index:2147483647;opacity:0'></aside>"
    title = EVIL_TITLE.replace("<", "&lt;")
    return {
        "/same": page(video(clip)),
        "/cross": page(video(f"http://{MEDIA}:{port}{clip}")),
        "/locked": page(video(f"http://{LOCKED}:{port}{clip}")),
        "/mse": page(f"{video('')}<script>{whole}</script>"),
        "/live": page(f"{video('')}<script>{live}</script>"),
        "/shadow": page(shadow),
        "/iframe": page('<iframe src="/same" width=720 height=420></iframe>'),
        "/black": page(video("/black.mp4")),
        "/overlay": page(covered.format(video(f"http://{CORS}:{port}{clip}", "crossorigin=anonymous"))),
        "/spa": page(video(clip)),
        "/turned": page(video("/turned.mp4")),
        "/own": page(video("/own.mp4")),
        "/none": page("<p>Nothing to see.</p>"),
        "/evil": page(video(clip) + cover, title, f"<style>{HOSTILE_CSS}</style><script>{HOSTILE}</script>"),
    }


@dataclass(frozen=True)
class Sites:
    """Where the sites are."""

    port: int

    def url(self, path: str, host: str = SITE) -> str:
        return f"http://{host}:{self.port}{path}"


def make_media(folder: Path, shown: Path | None) -> dict[str, bytes]:
    """Files by path."""
    options = dict(X264) | {"profile": "high", "g": "20"}
    clip = write_clip(folder / "clip.mp4", n_frames=N_FRAMES, fps=FPS, size_wh=SIZE_WH, options=options)
    pieces = write_clip(
        folder / "pieces.mp4",
        n_frames=N_FRAMES,
        fps=FPS,
        size_wh=SIZE_WH,
        options=options,
        container_options={"movflags": "frag_keyframe+empty_moov+default_base_moof"},
    )
    if shown is not None:
        shutil.copyfile(shown, clip)
        cut_into_pieces(shown, pieces)
    dark = [np.zeros((90, 160, 3), np.uint8)] * 30
    black = write_clip(folder / "black.mp4", fps=FPS, size_wh=(160, 90), images=dark)
    turned = set_matrix(Path(shutil.copyfile(clip, folder / "turned.mp4")), (0, 1, -1, 0))
    return {f"/{path.name}": path.read_bytes() for path in (clip, pieces, black, turned)}


def cut_into_pieces(path: Path, out: Path) -> None:
    """The same pictures as a player of pieces takes them."""
    flags = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    with av.open(str(path)) as source, av.open(str(out), "w", options=flags) as target:
        given = source.streams.video[0]
        stream = target.add_stream_from_template(given)
        for packet in source.demux(given):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)


class SiteServer(ThreadingHTTPServer):
    """Serves pages and videos on a free port."""

    daemon_threads = True

    def __init__(self, media: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.media = media
        self.pages = make_pages(self.server_port)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: SiteServer

    def log_message(self, *_: Any) -> None:
        pass

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except ConnectionError:
            self.close_connection = True  # a player that has enough

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path in self.server.media:
            self._send_media(self.server.media[path])
        elif path in self.server.pages:
            headers = {"Content-Type": "text/html"} | HEADERS.get(path, {})
            self._send(200, self.server.pages[path].encode(), headers)
        else:
            self._send(404, b"", {"Content-Type": "text/plain"})

    def _send_media(self, content: bytes) -> None:
        headers = {"Content-Type": "video/mp4", "Accept-Ranges": "bytes", "Cache-Control": "no-store"}
        if (self.headers.get("Host") or "").startswith(CORS):
            headers["Access-Control-Allow-Origin"] = "*"
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if wanted is None:
            self._send(200, content, headers)
            return
        start, end = int(wanted[1]), min(int(wanted[2] or len(content) - 1), len(content) - 1)
        headers["Content-Range"] = f"bytes {start}-{end}/{len(content)}"
        self._send(206, content[start : end + 1], headers)

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def fixture_sites(folder: Path, own_clip: bytes = b"", *, shown: Path | None = None) -> Iterator[Sites]:
    """The sites; a browser reaches them with ``--host-resolver-rules="MAP *.test 127.0.0.1"``.

    Args:
        own_clip: the video of the page ``/own``.
        shown: an H.264 video in place of the numbered one.
    """
    server = SiteServer(make_media(folder, shown) | {"/own.mp4": own_clip})
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield Sites(server.server_port)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
