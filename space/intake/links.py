"""The door for links: what is behind one is fetched in a process of its own, through the guard, into the vault.

Between the web and the vault the video exists in pipes and memory only; there is no download folder. Neither
links nor what a site said appear in logs or errors.
"""

from __future__ import annotations

import json
import logging
import os
import select
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from space.errors import InternalError, LinkError, SourceError, TelltaleError
from space.intake import parcels
from space.intake.addresses import is_among, parse_link
from space.intake.downloads import Order
from space.intake.egress import PUBLIC_WEB, SLICE_S, Egress, Guard
from space.intake.parcels import ParcelError, Parcels
from space.intake.vault import Sealed, SealedWriter, Vault
from space.settings import MIB, PROJECT_ROOT, Limits, LinkSettings

logger = logging.getLogger(__name__)

OVERHEAD_BYTES = 32 * MIB  # pages, playlists, encryption and second tries around the video itself
PIPE_BYTES = 64 * 1024
# No proxy of ours, no PATH to ffmpeg, no home with a configuration, none of yt-dlp's plugins.
ENVIRONMENT = {"PATH": "", "HOME": "/nonexistent", "LANG": "C.UTF-8", "YTDLP_NO_PLUGINS": "1"}
PASSED_ON = ("LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR")  # without which Python may not start or trust nobody


@dataclass(frozen=True)
class FetchedLink:
    """A video from the web."""

    sealed: Sealed
    host: str  # of the link given, as in the report


def fetch_link(
    url: str,
    *,
    vault: Vault,
    limits: Limits,
    links: LinkSettings,
    progress: Callable[[float], None],
    stop: threading.Event,
    egress: Egress = PUBLIC_WEB,
) -> FetchedLink:
    """Fetch the video behind a link: of a video itself, or of a page that shows one.

    Args:
        url: what a person gave.
        progress: told the fraction that has come, [0, 1], never less than before.
        stop: ends it within a second or so.
        egress: where it may go; another one in tests only.

    Raises:
        LinkError: with any of its codes.
        SourceError: ``too_large``, ``too_long``.
        InternalError: the process could not do its work at all.
        StoppedError: ``stop`` was set.
    """
    link = parse_link(url)
    if links.allowed_hosts is not None and not is_among(link.host, links.allowed_hosts):
        raise LinkError("host_not_allowed")
    egress.require_port(link.port)
    budget_bytes = limits.max_bytes + OVERHEAD_BYTES
    with Guard(egress, max_bytes=budget_bytes, max_seconds=links.max_seconds, stop=stop) as guard:
        order = Order(
            url=link.url,
            proxy=guard.url,
            proxy_port=guard.port,
            sites=links.sites,
            allowed_hosts=links.allowed_hosts,
            max_bytes=limits.max_bytes,
            max_duration_s=limits.max_duration_s,
            max_seconds=links.max_seconds,
        )
        with _start(order) as child:
            arrival = _Arrival(child, guard, progress)
            return FetchedLink(arrival.seal(vault, max_bytes=limits.max_bytes), link.host)


@contextmanager
def _start(order: Order) -> Iterator[subprocess.Popen[bytes]]:
    """The download's process; killed when the block ends."""
    command = [sys.executable, "-B", "-m", "space.intake.downloads"]
    with subprocess.Popen(  # noqa: S603 - our own module; the link travels in the order
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=PROJECT_ROOT,
        env=_environment(),
        start_new_session=True,  # an interrupt at the terminal is ours to answer
    ) as child:
        try:
            yield _give(child, order)
        finally:
            child.kill()


def _environment() -> dict[str, str]:
    passed_on = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    return {**ENVIRONMENT, **passed_on, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def _give(child: subprocess.Popen[bytes], order: Order) -> subprocess.Popen[bytes]:
    assert child.stdin is not None
    try:
        child.stdin.write(order.to_json())
        child.stdin.close()
    except BrokenPipeError as error:
        raise InternalError("internal") from error
    return child


class _Arrival:
    """What comes out of the process, until its last parcel."""

    def __init__(self, child: subprocess.Popen[bytes], guard: Guard, progress: Callable[[float], None]) -> None:
        self._child = child
        self._guard = guard
        self._progress = progress
        self._fraction = 0.0

    def seal(self, vault: Vault, *, max_bytes: int) -> Sealed:
        """Put the video into the vault."""
        coming = self._parcels()
        while True:
            with vault.writer(max_bytes=max_bytes) as writer:
                if self._is_whole(coming, writer):
                    self._guard.check()  # what the guard cut off can look like an end
                    self._progress(1.0)
                    return writer.seal()

    def _is_whole(self, coming: Iterator[tuple[bytes, bytes]], writer: SealedWriter) -> bool:
        """Write what comes; False if it begins anew."""
        for kind, payload in coming:
            if kind == parcels.DATA:
                writer.write(payload)
            elif kind == parcels.FRACTION:
                self._tell(payload)
            elif kind == parcels.AGAIN:
                return False
            elif kind == parcels.DONE and writer.size_bytes:
                return True
            else:
                raise self._failure(kind, payload)
        raise self._failure(None, b"")

    def _parcels(self) -> Iterator[tuple[bytes, bytes]]:
        assert self._child.stdout is not None
        pipe = self._child.stdout.fileno()
        received = Parcels()
        while True:
            self._guard.check()
            if not select.select([pipe], [], [], SLICE_S)[0]:
                continue
            piece = os.read(pipe, PIPE_BYTES)
            if not piece:
                return
            try:
                yield from received.take(piece)
            except ParcelError as error:
                raise InternalError("internal") from error

    def _tell(self, payload: bytes) -> None:
        fraction = _read_json(payload)
        if not isinstance(fraction, float) or not 0 <= fraction <= 1:
            raise InternalError("internal")
        self._fraction = max(self._fraction, fraction)
        self._progress(self._fraction)

    # --- failing ------------------------------------------------------------------------------

    def _failure(self, kind: bytes | None, payload: bytes) -> TelltaleError:
        """Why nothing more comes. What the guard refused says more than what came of it."""
        self._guard.check()
        if self._guard.refusal is not None:
            return self._guard.refusal
        if kind == parcels.REFUSED:
            return _read_refusal(payload)
        reason = _read_json(payload) if kind == parcels.BROKEN else f"exit status {self._child.wait()}"
        logger.warning("the process of a download ended early: %s", reason)
        if reason in {"ImportError", "ModuleNotFoundError"}:
            return InternalError("internal")
        return LinkError("link_failed")


def _read_refusal(payload: bytes) -> TelltaleError:
    document = _read_json(payload)
    try:
        code, params = document["code"], document["params"]
        return (LinkError if code in LinkError.codes else SourceError)(code, **params)
    except (KeyError, TypeError, ValueError) as error:
        raise InternalError("internal") from error


def _read_json(payload: bytes) -> Any:
    """What the process says; it has handled a stranger's data and is not believed blindly."""
    try:
        return json.loads(payload)
    except ValueError as error:
        raise InternalError("internal") from error
