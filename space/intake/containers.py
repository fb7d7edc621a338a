"""Containers, recognised by a file's first bytes and never by its name.

What is not in this list is refused before any demuxer sees it: playlists, subtitles and other formats
that point to further files are not in it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

HEADER_BYTES = 4096  # of a file, enough to recognise it
TS_PACKET_BYTES = 188
TS_SYNC = 0x47


@dataclass(frozen=True)
class Container:
    """A format that is read."""

    name: str  # as in the report
    demuxer: str | None  # FFmpeg's; None for a picture
    is_timed: bool = True  # False: packets carry no presentation time, frames are told by their order


MP4 = Container("mp4", "mov")
MOV = Container("mov", "mov")
WEBM = Container("webm", "matroska")
MKV = Container("mkv", "matroska")
AVI = Container("avi", "avi", is_timed=False)
MPEG_TS = Container("mpegts", "mpegts")
GIF = Container("gif", "gif")
JPEG, PNG, WEBP, BMP = (Container(name, None) for name in ("jpeg", "png", "webp", "bmp"))

CONTAINERS = {c.name: c for c in (MP4, MOV, WEBM, MKV, AVI, MPEG_TS, GIF, JPEG, PNG, WEBP, BMP)}

_SIGNATURES = {b"\xff\xd8\xff": JPEG, b"\x89PNG\r\n\x1a\n": PNG, b"GIF87a": GIF, b"GIF89a": GIF}
# HEIF and AVIF photos are ISO media as well, but hold no video track.
_STILL_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1", b"avif", b"avis"}
_QUICKTIME_BOXES = {b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"}  # how a MOV without `ftyp` begins
_BMP_HEADER_BYTES = {12, 40, 52, 56, 64, 108, 124}  # sizes of the header's versions


def recognise(header: bytes) -> Container | None:
    """The container whose signature a file begins with; None if it is none that is read.

    Args:
        header: the first ``HEADER_BYTES`` of the file, or all of a shorter one.
    """
    for signature, container in _SIGNATURES.items():
        if header.startswith(signature):
            return container
    for read in (_recognise_iso, _recognise_riff, _recognise_ebml, _recognise_bmp, _recognise_ts):
        if found := read(header):
            return found
    return None


def _recognise_iso(header: bytes) -> Container | None:
    box, brand = header[4:8], header[8:12]
    if box == b"ftyp" and brand not in _STILL_BRANDS:
        return MOV if brand == b"qt  " else MP4
    return MOV if box in _QUICKTIME_BOXES else None


def _recognise_riff(header: bytes) -> Container | None:
    if header[:4] != b"RIFF":
        return None
    return {b"AVI ": AVI, b"WEBP": WEBP}.get(header[8:12])


def _recognise_ebml(header: bytes) -> Container | None:
    if not header.startswith(b"\x1a\x45\xdf\xa3"):
        return None
    document_type = header[:256]
    return WEBM if b"webm" in document_type else MKV if b"matroska" in document_type else None


def _recognise_bmp(header: bytes) -> Container | None:
    if header[:2] != b"BM" or len(header) < 18:
        return None
    reserved, _, size = struct.unpack_from("<III", header, 6)
    return BMP if reserved == 0 and size in _BMP_HEADER_BYTES else None


def _recognise_ts(header: bytes) -> Container | None:
    """Transport streams have no signature but a sync byte in each packet; Blu-ray's have four more bytes before it."""
    for first, step in ((0, TS_PACKET_BYTES), (4, TS_PACKET_BYTES + 4)):
        syncs = header[first : 5 * step : step]
        if len(syncs) >= 3 and set(syncs) == {TS_SYNC}:
            return MPEG_TS
    return None
