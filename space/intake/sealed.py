"""How a sealed file is written and read: nothing of it can be changed, moved or cut off without being noticed.

A sealed file is a row of segments, each AES-256-GCM over 64 KiB of plaintext under the file's own random
key. A segment's nonce is its number; its additional data say whether it is the last one and, if so, how long
the whole is. So a segment that was changed, moved, dropped or cut off is an error and never data (the STREAM
construction of Hoang, Reyhanitabar, Rogaway and Vizar 2015). Plaintext exists in memory only, a few segments at
a time.
"""

from __future__ import annotations

import io
import os
import struct
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from space.errors import InternalError, SourceError

SEGMENT_BYTES = 64 * 1024  # of plaintext
TAG_BYTES = 16
CACHED_SEGMENTS = 8  # per open stream: demuxers go back and forth between sound and picture


def nonce_of(number: int) -> bytes:
    """Twelve bytes, never used twice: every file has its own key and is written once, front to back."""
    return struct.pack(">IQ", 0, number)


def bound_data(*, is_last: bool, size_bytes: int) -> bytes:
    """Additional data of a segment; the whole's length is known with the last one only."""
    return struct.pack(">?Q", is_last, size_bytes if is_last else 0)


def count_segments(size_bytes: int) -> int:
    """At least one: an empty file's end is sealed as well."""
    return max(1, -(-size_bytes // SEGMENT_BYTES))


@dataclass(frozen=True)
class SealedHandle:
    """All that is needed to read a sealed file. Picklable; hand it to a child process through a pipe only."""

    id: str
    path: Path
    key: bytes = field(repr=False)
    size_bytes: int  # of the plaintext
    sha256: str  # of the plaintext, hex

    def open(self) -> BinaryIO:
        """A fresh seekable stream over the plaintext.

        Raises:
            SourceError: ``not_found``: deleted in the meantime.
            InternalError: here or while reading: the file is not what was sealed.
        """
        return io.BufferedReader(_SegmentReader(self), SEGMENT_BYTES)


class _SegmentReader(io.RawIOBase):
    """Decrypts the segments that are read, and remembers the latest."""

    def __init__(self, handle: SealedHandle) -> None:
        super().__init__()
        self._handle = handle
        self._cipher = AESGCM(handle.key)
        self._segments: OrderedDict[int, bytes] = OrderedDict()
        self._position = 0
        try:
            self._descriptor = os.open(handle.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            self._descriptor = -1
            raise SourceError("not_found", name=handle.id) from error

    def close(self) -> None:
        """Close, and forget what was decrypted."""
        if not self.closed and self._descriptor >= 0:
            os.close(self._descriptor)
            self._segments.clear()
        super().close()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Places before the start are refused, as by other streams; beyond the end nothing is read."""
        starts = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._handle.size_bytes}
        if whence not in starts:
            raise ValueError(f"whence is {whence}")
        position = starts[whence] + offset
        if position < 0:
            raise ValueError(f"the stream begins at 0, not at {position}")
        self._position = position
        return position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill as much of the buffer as the stream has."""
        view = memoryview(buffer).cast("B")
        wanted = min(len(view), max(0, self._handle.size_bytes - self._position))
        done = 0
        while done < wanted:
            number, start = divmod(self._position, SEGMENT_BYTES)
            piece = memoryview(self._segment(number))[start : start + wanted - done]
            view[done : done + len(piece)] = piece
            done += len(piece)
            self._position += len(piece)
        return done

    def _segment(self, number: int) -> bytes:
        if number in self._segments:
            self._segments.move_to_end(number)
            return self._segments[number]
        segment = self._decrypt(number)
        self._segments[number] = segment
        if len(self._segments) > CACHED_SEGMENTS:
            self._segments.popitem(last=False)
        return segment

    def _decrypt(self, number: int) -> bytes:
        size_bytes = self._handle.size_bytes
        is_last = number == count_segments(size_bytes) - 1
        length = size_bytes - number * SEGMENT_BYTES if is_last else SEGMENT_BYTES
        stored = os.pread(self._descriptor, length + TAG_BYTES, number * (SEGMENT_BYTES + TAG_BYTES))
        try:
            return self._cipher.decrypt(nonce_of(number), stored, bound_data(is_last=is_last, size_bytes=size_bytes))
        except InvalidTag as error:
            raise InternalError("internal") from error
