"""Content Credentials (C2PA): whether a file carries a manifest. It is found, not verified.

A manifest is a signed JUMBF box. Where each container holds it is laid down in the C2PA technical specification,
"Embedding manifests into assets"; Matroska and GIF have no such place.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from typing import BinaryIO

from space.contract import Credentials

C2PA_UUID = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")  # of the box in ISO media
JUMBF_C2PA = bytes.fromhex("6332706100110010800000aa00389b71")  # type of a JUMBF box that holds a manifest store
MAX_PIECES = 10_000  # boxes, segments or chunks that are looked at
PNG_SIGNATURE_BYTES = 8
RIFF_HEADER_BYTES = 12


def find_credentials(stream: BinaryIO, container: str) -> Credentials:
    """Whether a file carries a C2PA manifest.

    Only headers are read. A damaged file is read as far as its pieces follow one another.

    Args:
        stream: seekable, over the whole file; left anywhere.
        container: as in ``containers.CONTAINERS``.
    """
    pieces = _READERS.get(container)
    if pieces is None:
        return "absent"
    found = (is_manifest for is_manifest, _ in zip(pieces(stream), range(MAX_PIECES), strict=False))
    return "present" if any(found) else "absent"


def _iso_boxes(stream: BinaryIO) -> Iterator[bool]:
    start = 0
    while True:
        stream.seek(start)
        header = stream.read(32)
        if len(header) < 8:
            return
        size, kind = struct.unpack(">I4s", header[:8])
        body = 8
        if size == 1 and len(header) >= 16:
            size, body = struct.unpack(">Q", header[8:16])[0], 16
        yield kind == b"uuid" and header[body : body + 16] == C2PA_UUID
        if size < body:  # 0: up to the end of the file; else no size at all
            return
        start += size


def _jpeg_segments(stream: BinaryIO) -> Iterator[bool]:
    stream.seek(2)
    while True:
        marker = stream.read(4)
        if len(marker) < 4 or marker[0] != 0xFF or marker[1] == 0xDA:  # the picture itself begins
            return
        body = stream.read(struct.unpack(">H", marker[2:])[0] - 2) if marker[2:] >= b"\0\2" else b""
        yield marker[1] == 0xEB and body.startswith(b"JP") and JUMBF_C2PA in body
        if not body:
            return


def _png_chunks(stream: BinaryIO) -> Iterator[bool]:
    start = PNG_SIGNATURE_BYTES
    while True:
        stream.seek(start)
        header = stream.read(8)
        if len(header) < 8:
            return
        size, kind = struct.unpack(">I4s", header)
        yield kind == b"caBX"
        start += 12 + size


def _riff_chunks(stream: BinaryIO) -> Iterator[bool]:
    start = RIFF_HEADER_BYTES
    while True:
        stream.seek(start)
        header = stream.read(8)
        if len(header) < 8:
            return
        kind, size = struct.unpack("<4sI", header)
        yield kind == b"C2PA"
        start += 8 + size + size % 2


_READERS: Mapping[str, Callable[[BinaryIO], Iterator[bool]]] = {
    "mp4": _iso_boxes,
    "mov": _iso_boxes,
    "jpeg": _jpeg_segments,
    "png": _png_chunks,
    "webp": _riff_chunks,
    "avi": _riff_chunks,
}
