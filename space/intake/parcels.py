"""What travels through the pipe from the download's process: a kind, a length, and that many bytes."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

HEADER = struct.Struct(">cI")
MAX_BYTES = 256 * 1024  # of one parcel: the sender is not trusted

DATA = b"d"  # the next bytes of the video
AGAIN = b"a"  # forget them: the site would not go on where it was cut off, and began anew
FRACTION = b"f"  # JSON: how much of the video has come, [0, 1]
DONE = b"k"  # empty: that was all of it
REFUSED = b"r"  # JSON: {"code", "params"} of a LinkError, or of a SourceError
BROKEN = b"b"  # JSON: the class of an exception nobody expected
KINDS = frozenset({DATA, AGAIN, FRACTION, DONE, REFUSED, BROKEN})


class ParcelError(ValueError):
    """What came through the pipe is no parcel."""


def send_parcel(stream: BinaryIO, kind: bytes, payload: bytes = b"") -> None:
    """Write one parcel; data longer than ``MAX_BYTES`` as several."""
    for start in range(0, len(payload) or 1, MAX_BYTES):
        piece = payload[start : start + MAX_BYTES]
        stream.write(HEADER.pack(kind, len(piece)) + piece)
    stream.flush()


@dataclass
class Parcels:
    """Puts parcels together again from what a pipe gives, piece by piece."""

    _received: bytearray = field(default_factory=bytearray)

    def take(self, piece: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Take in the next piece, and give the parcels that are now complete: kind and payload.

        Raises:
            ParcelError: no parcel.
        """
        self._received += piece
        while len(self._received) >= HEADER.size:
            kind, length = HEADER.unpack_from(self._received)
            if kind not in KINDS or length > MAX_BYTES:
                raise ParcelError("not a parcel")
            if len(self._received) < HEADER.size + length:
                return
            payload = bytes(self._received[HEADER.size : HEADER.size + length])
            del self._received[: HEADER.size + length]
            yield kind, payload
