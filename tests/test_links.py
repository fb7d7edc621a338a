"""Links, fetched from a server that plays the web, through the guard into a vault."""

from __future__ import annotations

import logging
import os
import re
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from space.errors import LinkError, SourceError, StoppedError
from space.intake import links as links_module
from space.intake.egress import Guard
from space.intake.vault import Vault
from space.settings import MIB, Limits
from tests import media
from tests.errands import LINKS, Errand, Films, make_films, make_site, read
from tests.websites import BLOCK, Answer, Web, redirect, serve


def slow(*cases: Any) -> list[Any]:
    """Cases of a table that take a process each and show little more than their neighbours."""
    return [pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.slow) for case in cases]


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory) -> Films:
    return make_films(tmp_path_factory.mktemp("films"))


@pytest.fixture(scope="module")
def web(films: Films) -> Iterator[Web]:
    with serve(lambda port: make_site(films, port)) as web:
        yield web


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the vault is, and where anything temporary of this process would be."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def errand(web: Web, folder: Path) -> Iterator[Errand]:
    with Vault(folder / "vault") as vault:
        yield Errand(vault, web)
    assert not [path for path in folder.rglob("*") if path.is_file()]
    assert not [thread for thread in threading.enumerate() if thread.name == "egress"]


# --- fetched ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/moved",
        "/page",
        "/starts-anew.mp4",
        *slow("/clip.mp4", "/no-length.mp4", "/page-of-two", "/page-with-og", "/resumes.mp4", "/untyped"),
    ],
)
def test_a_file_arrives_byte_for_byte(errand: Errand, films: Films, path: str) -> None:
    fetched = errand.fetch(path)
    assert read(fetched) == films.mp4
    assert fetched.host == "127.0.0.1"
    assert errand.fractions == sorted(errand.fractions)
    assert errand.fractions[-1] == 1.0


@pytest.mark.parametrize("path", ["/variants.m3u8", "/locked.m3u8", *slow("/stream.m3u8", "/page-with-stream")])
def test_a_stream_arrives_piece_by_piece(errand: Errand, films: Films, path: str) -> None:
    assert read(errand.fetch(path)) == films.ts
    assert "/big.m3u8" not in errand.web.paths


def test_the_name_of_a_site_is_kept_as_it_is_looked_up(errand: Errand) -> None:
    assert errand.fetch("/clip.mp4", host="Bücher.Example").host == "xn--bcher-kva.example"


@pytest.mark.skipif(not Path("/proc/self/fdinfo").is_dir(), reason="needs Linux's /proc")
@pytest.mark.parametrize("path", ["/large.mp4", "/stream.m3u8"])
def test_nothing_but_the_vault_holds_a_file(
    errand: Errand, folder: Path, films: Films, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    children: list[subprocess.Popen[bytes]] = []
    start = subprocess.Popen

    def remember(*arguments: Any, **choices: Any) -> subprocess.Popen[bytes]:
        children.append(start(*arguments, **choices))
        return children[-1]

    monkeypatch.setattr(links_module.subprocess, "Popen", remember)
    seen: list[Path] = []

    def look(_: float) -> None:
        limits = Path(f"/proc/{children[0].pid}/limits").read_text()
        assert re.search(r"^Max file size\s+0\s+0\s", limits, re.MULTILINE), "the kernel lets no file grow"
        for descriptor in Path(f"/proc/{children[0].pid}/fd").iterdir():
            seen.append(descriptor)
            flags = int((descriptor.parents[1] / "fdinfo" / descriptor.name).read_text().split()[3], 8)
            assert not descriptor.is_file() or flags & os.O_ACCMODE == os.O_RDONLY

    fetched = errand.fetch(path, progress=lambda fraction: look(fraction) if fraction < 1 else None)
    assert seen, "it was looked at while it ran"
    assert children[0].poll() is not None
    (stored,) = [path for path in folder.rglob("*") if path.is_file()]
    assert films.mp4[:64] not in stored.read_bytes()
    assert films.ts[:64] not in stored.read_bytes()
    fetched.sealed.delete()
    assert not [path for path in folder.rglob("*") if path.is_file()]


def make_certificate(folder: Path, name: str) -> Path:
    """A file with a key and a certificate that it signed itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = folder / "certificate.pem"
    path.write_bytes(secret + certificate.public_bytes(pem))
    return path


@pytest.mark.parametrize("trusted", [True, False])
def test_over_tls_a_site_is_who_it_says_or_nobody(
    films: Films, tmp_path: Path, trusted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = make_certificate(tmp_path, "films.example")
    if trusted:  # stands in for the list of authorities that yt-dlp asks
        (tmp_path / "certifi.py").write_text(f"def where():\n    return {str(certificate)!r}\n", encoding="utf-8")
        monkeypatch.syspath_prepend(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    with serve({"/clip.mp4": Answer(films.mp4, kind="video/mp4")}, tls=tls) as web, Vault(tmp_path / "vault") as vault:
        monkeypatch.setattr(web, "url", lambda path, host: f"https://films.example:{web.port}{path}")
        errand = Errand(vault, web)
        if trusted:
            assert read(errand.fetch("/clip.mp4")) == films.mp4
        else:
            with pytest.raises(LinkError, match="link_failed"):
                errand.fetch("/clip.mp4")
            assert web.requests == []


def test_a_stream_in_listed_pieces_arrives(films: Films, tmp_path: Path) -> None:
    """MPEG-DASH: a file cut by its manifest, with a beginning of its own."""
    media.write_clip(tmp_path / "clip.mpd", container_format="dash", container_options={"seg_duration": "1"})
    pieces = sorted(path for path in tmp_path.glob("*.m4s") if "chunk" in path.name)
    (head,) = [path for path in tmp_path.glob("*.m4s") if "init" in path.name]
    site = {f"/{path.name}": Answer(path.read_bytes(), kind="video/iso.segment") for path in [head, *pieces]}
    site["/clip.mpd"] = Answer((tmp_path / "clip.mpd").read_bytes(), kind="application/dash+xml")
    with serve(site) as web, Vault(tmp_path / "vault") as vault:
        fetched = read(Errand(vault, web).fetch("/clip.mpd"))
    assert fetched == b"".join(path.read_bytes() for path in [head, *pieces])


# --- refused by the site, or not there --------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/wall", "blocked_by_site"),
        ("/missing", "gone"),
        ("/page-of-words", "no_video_on_page"),
        ("/live.m3u8", "live_stream"),
        ("/drm.m3u8", "drm_protected"),
        ("/torn.m3u8", "gone"),
        ("/moved-to-inside", "blocked_address"),
        ("/inner.m3u8", "blocked_address"),
        *slow(
            ("/busy", "blocked_by_site"),
            ("/members", "login_needed"),
            ("/removed", "gone"),
            ("/broken", "link_failed"),
            ("/nothing.mp4", "link_failed"),
            ("/moved-in-circles", "link_failed"),
            ("/moved-to-metadata", "blocked_address"),
            ("/moved-to-ftp", "bad_url"),
            ("/moved-to-file", "link_failed"),
            ("/page-to-inside", "blocked_address"),
        ),
    ],
)
def test_a_refusal_has_a_code(errand: Errand, path: str, code: str) -> None:
    assert errand.code(path) == code


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("file:///etc/hostname", "bad_url"),
        ("http://user@example.org/", "bad_url"),
        ("http://2130706433/", "bad_url"),
        ("http://example.org:22/", "blocked_address"),
        ("http://127.0.0.1/", "blocked_address"),
        ("http://[::ffff:10.0.0.1]/", "blocked_address"),
    ],
)
def test_an_evil_link_has_a_code(errand: Errand, url: str, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errand.web, "url", lambda *_: url)
    assert errand.code("") == code


def test_a_host_may_be_left_out(errand: Errand) -> None:
    links = replace(LINKS, allowed_hosts=("films.example",))
    n_requests = len(errand.web.requests)
    assert errand.code("/clip.mp4", links=links) == "host_not_allowed"
    assert len(errand.web.requests) == n_requests
    assert errand.fetch("/clip.mp4", links=links, host="www.films.example").host == "www.films.example"


def test_a_page_elsewhere_is_left_out_as_well(errand: Errand) -> None:
    errand.web.site["/away"] = redirect(errand.web.url("/clip.mp4", "other.example"))
    links = replace(LINKS, allowed_hosts=("films.example",))
    assert errand.code("/away", links=links, host="films.example") == "host_not_allowed"


@pytest.mark.parametrize("path", ["/wall", "/moved-to-inside"])
def test_nothing_of_a_link_is_logged(errand: Errand, path: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    errand.code(path, host="secret.example")
    for word in ("secret.example", path, "Cloudflare", "10.0.0.1"):
        assert word not in caplog.text


# --- limits -----------------------------------------------------------------------------------


def test_too_large_without_a_length(errand: Errand) -> None:
    assert errand.code("/endless") == "too_large"


def test_too_large_by_its_own_account(errand: Errand) -> None:
    n_requests = len(errand.web.requests)
    assert errand.code("/liar.mp4", limits=Limits()) == "too_large"
    assert len(errand.web.requests) - n_requests <= 2


def test_too_large_in_one_piece_of_a_stream(errand: Errand) -> None:
    assert errand.code("/fat.m3u8") == "too_large"


def test_too_large_before_there_is_a_video(errand: Errand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links_module, "OVERHEAD_BYTES", MIB)
    assert errand.code("/endless-page") == "too_large"


def test_too_long_by_its_playlist(errand: Errand) -> None:
    with pytest.raises(SourceError) as refusal:
        errand.fetch("/hours.m3u8")
    assert refusal.value.code == "too_long"
    assert refusal.value.params == {"actual_s": 10800.0, "limit_s": 600.0}
    assert "/piece0.ts" not in errand.web.paths[-2:]


def test_too_slow(errand: Errand) -> None:
    began = time.monotonic()
    with pytest.raises(LinkError) as refusal:
        errand.fetch("/drip", links=replace(LINKS, max_seconds=4))
    assert (refusal.value.code, refusal.value.params) == ("download_timeout", {"limit_s": 4})
    assert time.monotonic() - began < 7


# --- stopped and broken -----------------------------------------------------------------------


def test_a_stop_ends_it_at_once(errand: Errand) -> None:
    errand.web.site["/waits"] = Answer(BLOCK, block_bytes=1, pause_s=0.05, kind="video/mp4")
    timer = threading.Timer(0.5, errand.stop.set)
    timer.start()
    began = time.monotonic()
    with pytest.raises(StoppedError):
        errand.fetch("/waits")
    assert time.monotonic() - began < 3
    timer.join()


def test_a_killed_process_is_an_error(errand: Errand, monkeypatch: pytest.MonkeyPatch) -> None:
    start = subprocess.Popen

    def start_and_kill(*arguments: Any, **choices: Any) -> subprocess.Popen[bytes]:
        child = start(*arguments, **choices)
        threading.Timer(0.3, child.kill).start()
        return child

    monkeypatch.setattr(links_module.subprocess, "Popen", start_and_kill)
    assert errand.code("/drip") == "link_failed"


def test_without_the_guard_nothing_is_fetched(errand: Errand, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process is told a port where nobody listens."""
    n_requests = len(errand.web.requests)
    enter = Guard.__enter__

    def die(guard: Guard) -> Guard:
        enter(guard)._listener.close()
        return guard

    monkeypatch.setattr(Guard, "__enter__", die)
    monkeypatch.setattr(threading, "excepthook", lambda _: None)  # its accepting thread dies with it
    assert errand.code("/clip.mp4") == "link_failed"
    assert len(errand.web.requests) == n_requests


def test_what_is_no_parcel_is_an_error(errand: Errand, monkeypatch: pytest.MonkeyPatch) -> None:
    start = subprocess.Popen

    def babble(_: list[str], **choices: Any) -> subprocess.Popen[bytes]:
        return start(["/bin/sh", "-c", "read -r order; echo 'hello, this is no parcel'"], **choices)

    monkeypatch.setattr(links_module.subprocess, "Popen", babble)
    assert errand.code("/clip.mp4") == "internal"
