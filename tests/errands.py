"""A played web with films on it, and somebody who fetches them into a vault."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from space.errors import TelltaleError
from space.intake.containers import TS_PACKET_BYTES
from space.intake.egress import Egress
from space.intake.links import FetchedLink, fetch_link
from space.intake.vault import Vault
from space.settings import MIB, Limits, LinkSettings
from tests import media
from tests.websites import BLOCK, Answer, Site, Web, redirect

LINKS = LinkSettings(sites=("html5", "generic"), max_seconds=30)  # as every page is read that has no reader of its own
PLAYLIST_KIND = "application/vnd.apple.mpegurl"
KEY = bytes(range(16))


def encrypt(piece: bytes, number: int) -> bytes:
    padder = PKCS7(128).padder()
    lock = Cipher(algorithms.AES(KEY), modes.CBC(number.to_bytes(16, "big"))).encryptor()
    return lock.update(padder.update(piece) + padder.finalize()) + lock.finalize()


def playlist(*lines: str, ended: bool = True, seconds: float = 1) -> bytes:
    head = ["#EXTM3U", "#EXT-X-VERSION:3", f"#EXT-X-TARGETDURATION:{seconds}", "#EXT-X-MEDIA-SEQUENCE:0"]
    body = [f"#EXTINF:{seconds},\n{line}" if not line.startswith("#") else line for line in lines]
    return "\n".join([*head, *body, *(["#EXT-X-ENDLIST"] if ended else [])]).encode()


@dataclass(frozen=True)
class Films:
    """The same clip as a file and as a stream's pieces."""

    mp4: bytes
    ts: bytes
    pieces: tuple[bytes, ...]


def make_films(folder: Path) -> Films:
    """Encode them."""
    mp4 = media.write_clip(folder / "clip.mp4").read_bytes()
    ts = media.write_clip(folder / "clip.ts", container_format="mpegts").read_bytes()
    third = len(ts) // TS_PACKET_BYTES // 3 * TS_PACKET_BYTES
    return Films(mp4, ts, (ts[:third], ts[third : 2 * third], ts[2 * third :]))


def make_site(films: Films, port: int) -> Site:
    here = f"http://127.0.0.1:{port}"
    video = {"kind": "video/mp4"}
    names = [f"piece{i}.ts" for i in range(len(films.pieces))]
    site = {
        "/clip.mp4": Answer(films.mp4, **video),
        "/large.mp4": Answer(films.mp4 + media.box(b"free", bytes(MIB)), **video),
        "/untyped": Answer(films.mp4, kind="application/octet-stream"),
        "/no-length.mp4": Answer(films.mp4, with_length=False, **video),
        "/resumes.mp4": Answer(films.mp4, breaks_at=5000, resumes=True, **video),
        "/starts-anew.mp4": Answer(films.mp4, breaks_at=5000, **video),
        "/moved": redirect("/clip.mp4"),
        "/moved-to-inside": redirect("http://127.0.0.1:1/clip.mp4"),
        "/moved-to-metadata": redirect("http://169.254.169.254/latest/"),
        "/moved-to-file": redirect("file:///etc/hostname"),
        "/moved-to-ftp": redirect("ftp://127.0.0.1/a.mp4"),
        "/moved-in-circles": redirect("/moved-in-circles"),
        "/page": Answer(b'<html><title>A film</title><video src="/clip.mp4"></video></html>'),
        "/page-of-two": Answer(
            b'<html><title>Films</title><video src="/clip.mp4"></video><video src="/x.mp4"></video>'
        ),
        "/page-with-og": Answer(
            f'<html><head><title>A film</title><meta property="og:video" content="{here}/clip.mp4">'
            '<meta property="og:video:type" content="video/mp4"></head></html>'.encode()
        ),
        "/page-of-words": Answer(b"<html><title>Words</title><p>Nothing to see.</p></html>"),
        "/page-to-inside": Answer(b'<html><title>A film</title><video src="http://10.0.0.1/a.mp4"></video></html>'),
        "/stream.m3u8": Answer(playlist(*names), kind=PLAYLIST_KIND),
        "/variants.m3u8": Answer(
            b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=900000,RESOLUTION=640x360\nstream.m3u8\n"
            b"#EXT-X-STREAM-INF:BANDWIDTH=9000000,RESOLUTION=1920x1080\nbig.m3u8\n",
            kind=PLAYLIST_KIND,
        ),
        "/page-with-stream": Answer(b'<html><title>A film</title><video src="/stream.m3u8"></video></html>'),
        "/locked.m3u8": Answer(
            playlist('#EXT-X-KEY:METHOD=AES-128,URI="key"', *(f"locked{i}.ts" for i in range(3))), kind=PLAYLIST_KIND
        ),
        "/key": Answer(KEY, kind="application/octet-stream"),
        "/live.m3u8": Answer(playlist(*names, ended=False), kind=PLAYLIST_KIND),
        "/drm.m3u8": Answer(
            playlist('#EXT-X-KEY:METHOD=SAMPLE-AES,URI="skd://k",KEYFORMAT="com.apple.streamingkeydelivery"', *names),
            kind=PLAYLIST_KIND,
        ),
        "/hours.m3u8": Answer(playlist(*names, seconds=3600), kind=PLAYLIST_KIND),
        "/inner.m3u8": Answer(playlist(names[0], "http://127.0.0.1:1/piece1.ts"), kind=PLAYLIST_KIND),
        "/torn.m3u8": Answer(playlist(names[0], "missing.ts"), kind=PLAYLIST_KIND),
        "/fat.m3u8": Answer(playlist("endless.ts"), kind=PLAYLIST_KIND),
        "/endless.ts": Answer(BLOCK, kind="video/mp2t", endless=True),
        "/wall": Answer(b"<html><title>Attention Required! | Cloudflare</title>", status=403),
        "/busy": Answer(b"slow down", status=429),
        "/members": Answer(b"who are you", status=401),
        "/removed": Answer(b"it was here", status=410),
        "/broken": Answer(b"oops", status=500),
        "/endless": Answer(BLOCK, endless=True, **video),
        "/endless-page": Answer(b"<html><title>Words</title>" + b"<p>" * 20_000, endless=True),
        "/liar.mp4": Answer(films.mp4, headers={"Content-Length": str(200 * MIB)}, with_length=False, **video),
        "/drip": Answer(BLOCK, block_bytes=1, pause_s=0.1, **video),
        "/nothing.mp4": Answer(b"", **video),
    }
    site |= {f"/{name}": Answer(piece, kind="video/mp2t") for name, piece in zip(names, films.pieces, strict=True)}
    site |= {f"/locked{i}.ts": Answer(encrypt(piece, i)) for i, piece in enumerate(films.pieces)}
    return site


@dataclass
class Errand:
    """What a test fetches with."""

    vault: Vault
    web: Web
    fractions: list[float] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def fetch(
        self,
        path: str,
        *,
        links: LinkSettings = LINKS,
        limits: Limits = Limits(max_bytes=4 * MIB),  # noqa: B008 - frozen
        host: str = "127.0.0.1",
        progress: Callable[[float], None] | None = None,
    ) -> FetchedLink:
        return fetch_link(
            self.web.url(path, host),
            vault=self.vault,
            limits=limits,
            links=links,
            progress=progress or self.fractions.append,
            stop=self.stop,
            egress=Egress(resolve=lambda _: ("127.0.0.1",), loopback_ports=frozenset([self.web.port])),
        )

    def code(self, path: str, **choices: Any) -> str:
        with pytest.raises(TelltaleError) as refusal:
            self.fetch(path, **choices)
        assert self.web.url("") not in str(refusal.value)
        return refusal.value.code


def read(fetched: FetchedLink) -> bytes:
    with fetched.sealed.open() as stream:
        return stream.read()
