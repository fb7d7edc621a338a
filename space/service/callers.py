"""Who calls, as a name that says nothing about them and is another one tomorrow."""

from __future__ import annotations

import hmac
import ipaddress
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Protocol

from space.service.settings import ServiceSettings

DAY_S = 24 * 60 * 60
EXEMPT = ""  # the name of callers without rate limits
TOKEN_HEADER = "x-telltale-token"  # noqa: S105 - a header's name
PROXY_HEADERS = ("x-forwarded-for", "forwarded", "x-real-ip")
IPV6_PREFIX = 64  # what one household or server gets


class Client(Protocol):
    """The other end of a connection."""

    @property
    def host(self) -> str:
        """Its address."""
        ...


class Request(Protocol):
    """What Starlette's and Gradio's requests have in common; Gradio's answers any other name with an error."""

    @property
    def headers(self) -> Mapping[str, str]:
        """By name, whatever its case."""
        ...

    @property
    def client(self) -> Client | None:
        """None where it is unknown."""
        ...


class Callers:
    """Names callers by a hash of their address whose salt is forgotten every day (UTC), and with the process.

    Args:
        clock: seconds since the epoch.
    """

    def __init__(self, settings: ServiceSettings, *, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._clock = clock
        self._lock = threading.Lock()
        self._day = -1
        self._salt = b""

    def name(self, request: Request) -> str:
        """32 hex digits, or ``EXEMPT``.

        Callers of one IPv6 /64 have one name. ``X-Forwarded-For`` counts only as far as proxies are trusted.
        """
        host = request.client.host if request.client else ""
        if self._is_exempt(request.headers, host):
            return EXEMPT
        forwarded = request.headers.get("x-forwarded-for") or ""
        address = forwarded_for(forwarded, n_proxies=self._settings.trusted_proxies) or host
        return hmac.new(self._todays_salt(), _household(address).encode(), sha256).hexdigest()[:32]

    def _is_exempt(self, headers: Mapping[str, str], host: str) -> bool:
        token = self._settings.token
        if token and hmac.compare_digest((headers.get(TOKEN_HEADER) or "").encode(), token.encode()):
            return True
        # Gradio calls its own endpoints for an assistant, whoever sent that.
        by_proxy = any(headers.get(name) for name in PROXY_HEADERS) or headers.get("x-gradio-user") == "mcp"
        return self._settings.exempt_loopback and not by_proxy and _is_loopback(host)

    def _todays_salt(self) -> bytes:
        with self._lock:
            day = int(self._clock() // DAY_S)
            if day != self._day:
                self._day, self._salt = day, secrets.token_bytes(32)
            return self._salt


def forwarded_for(header: str, *, n_proxies: int) -> str | None:
    """The address that the outermost trusted proxy saw.

    Each proxy adds who called it at the right, so what a caller makes up stands at the left of what can be
    believed. Private addresses are a platform's inner hops and are passed over, unless there are no others.

    Args:
        header: ``X-Forwarded-For``; may hold anything.
        n_proxies: how many write it; 0: nobody is believed.
    """
    if n_proxies == 0:
        return None
    hops = [hop.strip() for hop in header.split(",") if hop.strip()]
    outer = [hop for hop in hops if _is_public(hop)] or hops
    return outer[-min(n_proxies, len(outer))] if outer else None


def _parse(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _is_public(text: str) -> bool:
    address = _parse(text)
    return address is not None and address.is_global


def _is_loopback(text: str) -> bool:
    address = _parse(text)
    return address is not None and address.is_loopback


def _household(text: str) -> str:
    address = _parse(text)
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, IPV6_PREFIX), strict=False))
    return str(address or text)
