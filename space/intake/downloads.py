"""The process of one download: takes an order, finds the video behind a link, streams it out through a pipe.

Run as ``python -m space.intake.downloads``. The order comes as one JSON line on standard input, what is found
goes out as parcels on standard output. The process confines itself before it loads yt-dlp (``sites``).
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import Any, BinaryIO

from space.errors import SourceError, TelltaleError
from space.intake import parcels
from space.intake.confinement import confine
from space.intake.parcels import send_parcel
from space.settings import MIB

FRACTION_EVERY_S = 0.2


@dataclass(frozen=True)
class Order:
    """What the process is asked for."""

    url: str = field(repr=False)  # checked, ASCII
    proxy: str = field(repr=False)  # the guard's URL, with credentials
    proxy_port: int
    sites: tuple[str, ...]  # regular expressions over yt-dlp's extractors
    allowed_hosts: tuple[str, ...] | None
    max_bytes: int
    max_duration_s: float
    max_seconds: float

    def to_json(self) -> bytes:
        """One line."""
        return json.dumps(asdict(self)).encode() + b"\n"

    def require_length(self, duration_s: float | None) -> None:
        """Refuse what is known to be too long.

        Raises:
            SourceError: ``too_long``.
        """
        if duration_s and duration_s > self.max_duration_s:
            raise SourceError("too_long", actual_s=round(duration_s, 1), limit_s=self.max_duration_s)

    def require_size(self, size_bytes: int | None) -> None:
        """Refuse what is known to be too large.

        Raises:
            SourceError: ``too_large``.
        """
        if size_bytes and size_bytes > self.max_bytes:
            limit_mb, actual_mb = self.max_bytes / MIB, size_bytes / MIB
            raise SourceError("too_large", limit_mb=round(limit_mb, 1), actual_mb=round(actual_mb, 1))


class Outlet:
    """Where downloaders write: the pipe."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._n_bytes = 0
        self._told_at = 0.0

    def open(self, mode: str) -> Outlet:
        """yt-dlp opens its file again to go on after an error (``ab``), or to begin anew (``wb``)."""
        if mode == "wb" and self._n_bytes:
            self._n_bytes = 0
            send_parcel(self._out, parcels.AGAIN)
        return self

    def write(self, data: bytes) -> int:
        """Send the next bytes of the video, and say how many they were."""
        self._n_bytes += len(data)
        send_parcel(self._out, parcels.DATA, data)
        return len(data)

    def flush(self) -> None:
        """Nothing waits here."""

    def close(self) -> None:
        """The pipe stays open."""

    def tell_fraction(self, fraction: float) -> None:
        """Say how much of the video has come, [0, 1]; not too often."""
        if time.monotonic() - self._told_at > FRACTION_EVERY_S:
            self._told_at = time.monotonic()
            send_parcel(self._out, parcels.FRACTION, json.dumps(float(fraction)).encode())


def main() -> None:
    """Carry out the order on standard input."""
    out = os.fdopen(os.dup(1), "wb")  # kept to ourselves: what anything prints must not mix with parcels
    os.dup2(2, 1)
    order = _read_order(sys.stdin.buffer.readline())
    confine(proxy_port=order.proxy_port, cpu_seconds=int(order.max_seconds) + 1)
    try:
        from space.intake.sites import fetch

        fetch(order, Outlet(out))
        send_parcel(out, parcels.DONE)
    except TelltaleError as error:
        send_parcel(out, parcels.REFUSED, json.dumps({"code": error.code, "params": dict(error.params)}).encode())
    except Exception as error:  # noqa: BLE001 - the last door of this process; its words may hold the link
        send_parcel(out, parcels.BROKEN, json.dumps(type(error).__name__).encode())


def _read_order(line: bytes) -> Order:
    document: dict[str, Any] = json.loads(line)
    hosts = document["allowed_hosts"]
    document |= {"sites": tuple(document["sites"]), "allowed_hosts": None if hosts is None else tuple(hosts)}
    return Order(**document)


if __name__ == "__main__":
    main()
