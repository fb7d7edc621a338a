"""The guard proxy: where it lets a client go, what it counts, and that everything else is refused."""

from __future__ import annotations

import base64
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from space.errors import LinkError, SourceError, StoppedError
from space.intake.egress import Egress, Guard
from space.intake.proxy_requests import MAX_HEAD_BYTES
from space.settings import MIB
from tests.websites import BLOCK, Answer, Web, redirect, serve


@contextmanager
def guarding(
    *ports: int,
    answers: dict[str, tuple[str, ...]] | None = None,
    resolve: Callable[[str], tuple[str, ...]] | None = None,
    max_bytes: int = MIB,
    max_seconds: float = 20.0,
    stop: threading.Event | None = None,
) -> Iterator[Guard]:
    """A guard that lets a client go to these ports of loopback."""

    def look_up(host: str) -> tuple[str, ...]:
        try:
            return (answers or {})[host]
        except KeyError as error:
            raise socket.gaierror(socket.EAI_NONAME, "no such name") from error

    egress = Egress(resolve=resolve or look_up, loopback_ports=frozenset(ports))
    with Guard(egress, max_bytes=max_bytes, max_seconds=max_seconds, stop=stop or threading.Event()) as guard:
        yield guard


def get(guard: Guard, url: str, proxy: str | None = None) -> bytes:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({"http": proxy or guard.url}))
    with opener.open(url, timeout=10) as response:
        body: bytes = response.read()
        return body


def exchange(guard: Guard, request: bytes) -> bytes:
    """What the guard answers to raw bytes, until it hangs up."""
    with socket.create_connection(("127.0.0.1", guard.port), timeout=10) as client:
        client.sendall(request)
        received = b""
        while block := client.recv(4096):
            received += block
        return received


def credentials(guard: Guard) -> bytes:
    word = guard.url.removeprefix("http://").partition("@")[0]
    return b"Proxy-Authorization: Basic " + base64.b64encode(word.encode())


def tunnel(guard: Guard, target: str) -> bytes:
    return exchange(guard, b"CONNECT %s HTTP/1.1\r\n%s\r\n\r\n" % (target.encode(), credentials(guard)))


@pytest.fixture(scope="module")
def web() -> Iterator[Web]:
    site = {
        "/hello": Answer(b"hello"),
        "/long": Answer(BLOCK * 8),
        "/endless": Answer(BLOCK, endless=True),
        "/drip": Answer(b"." * 1000, block_bytes=1, pause_s=0.05),
        "/inwards": redirect("http://127.0.0.1:1/secret"),
        "/metadata": redirect("http://169.254.169.254/latest/meta-data/"),
    }
    with serve(site) as web:
        yield web


def refused(guard: Guard) -> str | None:
    return None if guard.refusal is None else guard.refusal.code


# --- let through ------------------------------------------------------------------------------


def test_a_plain_request_is_passed_on(web: Web) -> None:
    with guarding(web.port) as guard:
        assert get(guard, web.url("/hello")) == b"hello"
    path, headers = web.requests[-1]
    assert path == "/hello"
    assert headers["Host"] == f"127.0.0.1:{web.port}"
    assert not {"Proxy-Authorization", "Proxy-Connection"} & headers.keys()


def test_a_tunnel_is_opened(web: Web) -> None:
    with guarding(web.port) as guard, socket.create_connection(("127.0.0.1", guard.port), timeout=10) as client:
        client.sendall(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\n%s\r\n\r\n" % (web.port, credentials(guard)))
        assert client.recv(100).startswith(b"HTTP/1.1 200")
        client.sendall(b"GET /hello HTTP/1.0\r\n\r\n")
        received = b""
        while block := client.recv(4096):
            received += block
    assert received.endswith(b"hello")


def test_a_name_is_looked_up_once_a_job(web: Web) -> None:
    answers = iter([("127.0.0.1",), ("10.0.0.1",)])
    with guarding(web.port, resolve=lambda _: next(answers)) as guard:
        for _ in range(3):
            assert get(guard, web.url("/hello", "flips.example")) == b"hello"
    with guarding(web.port, resolve=lambda _: next(answers)) as guard:
        with pytest.raises(urllib.error.HTTPError, match="403"):
            get(guard, web.url("/hello", "flips.example"))
        assert refused(guard) == "blocked_address"


def test_an_address_that_does_not_answer_is_passed_over(web: Web) -> None:
    with guarding(web.port, answers={"two.example": ("::1", "127.0.0.1")}) as guard:
        assert get(guard, web.url("/hello", "two.example")) == b"hello"


# --- refused ----------------------------------------------------------------------------------

NAMES = {
    "public.example": ("93.184.215.14",),
    "inner.example": ("10.0.0.7",),
    "mixed.example": ("93.184.215.14", "192.168.0.1"),
    "mapped.example": ("::ffff:169.254.169.254",),
    "zone.example": ("fe80::1%eth0",),
    "nat64.example": ("64:ff9b::7f00:1",),
    "none.example": (),
}


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("127.0.0.1:80", "blocked_address"),
        ("[::1]:443", "blocked_address"),
        ("[::ffff:127.0.0.1]:443", "blocked_address"),
        ("169.254.169.254:80", "blocked_address"),
        ("inner.example:443", "blocked_address"),
        ("mixed.example:443", "blocked_address"),
        ("mapped.example:443", "blocked_address"),
        ("nat64.example:443", "blocked_address"),
        ("public.example:22", "blocked_address"),
        ("public.example:25", "blocked_address"),
        ("public.example:6379", "blocked_address"),
        ("zone.example:443", "blocked_address"),
        ("none.example:443", "gone"),
        ("unknown.example:443", "gone"),
        ("127.1:80", "bad_url"),
        ("2130706433:80", "bad_url"),
        ("a@public.example:443", "bad_url"),
        ("public.example", "bad_url"),
        ("public.example:", "bad_url"),
        ("public.example:0", "bad_url"),
        ("public.example:99999999", "bad_url"),
        ("public.example:٤٤٣", "bad_url"),
    ],
)
def test_a_tunnel_elsewhere_is_refused(target: str, code: str) -> None:
    with guarding(answers=NAMES) as guard:
        assert tunnel(guard, target).startswith(b"HTTP/1.1 403 ")
        assert refused(guard) == code


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("GET http://127.0.0.1/ HTTP/1.1", "blocked_address"),
        ("GET http://inner.example/ HTTP/1.1", "blocked_address"),
        ("GET http://public.example:8081/ HTTP/1.1", "blocked_address"),
        ("GET https://public.example/ HTTP/1.1", "bad_url"),
        ("GET ftp://public.example/ HTTP/1.1", "bad_url"),
        ("GET file:///etc/hostname HTTP/1.1", "bad_url"),
        ("GET http://user@public.example/ HTTP/1.1", "bad_url"),
        ("GET /hello HTTP/1.1", "bad_url"),
        ("GET http://public.example/", "bad_url"),
        ("GET http://public.example/ a HTTP/1.1", "bad_url"),
        ("hello", "bad_url"),
    ],
)
def test_a_plain_request_elsewhere_is_refused(line: str, code: str) -> None:
    with guarding(answers=NAMES) as guard:
        answer = exchange(guard, line.encode() + b"\r\n" + credentials(guard) + b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 403 ")
        assert b"example" not in answer
        assert refused(guard) == code


@pytest.mark.parametrize("path", ["/inwards", "/metadata"])
def test_a_redirect_is_a_request_like_any_other(web: Web, path: str) -> None:
    with guarding(web.port) as guard:
        with pytest.raises(urllib.error.HTTPError, match="403"):
            get(guard, web.url(path))
        assert refused(guard) == "blocked_address"


def test_nobody_else_uses_the_guard(web: Web) -> None:
    n_requests = len(web.requests)
    with guarding(web.port) as guard:
        for word in ("", "job:guess@"):
            with pytest.raises(urllib.error.HTTPError, match="407"):
                get(guard, web.url("/hello"), proxy=f"http://{word}127.0.0.1:{guard.port}")
        assert refused(guard) is None
    assert len(web.requests) == n_requests


def test_a_head_without_an_end_is_refused() -> None:
    with guarding() as guard, socket.create_connection(("127.0.0.1", guard.port), timeout=10) as client:
        client.sendall(b"GET http://public.example/ HTTP/1.1\r\n" + b"a" * (MAX_HEAD_BYTES + 4096))
        assert client.recv(100).startswith(b"HTTP/1.1 403")
        assert refused(guard) == "bad_url"


def test_a_port_nobody_listens_on() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with guarding(port) as guard:
        tunnel(guard, f"127.0.0.1:{port}")
        assert refused(guard) == "link_failed"


# --- bytes and time ---------------------------------------------------------------------------


def test_bytes_are_counted_whatever_a_server_says(web: Web) -> None:
    with guarding(web.port, max_bytes=MIB) as guard:
        assert len(get(guard, web.url("/long"))) == len(BLOCK) * 8
        with pytest.raises(OSError, match=r"reset|Connection"):
            get(guard, web.url("/endless"))  # not an end: a body without a length would look whole
        with pytest.raises(SourceError) as limit:
            guard.check()
    assert limit.value.code == "too_large"


def test_time_is_counted(web: Web) -> None:
    with guarding(web.port, max_seconds=0.5) as guard:
        began = time.monotonic()
        with pytest.raises((OSError, urllib.error.URLError)):
            get(guard, web.url("/drip"))
        assert time.monotonic() - began < 3
        with pytest.raises(LinkError) as limit:
            guard.check()
    assert limit.value.code == "download_timeout"
    assert limit.value.params == {"limit_s": 0.5}


def test_a_stop_cuts_what_runs(web: Web) -> None:
    stop = threading.Event()
    with guarding(web.port, stop=stop) as guard:
        guard.check()
        threading.Timer(0.2, stop.set).start()
        with pytest.raises((OSError, urllib.error.URLError)):
            get(guard, web.url("/drip"))
        with pytest.raises(StoppedError):
            guard.check()


def test_leaving_cuts_what_runs_and_closes_the_port(web: Web) -> None:
    with guarding(web.port) as guard:
        client = socket.create_connection(("127.0.0.1", guard.port), timeout=10)
        client.sendall(b"GET %s HTTP/1.1\r\n%s\r\n\r\n" % (web.url("/drip").encode(), credentials(guard)))
        assert client.recv(10)
    with client, suppress(ConnectionResetError):
        while client.recv(4096):  # what was on its way, and then an end of either kind
            pass
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", guard.port), timeout=10)
    assert not [thread for thread in threading.enumerate() if thread.name == "egress"]
