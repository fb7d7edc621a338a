"""The only way from a download to the web: a guard proxy on loopback, made for one job and gone with it.

It resolves a name once, refuses unless every answer is public, connects to the literal address it judged, and
counts bytes and time. Redirects and the pieces of a stream pass it like the first request. Who does not go
through it, or finds it dead, gets nowhere.
"""

from __future__ import annotations

import base64
import hmac
import ipaddress
import logging
import secrets
import select
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING

from space.errors import LinkError, SourceError, StoppedError, TelltaleError
from space.intake.addresses import PORTS, Address, is_public, read_address
from space.intake.proxy_requests import ProxyRequest, read_request
from space.settings import MIB

if TYPE_CHECKING:
    from typing_extensions import Self  # in typing from Python 3.11

logger = logging.getLogger(__name__)

SLICE_S = 0.1  # how long anything here waits before it looks whether it is to end
CONNECT_S = 10.0
MAX_ADDRESSES = 4  # of one name that are tried
MAX_CONNECTIONS = 16  # at once
BLOCK_BYTES = 64 * 1024
TARGET_BLOCKED = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
NOT_OURS = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
TUNNEL_OPEN = b"HTTP/1.1 200 Connection established\r\n\r\n"

Resolve = Callable[[str], tuple[str, ...]]  # host name -> addresses; raises OSError


def resolve_host(host: str) -> tuple[str, ...]:
    """All addresses of a name, as the system's resolver knows them."""
    answers = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(answer[4][0]) for answer in answers))


@dataclass(frozen=True)
class Egress:
    """Where a job may go. The defaults are the only choice outside tests."""

    resolve: Resolve = resolve_host
    loopback_ports: frozenset[int] = frozenset()  # of this machine, for tests that play the web

    def find(self, host: str, port: int) -> tuple[Address, ...]:
        """The addresses to connect to.

        Args:
            host: normalised, as by ``normalise_host``.

        Raises:
            LinkError: ``blocked_address``: the port, or any of the addresses, is not open to the public;
                ``gone``: no such name; ``link_failed``: nobody could say.
        """
        literal = read_address(host)
        addresses = self._look_up(host) if literal is None else (literal,)
        if not all(self._is_open(address, port) for address in addresses):
            raise LinkError("blocked_address")
        return addresses[:MAX_ADDRESSES]

    def require_port(self, port: int) -> None:
        """Refuse ports that are not the web's, before anything is started.

        Raises:
            LinkError: ``blocked_address``.
        """
        if port not in PORTS | self.loopback_ports:
            raise LinkError("blocked_address")

    def _look_up(self, host: str) -> tuple[Address, ...]:
        try:
            addresses = tuple(ipaddress.ip_address(answer) for answer in self.resolve(host))
        except socket.gaierror as error:
            raise LinkError("link_failed" if error.errno == socket.EAI_AGAIN else "gone") from error
        except (OSError, ValueError) as error:
            raise LinkError("link_failed") from error
        if not addresses:
            raise LinkError("gone")
        return addresses

    def _is_open(self, address: Address, port: int) -> bool:
        if address.is_loopback and port in self.loopback_ports:
            return True
        return port in PORTS and is_public(address)


PUBLIC_WEB = Egress()


class Guard:
    """A running guard proxy. A context manager; leaving it cuts every connection.

    Args:
        max_bytes: both ways together, over the guard's life.
        max_seconds: of the guard's life, wall clock.
        stop: ends it as well.
    """

    def __init__(self, egress: Egress, *, max_bytes: int, max_seconds: float, stop: threading.Event) -> None:
        self.refusal: TelltaleError | None = None  # why the first thing that was refused was refused
        self._egress = egress
        self._max_bytes = max_bytes
        self._max_seconds = max_seconds
        self._stop = stop
        self._n_bytes = 0
        self._deadline = 0.0
        self._lock = threading.Lock()
        self._asking = threading.Lock()
        self._closed = threading.Event()
        self._credentials = base64.b64encode(f"job:{secrets.token_hex(16)}".encode())
        self._found: dict[tuple[str, int], tuple[Address, ...]] = {}
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=MAX_CONNECTIONS)
        self.port: int = self._listener.getsockname()[1]
        self._deadline = time.monotonic() + self._max_seconds
        self._accepting = threading.Thread(target=self._accept, name="egress", daemon=True)
        self._accepting.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()
        self._accepting.join()
        for thread in self._threads:
            thread.join(timeout=1.0)  # a name server may keep one longer; it ends by itself

    @property
    def url(self) -> str:
        """What a client is told: the proxy's address with this job's credentials. Not to be logged."""
        return f"http://{base64.b64decode(self._credentials).decode()}@127.0.0.1:{self.port}"

    def check(self) -> None:
        """Raise once time or bytes have run out.

        Raises:
            StoppedError: ``stop`` was set, or the guard has ended.
            LinkError: ``download_timeout``.
            SourceError: ``too_large``.
        """
        if self._stop.is_set() or self._closed.is_set():
            raise StoppedError
        if time.monotonic() > self._deadline:
            raise LinkError("download_timeout", limit_s=self._max_seconds)
        if self._n_bytes > self._max_bytes:
            limit_mb, actual_mb = self._max_bytes / MIB, self._n_bytes / MIB
            raise SourceError("too_large", limit_mb=round(limit_mb, 1), actual_mb=round(actual_mb, 1))

    # --- connections --------------------------------------------------------------------------

    def _accept(self) -> None:
        with self._listener as listener:
            listener.settimeout(SLICE_S)
            while not self._closed.is_set():
                try:
                    client, _ = listener.accept()
                except TimeoutError:
                    continue
                self._threads = [thread for thread in self._threads if thread.is_alive()]
                if len(self._threads) >= MAX_CONNECTIONS:
                    client.close()
                    continue
                self._threads.append(threading.Thread(target=self._serve, args=(client,), name="egress", daemon=True))
                self._threads[-1].start()

    def _serve(self, client: socket.socket) -> None:
        """One connection, from its request to its end; whatever happens, it is closed."""
        with client, ExitStack() as stack:
            try:
                client.settimeout(CONNECT_S)
                request = read_request(client)
                if not hmac.compare_digest(request.credentials, self._credentials):
                    client.sendall(NOT_OURS)
                    return
                upstream = stack.enter_context(self._connect(request))
            except TelltaleError as refusal:
                self._refuse(client, refusal)
            except (OSError, StoppedError) as error:
                logger.debug("a connection never began: %s", type(error).__name__)
            else:
                self._pass_on(client, upstream, request)

    def _refuse(self, client: socket.socket, refusal: TelltaleError) -> None:
        with self._lock:
            self.refusal = self.refusal or refusal
        logger.info("egress refused: %s", refusal.code)
        try:
            client.sendall(TARGET_BLOCKED)
        except OSError as error:
            logger.debug("nobody waits for the refusal: %s", type(error).__name__)

    def _connect(self, request: ProxyRequest) -> socket.socket:
        for address in self._find(request.host, request.port):
            upstream = self._try(address, request.port)
            if upstream is not None:
                return upstream
        raise LinkError("link_failed")

    def _find(self, host: str, port: int) -> tuple[Address, ...]:
        """A name is asked for once a job: a second answer could be another one."""
        with self._asking:
            if (host, port) not in self._found:
                self._found[host, port] = self._egress.find(host, port)
            return self._found[host, port]

    def _try(self, address: Address, port: int) -> socket.socket | None:
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        upstream = socket.socket(family, socket.SOCK_STREAM)
        try:
            upstream.setblocking(False)
            upstream.connect_ex((str(address), port))
            self._wait_until_writable(upstream)
            if upstream.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                return upstream
        except OSError as error:
            logger.debug("no connection: %s", type(error).__name__)
        except BaseException:
            upstream.close()
            raise
        upstream.close()
        return None

    def _wait_until_writable(self, upstream: socket.socket) -> None:
        patience = time.monotonic() + CONNECT_S
        while not select.select([], [upstream], [], SLICE_S)[1]:
            self.check()
            if time.monotonic() > patience:
                raise TimeoutError

    def _pass_on(self, client: socket.socket, upstream: socket.socket, request: ProxyRequest) -> None:
        """Both directions, until one side ends."""
        try:
            client.settimeout(self._max_seconds)
            upstream.settimeout(CONNECT_S)
            if request.head is None:
                client.sendall(TUNNEL_OPEN)
            else:
                upstream.sendall(request.head)
            upstream.sendall(request.rest)
            while self._pass_blocks(client, upstream):
                self.check()
        except (OSError, StoppedError, TelltaleError) as error:
            # A body without a length ends where the connection does: a reset tells a cut from an end.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            logger.debug("a connection was cut: %s", type(error).__name__)

    def _pass_blocks(self, client: socket.socket, upstream: socket.socket) -> bool:
        """What has arrived within a slice; False once a side has ended."""
        for source in select.select([client, upstream], [], [], SLICE_S)[0]:
            block = source.recv(BLOCK_BYTES)
            if not block:
                return False
            with self._lock:
                self._n_bytes += len(block)
            (client if source is upstream else upstream).sendall(block)
        return True
