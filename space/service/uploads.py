"""Files that were sent and wait for their check: in the vault from their first byte on."""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from space.errors import ServiceError
from space.intake.vault import Sealed, SealedWriter, Vault
from space.service.admission import BUSY_RETRY_S
from space.service.callers import EXEMPT
from space.service.settings import ServiceSettings

UPLOADS_PER_JOB = 3  # a caller may send this many files for each check that is allowed: some break off


@dataclass(frozen=True)
class Upload:
    """A file that waits for its check."""

    id: str  # 32 hex digits; knowing it is the right to use it, once
    sealed: Sealed
    expires: float  # seconds since the epoch


@dataclass(frozen=True)
class Coming:
    """A file that is being sent."""

    writer: SealedWriter
    begun: float  # seconds since the epoch: from then on the vault keeps it for ``KEPT_S``


class Uploads:
    """Files by their ids. Safe to use from several threads. They go with the process, as the vault's keys do.

    Args:
        max_bytes: of one file.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        vault: Vault,
        settings: ServiceSettings,
        *,
        max_bytes: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._vault = vault
        self._settings = settings
        self._max_bytes = max_bytes
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: dict[str, Upload] = {}
        self._n_coming = 0
        self._calls: dict[str, deque[float]] = {}

    @property
    def max_bytes(self) -> int:
        """Of one file."""
        return self._max_bytes

    @contextmanager
    def receive(self, caller: str) -> Iterator[Coming]:
        """Take in a file; give it to ``keep`` in the block, or it is deleted at the end of it.

        Args:
            caller: a name of ``callers``.

        Raises:
            ServiceError: ``busy``: too many files are coming or waiting; ``rate_limited``.
        """
        with self._lock:
            if self._n_coming + len(self._waiting) >= self._settings.max_uploads:
                raise ServiceError("busy", retry_after_s=BUSY_RETRY_S)
            self._limit(caller)
            self._n_coming += 1
        try:
            with self._vault.writer(max_bytes=self._max_bytes) as writer:
                yield Coming(writer, self._clock())
        finally:
            with self._lock:
                self._n_coming -= 1

    def _limit(self, caller: str) -> None:
        if caller == EXEMPT:
            return
        settings, now = self._settings, self._clock()
        calls = self._calls.setdefault(caller, deque())
        while calls and calls[0] <= now - settings.window_s:
            calls.popleft()
        if len(calls) >= UPLOADS_PER_JOB * settings.jobs_per_window:
            raise ServiceError("rate_limited", retry_after_s=int(calls[0] + settings.window_s - now) + 1)
        calls.append(now)

    def keep(self, coming: Coming) -> Upload:
        """Seal a file that has come whole.

        Raises:
            SourceError: ``too_large``; ``not_found``: it was swept.
        """
        expires = coming.begun + self._settings.upload_kept_s
        upload = Upload(secrets.token_hex(16), coming.writer.seal(), expires)
        with self._lock:
            self._waiting[upload.id] = upload
        return upload

    def take(self, upload_id: str) -> Sealed:
        """A file for its check; it can be taken once.

        Args:
            upload_id: may be anything.

        Raises:
            ServiceError: ``upload_unknown``.
        """
        with self._lock:
            upload = self._waiting.pop(upload_id, None)
        if upload is None:
            raise ServiceError("upload_unknown")
        return upload.sealed

    def sweep(self, *, now: float) -> None:
        """Delete files that have waited too long.

        Args:
            now: seconds since the epoch.
        """
        with self._lock:
            old = [upload for upload in self._waiting.values() if upload.expires <= now]
            for upload in old:
                del self._waiting[upload.id]
            since = now - self._settings.window_s
            self._calls = {caller: calls for caller, calls in self._calls.items() if calls and calls[-1] > since}
        for upload in old:
            upload.sealed.delete()
