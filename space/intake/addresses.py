"""Links and the addresses they lead to: what a link may be, and which addresses are open to the public.

A link that a stranger hands to a server must not reach what only the server can: itself, its neighbours, the
cloud's metadata. So names are not judged at all, only the addresses they resolve to, and every way to write or
to wrap an address is undone first.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import SplitResult, quote, urlsplit

from space.errors import LinkError

SCHEMES = {"http": 80, "https": 443}  # and their ports
PORTS = frozenset({80, 443, 8080})
MAX_LINK_CHARS = 4096
MAX_HOST_CHARS = 253

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f-\xa0\\]")  # controls and spaces; a backslash is a slash to some parsers

# Beyond what ``is_global`` says, whose table differs between versions of Python: addresses in which another
# one is wrapped and unwrapped by a gateway, so that the gateway would reach what we may not, and reserved ones.
_REFUSED = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",
        "100.64.0.0/10",  # behind a provider's NAT
        "192.0.0.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "198.18.0.0/15",
        "240.0.0.0/4",
        "::/96",  # IPv4-compatible
        "64:ff9b::/96",  # NAT64
        "64:ff9b:1::/48",
        "2001::/23",  # Teredo, ORCHID, benchmarks
        "2002::/16",  # 6to4
        "3fff::/20",  # documentation
        "fec0::/10",
    )
)


@dataclass(frozen=True)
class Link:
    """A link as it is opened: ASCII, without a fragment."""

    url: str
    host: str  # lower case; IPv6 without brackets
    port: int


def parse_link(text: str) -> Link:
    """Read a link that a person gave.

    A fragment is dropped: sites do not see it, but yt-dlp takes orders in one. Whether the port and the address
    are allowed is not judged here.

    Raises:
        LinkError: ``bad_url``: not http or https, with a user's name in it, or no host that could be one.
    """
    text = text.strip()
    if len(text) > MAX_LINK_CHARS or _FORBIDDEN.search(text):
        raise LinkError("bad_url")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise LinkError("bad_url") from error
    if parts.scheme not in SCHEMES or "@" in parts.netloc or port == 0:
        raise LinkError("bad_url")
    host = normalise_host(parts.hostname or "")
    if ("[" in parts.netloc) != (":" in host):  # brackets are for IPv6
        raise LinkError("bad_url")
    return Link(_to_ascii(parts, host, port), host, port or SCHEMES[parts.scheme])


def _to_ascii(parts: SplitResult, host: str, port: int | None) -> str:
    path, query = (quote(part, safe="%/:=&?~#+!$,;'@()*[]") for part in (parts.path, parts.query))
    netloc = join_host(host, port)
    return parts._replace(netloc=netloc, path=path or "/", query=query, fragment="").geturl()


def join_host(host: str, port: int | None) -> str:
    """Host and port as in a URL."""
    return f"{f'[{host}]' if ':' in host else host}{'' if port is None else f':{port}'}"


def normalise_host(host: str) -> str:
    """A host as it is looked up: lower case ASCII, without the dot at the end.

    Addresses in other ways than the usual one (``127.1``, ``0x7f.1``, ``2130706433``) are refused: resolvers
    understand them, people do not.

    Raises:
        LinkError: ``bad_url``.
    """
    if ":" in host:
        return str(_read_ipv6(host))
    try:
        ascii_host = host[: MAX_HOST_CHARS + 1].encode("idna").decode("ascii").lower().removesuffix(".")
    except UnicodeError as error:
        raise LinkError("bad_url") from error
    labels = ascii_host.split(".")
    if len(host) > MAX_HOST_CHARS or not all(_LABEL.fullmatch(label) for label in labels):
        raise LinkError("bad_url")
    if _NUMBER.fullmatch(labels[-1]):
        return str(_read_ipv4(ascii_host))
    return ascii_host


def _read_ipv4(host: str) -> ipaddress.IPv4Address:
    try:
        return ipaddress.IPv4Address(host)
    except ValueError as error:
        raise LinkError("bad_url") from error


def _read_ipv6(host: str) -> ipaddress.IPv6Address:
    try:
        address = ipaddress.IPv6Address(host)
    except ValueError as error:
        raise LinkError("bad_url") from error
    if address.scope_id is not None:
        raise LinkError("bad_url")
    return address


def read_address(host: str) -> Address | None:
    """The address that a normalised host is; None if it is a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def is_public(address: Address) -> bool:
    """Whether anybody on the internet can reach this very address, and it is nobody else's in disguise."""
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return is_public(address.ipv4_mapped)
    if not address.is_global or address.is_multicast or address.is_reserved:
        return False
    return not any(address in network for network in _REFUSED if network.version == address.version)


def is_among(host: str, hosts: Iterable[str]) -> bool:
    """Whether a host is one of these or below one of them."""
    return any(host == allowed or host.endswith(f".{allowed}") for allowed in (name.lower() for name in hosts))
