"""What a client asks a proxy for: a tunnel (CONNECT) or a plain request with a whole URL."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from space.errors import LinkError
from space.intake.addresses import normalise_host, parse_link

MAX_HEAD_BYTES = 64 * 1024
END_OF_HEAD = b"\r\n\r\n"
# Between client and proxy only (RFC 9110, 7.6.1); the host is written anew from the URL that was judged.
_OWN_HEADERS = {b"host", b"connection", b"proxy-connection", b"proxy-authorization", b"keep-alive", b"te", b"upgrade"}


@dataclass(frozen=True)
class ProxyRequest:
    """A request as a proxy understands it."""

    host: str  # normalised
    port: int
    credentials: bytes  # base64, as sent; empty if none were
    head: bytes | None  # what goes to the server before ``rest``; None for a tunnel
    rest: bytes  # what the client has sent after the head


def read_request(client: socket.socket) -> ProxyRequest:
    """Read one request.

    Raises:
        LinkError: ``bad_url``: no request, or for something that is not http or https.
        OSError: the client went away.
    """
    received = b""
    while END_OF_HEAD not in received:
        block = client.recv(4096)
        if not block:
            raise ConnectionError("the client left")
        received += block
        if len(received) > MAX_HEAD_BYTES:
            raise LinkError("bad_url")
    head, _, rest = received.partition(END_OF_HEAD)
    return _parse(head, rest)


def _parse(head: bytes, rest: bytes) -> ProxyRequest:
    first, *lines = head.split(b"\r\n")
    words = first.split(b" ")
    headers = [(name.strip(), value.strip()) for name, _, value in (line.partition(b":") for line in lines)]
    if len(words) != 3 or not words[2].startswith(b"HTTP/1.") or not words[0].isalpha():
        raise LinkError("bad_url")
    try:
        method, target = words[0], words[1].decode("ascii")
    except UnicodeDecodeError as error:
        raise LinkError("bad_url") from error
    credentials = next((v for n, v in headers if n.lower() == b"proxy-authorization"), b"").removeprefix(b"Basic ")
    if method == b"CONNECT":
        host, port = _read_authority(target)
        return ProxyRequest(host, port, credentials, None, rest)
    return _parse_plain(method, target, headers, credentials, rest)


def _parse_plain(
    method: bytes, target: str, headers: list[tuple[bytes, bytes]], credentials: bytes, rest: bytes
) -> ProxyRequest:
    link = parse_link(target)
    if not target.lower().startswith("http://"):  # https travels in a tunnel
        raise LinkError("bad_url")
    authority = link.url.removeprefix("http://").partition("/")[0]
    path = link.url.removeprefix(f"http://{authority}")
    lines = [b"%s %s HTTP/1.1" % (method, path.encode("ascii")), b"Host: " + authority.encode("ascii")]
    lines += [b"%s: %s" % header for header in headers if header[0].lower() not in _OWN_HEADERS]
    lines.append(b"Connection: close")
    return ProxyRequest(link.host, link.port, credentials, b"\r\n".join(lines) + END_OF_HEAD, rest)


def _read_authority(target: str) -> tuple[str, int]:
    host, colon, port = target.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit()) or not 0 < int(port[:6]) < 2**16 or "@" in host:
        raise LinkError("bad_url")
    return normalise_host(host.removeprefix("[").removesuffix("]")), int(port)
