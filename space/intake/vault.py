"""Videos held encrypted: what lies on the disk cannot be read without a key that is in memory only.

Every file has a key of its own (``sealed`` says how it is used), which is forgotten when the file is deleted.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from space.errors import SourceError
from space.intake.sealed import SEGMENT_BYTES, SealedHandle, bound_data, nonce_of
from space.settings import MIB

SWEEP_S = 60  # how often ``sweep`` is meant to be called
MAX_AGE_S = 30 * 60 - SWEEP_S  # so that nothing is older than 30 minutes when it goes
SUFFIX = ".sealed"


class Sealed:
    """A sealed file of a vault. Made by ``SealedWriter.seal``."""

    def __init__(self, handle: SealedHandle, forget: Callable[[str], None]) -> None:
        self.id = handle.id  # 128-bit random, hex
        self.size_bytes = handle.size_bytes  # of the plaintext
        self.sha256 = handle.sha256  # of the plaintext, hex
        self._handle: SealedHandle | None = handle
        self._forget = forget

    def open(self) -> BinaryIO:
        """A fresh seekable stream over the plaintext; see ``SealedHandle.open``."""
        return self.handle().open()

    def handle(self) -> SealedHandle:
        """What a child process needs to open it.

        Raises:
            SourceError: ``not_found``: it was deleted.
        """
        handle = self._handle
        if handle is None:
            raise SourceError("not_found", name=self.id)
        return handle

    def delete(self) -> None:
        """Delete the file and its key; streams that are open read on. Nothing happens the second time."""
        self._handle = None
        self._forget(self.id)


# --- writing ----------------------------------------------------------------------------------


@final
class SealedWriter:
    """Takes in plaintext piece by piece; what is not sealed when the block ends is deleted. A context manager.

    Made by ``Vault.writer``.
    """

    def __init__(self, path: Path, *, max_bytes: int, vault: Vault) -> None:
        self.id = path.stem
        self.size_bytes = 0  # taken in so far
        self._path = path
        self._max_bytes = max_bytes
        self._vault = vault
        self._key = AESGCM.generate_key(256)
        self._cipher = AESGCM(self._key)
        self._digest = sha256()
        self._pending = bytearray()
        self._n_written = 0  # segments
        self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb", 0)

    def __enter__(self) -> SealedWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._file.closed:
            self._file.close()
            self._pending.clear()
            self._vault.forget(self.id)

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Take in the next bytes, and say how many they were.

        Raises:
            SourceError: ``too_large``, also for all later calls.
            ValueError: it was sealed, or its block has ended.
        """
        if self._file.closed:
            raise ValueError("the writer is closed")
        self.size_bytes += len(data)
        if self.size_bytes > self._max_bytes:
            self._pending.clear()
            limit_mb, actual_mb = self._max_bytes / MIB, self.size_bytes / MIB
            raise SourceError("too_large", limit_mb=round(limit_mb, 1), actual_mb=round(actual_mb, 1))
        self._digest.update(data)
        self._pending += data
        while len(self._pending) > SEGMENT_BYTES:  # the last segment, full or not, waits for ``seal``
            self._write_segment(self._pending[:SEGMENT_BYTES], is_last=False)
            del self._pending[:SEGMENT_BYTES]
        return len(data)

    def seal(self) -> Sealed:
        """Write the end.

        Raises:
            SourceError: ``too_large``: more was taken in; ``not_found``: swept before it was complete.
            ValueError: it was sealed before, or its block has ended.
        """
        self.write(b"")
        self._write_segment(self._pending, is_last=True)
        self._pending.clear()
        self._file.close()
        handle = SealedHandle(self.id, self._path, self._key, self.size_bytes, self._digest.hexdigest())
        return self._vault.keep(handle)

    def _write_segment(self, plaintext: bytearray, *, is_last: bool) -> None:
        bound = bound_data(is_last=is_last, size_bytes=self.size_bytes)
        left = memoryview(self._cipher.encrypt(nonce_of(self._n_written), plaintext, bound))
        while left:
            left = left[self._file.write(left) :]
        self._n_written += 1


# --- the vault --------------------------------------------------------------------------------


@dataclass
class _Entry:
    """A file in the vault."""

    created: float  # when its writing began, seconds of the vault's clock
    sealed: Sealed | None = None  # None: still being written


@final
class Vault:
    """A folder of sealed files. Safe to use from several threads; a context manager that closes it.

    Args:
        folder: the vault's own, made if missing; one vault at a time. Sealed files that a crash left in it
            are deleted at once: their keys are gone.
        clock: seconds since the epoch.
    """

    def __init__(self, folder: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: dict[str, _Entry] = {}
        self._is_closed = False
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in folder.glob(f"*{SUFFIX}"):
            path.unlink()

    def __enter__(self) -> Vault:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def writer(self, *, max_bytes: int) -> SealedWriter:
        """Begin a file.

        Args:
            max_bytes: of plaintext; beyond it the writer raises ``too_large``.

        Raises:
            ValueError: the vault is closed.
        """
        with self._lock:
            if self._is_closed:
                raise ValueError("the vault is closed")
            sealed_id = secrets.token_hex(16)
            writer = SealedWriter(self._path(sealed_id), max_bytes=max_bytes, vault=self)
            self._entries[sealed_id] = _Entry(self._clock())
        return writer

    def find(self, sealed_id: str) -> Sealed:
        """A sealed file by its id.

        Raises:
            SourceError: ``not_found``: there is none, or none any more.
        """
        with self._lock:
            entry = self._entries.get(sealed_id)
        if entry is None or entry.sealed is None:
            raise SourceError("not_found", name=sealed_id)
        return entry.sealed

    def sweep(self, *, now: float) -> None:
        """Delete what is older than ``MAX_AGE_S``, finished or not.

        Args:
            now: seconds since the epoch.
        """
        with self._lock:
            old = [sealed_id for sealed_id, entry in self._entries.items() if now - entry.created > MAX_AGE_S]
        for sealed_id in old:
            self._delete(sealed_id)

    def close(self) -> None:
        """Delete everything, and take in nothing more."""
        with self._lock:
            self._is_closed = True
            ids = list(self._entries)
        for sealed_id in ids:
            self._delete(sealed_id)

    def keep(self, handle: SealedHandle) -> Sealed:
        """Called by a writer whose file is complete.

        Raises:
            SourceError: ``not_found``: it was swept in the meantime.
        """
        sealed = Sealed(handle, self.forget)
        with self._lock:
            entry = self._entries.get(handle.id)
            if entry is None:
                raise SourceError("not_found", name=handle.id)
            entry.sealed = sealed
        return sealed

    def forget(self, sealed_id: str) -> None:
        """Delete a file if it is there; called by ``Sealed.delete`` and by a writer that is given up."""
        with self._lock:
            known = self._entries.pop(sealed_id, None)
        if known is not None:
            self._path(sealed_id).unlink(missing_ok=True)

    def _delete(self, sealed_id: str) -> None:
        with self._lock:
            entry = self._entries.get(sealed_id)
        if entry is not None and entry.sealed is not None:
            entry.sealed.delete()
        else:
            self.forget(sealed_id)

    def _path(self, sealed_id: str) -> Path:
        return self._folder / f"{sealed_id}{SUFFIX}"
